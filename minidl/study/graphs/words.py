"""What the derivative rules of the usual ops do, in words."""

WORDS = {
    "abs": "The upstream gradient, with the sign of the entry.",
    "add": "A sum hands the upstream gradient to each of its terms.",
    "amax": "Only the largest entry receives the upstream gradient; equal ones share it.",
    "amin": "Only the smallest entry receives the upstream gradient; equal ones share it.",
    "astype": "A change of dtype hands the upstream gradient on.",
    "avg_pool": "Every entry that a window saw receives an equal share of that window's upstream gradient.",
    "binary_cross_entropy": "The upstream gradient times (p - y) / (p (1 - p)).",
    "broadcast_to": "What was repeated receives the sum over its repetitions.",
    "clip": "The upstream gradient where the entry was left alone, 0 where it was clipped.",
    "concatenate": "Each piece receives its part of the upstream gradient.",
    "convolution": "The input receives from each window that saw it the upstream gradient times the kernel; the kernel "
                   "the sum over all windows of the upstream gradient times what the window saw; the bias the sum of "
                   "the upstream gradient over images and places.",
    "convolution_input": "A transposed convolution: the input receives the convolution of the upstream gradient; the "
                         "kernel the products of input and upstream gradient, summed over all places.",
    "copied": "A copy hands the upstream gradient on.",
    "cos": "The upstream gradient times -sin x.",
    "divide": "The numerator receives upstream / y; the denominator upstream times -x / y².",
    "erf": "The upstream gradient times 2/√π exp(-x²).",
    "exp": "The upstream gradient times the result itself, for exp is its own derivative.",
    "expm1": "The upstream gradient times exp x, which is the result + 1.",
    "flipped": "The upstream gradient turned around again.",
    "hardtanh": "The upstream gradient between the bounds, 0 outside.",
    "inner": "Each factor receives the upstream gradient of its row times the other factor.",
    "linear": "The input receives the upstream gradient times W; the weight the products of upstream gradient and "
              "input, summed over the batch; the bias the upstream gradient, summed over the batch.",
    "log": "The upstream gradient over x.",
    "log1p": "The upstream gradient over 1 + x.",
    "log_softmax": "The upstream gradient minus the probabilities times its sum.",
    "logsumexp": "The upstream gradient times the softmax of the entries.",
    "matrix_product": "Each matrix receives the upstream gradient times the other one transposed, on the side where "
                      "that one stood.",
    "max_pool": "In each window only the largest entry receives the upstream gradient.",
    "maximum": "The larger of the two receives the upstream gradient; equals share it.",
    "mean": "Each of the n entries receives the upstream gradient over n.",
    "minimum": "The smaller of the two receives the upstream gradient; equals share it.",
    "multiply": "Each factor receives the upstream gradient times the other factor.",
    "negative": "The upstream gradient with its sign turned.",
    "p_norm": "The upstream gradient times x over the norm, for p = 2: the norm grows fastest in the direction of x.",
    "power": "The base receives upstream times y x^(y-1); the exponent upstream times x^y log x.",
    "prod": "Each factor receives the upstream gradient times the product of the others.",
    "put": "Each entry receives the upstream gradient of the place where it was put.",
    "put_along_axis": "Each entry receives the upstream gradient of the place where it was put.",
    "reciprocal": "The upstream gradient times -1 / x².",
    "recurrence": "Backpropagation through time: from the last time step to the first, each step adds its share.",
    "relu": "The upstream gradient where the entry is above 0; nothing where it is not.",
    "replaced": "0 at the places that were replaced, upstream elsewhere, for what stood there before had no effect; "
                "what was put there receives the upstream gradient of these places.",
    "reshape": "The upstream gradient in the old shape.",
    "rolled": "The upstream gradient moved back.",
    "rsqrt": "The upstream gradient times -½ of the result cubed.",
    "sigmoid": "The upstream gradient times σ(1 - σ), which is at most ¼.",
    "sin": "The upstream gradient times cos x.",
    "softmax": "Each score receives its probability times (upstream minus the mean of upstream under the "
               "probabilities).",
    "softmax_cross_entropy": "Softmax minus the right answer, which is 1 at the right class: p - y, times the upstream "
                             "gradient of the row.",
    "softplus": "The upstream gradient times σ(x), the slope of log(1 + exp x).",
    "spread": "What was repeated receives the sum over its repetitions.",
    "sqrt": "The upstream gradient over twice the root.",
    "square": "The upstream gradient times 2x.",
    "subtract": "The first term receives the upstream gradient, the second one the same with its sign turned.",
    "standardize": "The upstream gradient times the scale, less what goes by way of the mean and of the variance.",
    "sum": "Each entry receives the upstream gradient of the sum it went into.",
    "take": "The upstream gradient goes back to the places that were picked, 0 to the others.",
    "take_along_axis": "The upstream gradient goes back to the places that were picked, 0 to the others.",
    "tanh": "The upstream gradient times 1 - tanh², which is at most 1.",
    "tiled": "Each entry receives the sum over its copies.",
    "transpose": "The upstream gradient with its dimensions put back.",
    "var": "Each entry receives the upstream gradient times twice its distance from the mean over n - correction.",
    "where": "Each of the two receives the upstream gradient where it was chosen, and 0 elsewhere.",
}  # fmt: skip


def in_words(op: str) -> str:
    """What the rules of that op do.

    >>> in_words("add")
    'A sum hands the upstream gradient to each of its terms.'
    """
    return WORDS.get(op, f"The upstream gradient times the derivative of {op}, by the chain rule.")
