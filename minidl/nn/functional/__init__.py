"""The functions that layers and losses call, under the names and with the signatures of torch.nn.functional.

What a layer remembers, its weights, is passed in.
"""

from minidl.nn.functional.activations import (
    elu, gelu, leaky_relu, log_softmax, relu, sigmoid, silu, softmax, tanh,
)  # fmt: skip
from minidl.nn.functional.dropout import dropout
from minidl.nn.functional.linear import linear
from minidl.nn.functional.losses import (
    binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy, huber_loss, kl_div, l1_loss, mse_loss,
    nll_loss, smooth_l1_loss,
)  # fmt: skip
from minidl.nn.functional.normalization import batch_norm
from minidl.nn.functional.windows import avg_pool2d, conv2d, max_pool2d
from minidl.ops.indexing import one_hot
