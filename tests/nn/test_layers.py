"""Layers: the same numbers, gradients, state, text and errors as PyTorch's."""

import numpy as np
import pytest
import torch
from against_torch import assert_same, close, normal, pair

import minidl
from minidl import nn
from minidl.autograd import gradcheck, gradgradcheck
from minidl.nn import functional as F

IMAGES = (4, 6, 9, 8)

LAYERS = [
    (lambda nn: nn.Linear(5, 3), (4, 5)),
    (lambda nn: nn.Linear(5, 3), (5,)),
    (lambda nn: nn.Linear(5, 3, bias=False), (2, 4, 5)),
    (lambda nn: nn.Conv2d(6, 4, 3), IMAGES),
    (lambda nn: nn.Conv2d(6, 4, 3), IMAGES[1:]),
    (lambda nn: nn.Conv2d(6, 4, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2)), IMAGES),
    (lambda nn: nn.Conv2d(6, 4, 3, groups=2, bias=False), IMAGES),
    (lambda nn: nn.Conv2d(6, 12, 3, padding=1, groups=6), IMAGES),
    (lambda nn: nn.Conv2d(6, 4, (2, 3), padding="same", dilation=(1, 2)), IMAGES),
    (lambda nn: nn.Conv2d(6, 4, 3, padding="valid"), IMAGES),
    (lambda nn: nn.Conv2d(6, 4, 1, stride=3), IMAGES),
    (lambda nn: nn.MaxPool2d(2), IMAGES),
    (lambda nn: nn.MaxPool2d(2), IMAGES[1:]),
    (lambda nn: nn.MaxPool2d((3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)), IMAGES),
    (lambda nn: nn.AvgPool2d(2), IMAGES),
    (lambda nn: nn.AvgPool2d(3, stride=1, padding=1), IMAGES[1:]),
    (lambda nn: nn.AvgPool2d((2, 3), (1, 2), (1, 0)), IMAGES),
    (lambda nn: nn.Conv1d(6, 4, 3, padding=1, padding_mode="circular"), IMAGES[:3]),
    (lambda nn: nn.Conv2d(6, 4, (3, 2), padding="same", padding_mode="replicate"), IMAGES),
    (lambda nn: nn.Conv3d(6, 4, (1, 3, 2), stride=(1, 2, 1), padding=(0, 1, 0)), (1, 6, 2, 4, 3)),
    (lambda nn: nn.ConvTranspose1d(6, 4, 3, 2, 1, 1), IMAGES[:3]),
    (lambda nn: nn.ConvTranspose2d(6, 4, (3, 2), (2, 1), output_padding=(1, 0), groups=2, dilation=(1, 2)), IMAGES),
    (lambda nn: nn.ConvTranspose3d(6, 4, 2, bias=False), (1, 6, 2, 2, 2)),
    (lambda nn: nn.MaxPool1d(3, 2, ceil_mode=True), IMAGES[1:]),
    (lambda nn: nn.MaxPool3d(2), IMAGES[:3] + (2, 3)),
    (lambda nn: nn.AvgPool1d(2, padding=1), IMAGES[1:]),
    (lambda nn: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), IMAGES),
    (lambda nn: nn.AvgPool3d(2, divisor_override=3), IMAGES[:3] + (2, 3)),
    (lambda nn: nn.AdaptiveAvgPool1d(4), IMAGES[1:]),
    (lambda nn: nn.AdaptiveAvgPool2d((4, None)), IMAGES),
    (lambda nn: nn.AdaptiveMaxPool1d(4), IMAGES[1:]),
    (lambda nn: nn.AdaptiveMaxPool2d((4, None)), IMAGES),
    (lambda nn: nn.LPPool1d(2, 3), IMAGES[1:]),
    (lambda nn: nn.LPPool2d(4, (2, 3), stride=2), IMAGES),
    (lambda nn: nn.Unfold((2, 3), stride=2), IMAGES),
    (lambda nn: nn.Fold((5, 4), (3, 2)), (2, 6, 9)),
    (lambda nn: nn.Upsample(scale_factor=2), IMAGES),
    (lambda nn: nn.Upsample((5, 7), mode="bicubic", align_corners=True), IMAGES),
    (lambda nn: nn.UpsamplingNearest2d(scale_factor=(1.5, 2)), IMAGES),
    (lambda nn: nn.UpsamplingBilinear2d(5), IMAGES),
    (lambda nn: nn.PixelShuffle(2), (2, 8, 3, 2)),
    (lambda nn: nn.PixelUnshuffle(2), (2, 3, 4, 6)),
    (lambda nn: nn.ChannelShuffle(3), IMAGES),
    (lambda nn: nn.ZeroPad1d(1), IMAGES[1:]),
    (lambda nn: nn.ConstantPad2d((1, 0, 2, 1), 0.5), IMAGES),
    (lambda nn: nn.ReflectionPad2d((1, 0, 2, 1)), IMAGES),
    (lambda nn: nn.ReplicationPad1d(2), IMAGES[1:]),
    (lambda nn: nn.CircularPad2d(1), IMAGES),
    (lambda nn: nn.BatchNorm1d(6), (5, 6)),
    (lambda nn: nn.BatchNorm1d(6, eps=1e-3, momentum=0.3), (5, 6, 4)),
    (lambda nn: nn.BatchNorm1d(6, affine=False), (5, 6)),
    (lambda nn: nn.BatchNorm1d(6, bias=False), (5, 6)),
    (lambda nn: nn.BatchNorm2d(6), IMAGES),
    (lambda nn: nn.BatchNorm2d(6, momentum=None), IMAGES),
    (lambda nn: nn.BatchNorm2d(6, track_running_stats=False), IMAGES),
    (lambda nn: nn.BatchNorm2d(6).eval(), IMAGES),
    (lambda nn: nn.BatchNorm2d(6, track_running_stats=False).eval(), IMAGES),
    (lambda nn: nn.Dropout(0.5).eval(), (4, 5)),
    (lambda nn: nn.Dropout(0.0), (4, 5)),
    (lambda nn: nn.Flatten(), IMAGES),
    (lambda nn: nn.Flatten(0, 2), IMAGES),
    (lambda nn: nn.Identity(3, unused=True), (4, 5)),
    (lambda nn: nn.ReLU(), (4, 5)),
    (lambda nn: nn.LeakyReLU(), (4, 5)),
    (lambda nn: nn.LeakyReLU(0.2), (4, 5)),
    (lambda nn: nn.ELU(), (4, 5)),
    (lambda nn: nn.ELU(alpha=0.5), (4, 5)),
    (lambda nn: nn.SELU(), (4, 5)),
    (lambda nn: nn.CELU(alpha=0.5), (4, 5)),
    (lambda nn: nn.PReLU(), (4, 5)),
    (lambda nn: nn.PReLU(5, init=0.1), (4, 5)),
    (lambda nn: nn.RReLU(0.1, 0.4).eval(), (4, 5)),
    (lambda nn: nn.GELU(), (4, 5)),
    (lambda nn: nn.GELU(approximate="tanh"), (4, 5)),
    (lambda nn: nn.SiLU(), (4, 5)),
    (lambda nn: nn.Mish(), (4, 5)),
    (lambda nn: nn.GLU(), (5, 4)),
    (lambda nn: nn.GLU(dim=0), (4, 5)),
    (lambda nn: nn.Sigmoid(), (4, 5)),
    (lambda nn: nn.LogSigmoid(), (4, 5)),
    (lambda nn: nn.Softplus(), (4, 5)),
    (lambda nn: nn.Softplus(beta=2.0, threshold=3.2), (4, 5)),
    (lambda nn: nn.Softsign(), (4, 5)),
    (lambda nn: nn.Tanh(), (4, 5)),
    (lambda nn: nn.Tanhshrink(), (4, 5)),
    (lambda nn: nn.Threshold(0.2, 20.0), (4, 5)),
    (lambda nn: nn.Hardtanh(), (4, 5)),
    (lambda nn: nn.Hardtanh(-0.4, 1.2), (4, 5)),
    (lambda nn: nn.ReLU6(), (4, 5)),
    (lambda nn: nn.Hardswish(), (4, 5)),
    (lambda nn: nn.Hardshrink(0.4), (4, 5)),
    (lambda nn: nn.Softshrink(0.4), (4, 5)),
    (lambda nn: nn.Softmax(dim=1), (4, 5)),
    (lambda nn: nn.Softmax(dim=-2), (4, 5, 3)),
    (lambda nn: nn.Softmin(dim=1), (4, 5)),
    (lambda nn: nn.Softmax2d(), (2, 3, 4, 5)),
    (lambda nn: nn.LogSoftmax(dim=0), (4, 5)),
]
NAMES = [repr(make(torch.nn)) + str(shape) for make, shape in LAYERS]


@pytest.mark.parametrize(("make", "shape"), LAYERS, ids=NAMES)
def test_layer_equals_pytorch(make, shape):
    ours, theirs = pair(make)
    assert_same(ours, theirs, normal(*shape))


@pytest.mark.parametrize(("make", "shape"), LAYERS, ids=NAMES)
def test_text_and_state_are_those_of_pytorch(make, shape):
    theirs, ours = make(torch.nn), make(nn)
    assert repr(ours) == repr(theirs)
    expected = {name: (tuple(x.shape), str(x.dtype).removeprefix("torch.")) for name, x in theirs.state_dict().items()}
    assert {name: (x.shape, str(x.dtype)) for name, x in ours.state_dict().items()} == expected
    assert list(ours.state_dict()) == list(theirs.state_dict())


@pytest.mark.parametrize(("make", "shape"), LAYERS, ids=NAMES)
def test_float32_stays_float32(make, shape):
    layer, x = make(nn), minidl.tensor(normal(*shape), dtype="float32", requires_grad=True)
    out = layer(x)
    out.sum().backward()
    assert out.dtype == x.grad.dtype == minidl.float32
    assert {p.grad.dtype for p in layer.parameters()} <= {np.dtype("float32")}


SMOOTH = [i for i, (make, _) in enumerate(LAYERS) if not isinstance(make(nn), (nn.Flatten, nn.Identity, nn.Dropout))]

@pytest.mark.parametrize("number", SMOOTH, ids=[NAMES[i] for i in SMOOTH])
def test_second_derivatives_are_those_of_the_first(number):
    make, shape = LAYERS[number]
    layer, _ = pair(make)
    size = {4: (2, 6, 4, 4), 3: (6, 4, 4)}[len(shape)] if shape in (IMAGES, IMAGES[1:]) else shape
    # Distinct numbers away from 0: no finite difference crosses the kink of a ReLU or a maximum.
    x = (np.random.default_rng(1).permutation(int(np.prod(size))).reshape(size) + 0.5) / np.prod(size) - 0.5
    inputs = [minidl.tensor(4 * x, requires_grad=True), *layer.parameters()]
    assert gradcheck(lambda x, *_: layer(x), inputs)
    if not isinstance(layer, nn.ReLU):
        assert gradgradcheck(lambda x, *_: layer(x), inputs)


# -- at the kinks, where PyTorch had to choose --------------------------------------------------------------------


@pytest.mark.parametrize("name", [
    "relu", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid", "logsigmoid", "softplus", "tanh",
    "tanhshrink", "softsign", "hardtanh", "relu6", "hardswish", "hardshrink", "softshrink",
])  # fmt: skip
def test_activation_at_special_numbers(name):
    numbers = np.array([0.0, -0.0, 1e-300, -1e-300, 50.0, -50.0, 800.0, -800.0, 0.5, -0.5, 1.0, -1.0, 3.0, -3.0, 6.0])
    assert_same(getattr(F, name), getattr(torch.nn.functional, name), numbers)
    for dtype in ("float32", "float64"):
        x = minidl.tensor(numbers, dtype=dtype, requires_grad=True)
        getattr(F, name)(x).sum().backward()  # and no warning of an overflow


def test_hardsigmoid_is_flat_from_its_bounds_on():
    x = minidl.tensor([-800.0, -3.0, 0.0, 3.0, 800.0], requires_grad=True)
    out = F.hardsigmoid(x)
    out.sum().backward()
    assert out.tolist() == [0, 0, 0.5, 1, 1]
    assert x.grad.tolist() == pytest.approx([0, 0, 1 / 6, 0, 0])


@pytest.mark.parametrize("make", [
    lambda nn: nn.ReLU(inplace=True), lambda nn: nn.LeakyReLU(inplace=True), lambda nn: nn.ELU(inplace=True),
    lambda nn: nn.SiLU(inplace=True), lambda nn: nn.Dropout(0.3, inplace=True).eval(),
])  # fmt: skip
def test_inplace_gives_the_same_and_keeps_the_input(make):
    network, theirs = pair(lambda nn: nn.Sequential(nn.Linear(3, 2), nn.Flatten(), make(nn)))
    assert repr(network) == repr(theirs)
    assert_same(network, theirs, normal(4, 3))
    x = minidl.tensor([-1.0, 2.0], requires_grad=True)
    make(nn)(x).sum().backward()
    assert x.tolist() == [-1, 2]


@pytest.mark.parametrize("name", ["Softmax", "Softmin", "LogSoftmax"])
def test_softmax_needs_a_dimension(name):
    with pytest.raises(TypeError, match="dim"):
        getattr(nn, name)()(minidl.ones(2, 3))


def test_softmax_in_another_dtype():
    assert F.softmax(minidl.ones(2, 3), 1, dtype=minidl.float64).dtype == minidl.float64
    assert F.log_softmax(minidl.ones(2, 3), 1, dtype=minidl.float64).dtype == minidl.float64


def test_rrelu_draws_a_slope_for_each_number_below_zero():
    minidl.manual_seed(0)
    x = minidl.tensor([2.0] * 10 + [-2.0] * 1000, requires_grad=True)
    out = nn.RReLU(0.1, 0.4)(x)
    out.sum().backward()
    slopes = x.grad.array[10:]
    assert out.tolist()[:10] == [2.0] * 10
    assert np.allclose(out.array[10:], -2 * slopes), "the gradient is the slope that was drawn"
    assert 0.1 <= slopes.min() < 0.11 and 0.39 < slopes.max() < 0.4
    assert slopes.mean() == pytest.approx(0.25, abs=0.01)


def test_gumbel_softmax_chooses_with_the_probabilities_of_softmax():
    minidl.manual_seed(0)
    logits = minidl.tensor(np.log([[0.1, 0.2, 0.7]] * 5000), requires_grad=True)
    choice = F.gumbel_softmax(logits, hard=True)
    assert np.allclose(sorted(choice[0].tolist()), [0, 0, 1])
    assert choice.mean(0).tolist() == pytest.approx([0.1, 0.2, 0.7], abs=0.02)


def test_a_hard_choice_has_the_gradient_of_the_soft_one():
    gradients = []
    for hard in (False, True):
        minidl.manual_seed(0)
        logits = minidl.zeros(4, 3, requires_grad=True)
        (F.gumbel_softmax(logits, tau=0.5, hard=hard) * minidl.arange(3)).sum().backward()
        gradients.append(logits.grad.tolist())
    assert gradients[0] == gradients[1] != [[0.0] * 3] * 4


# -- batch normalisation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_over_several_batches(momentum):
    ours, theirs = pair(lambda nn: nn.BatchNorm2d(6, momentum=momentum))
    for _ in range(3):
        x = normal(*IMAGES)
        ours(minidl.tensor(x))
        theirs(torch.tensor(x))
    for name, value in theirs.state_dict().items():
        close(ours.state_dict()[name].array, value, 1e-12)
    assert ours.num_batches_tracked.item() == 3
    ours.eval(), theirs.eval()
    assert_same(ours, theirs, normal(*IMAGES))
    assert ours.num_batches_tracked.item() == 3


def test_resetting_batch_norm():
    layer = nn.BatchNorm1d(3)
    layer(minidl.tensor(normal(4, 3)).float())
    nn.init.constant_(layer.weight, 5)
    nn.init.constant_(layer.bias, 5)
    layer.reset_parameters()
    for name, value in torch.nn.BatchNorm1d(3).state_dict().items():
        assert np.array_equal(layer.state_dict()[name].array, value.numpy())


def test_batch_norm_reads_images_whose_batch_comes_last_in_memory():
    x = normal(6, 9, 8, 4)
    ours, theirs = pair(lambda nn: nn.BatchNorm2d(6))
    out = ours(minidl.Tensor(x.transpose(3, 0, 1, 2)))
    close(out.array, theirs(torch.tensor(np.ascontiguousarray(x.transpose(3, 0, 1, 2)))), 1e-12)
    assert out.array.strides[0] == out.array.itemsize, "the layout that convolutions want is kept"


@pytest.mark.parametrize(("layer", "shape", "message"), [
    (nn.BatchNorm1d(3), (2, 3, 4, 4), "2D or 3D"),
    (nn.BatchNorm2d(3), (2, 3, 4), "4D"),
    (nn.BatchNorm1d(3), (1, 3), "more than one value per channel"),
    (nn.BatchNorm2d(3, track_running_stats=False).eval(), (1, 3, 1, 1), "more than one value per channel"),
])  # fmt: skip
def test_batch_norm_refuses(layer, shape, message):
    before = {name: x.array.copy() for name, x in layer.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        layer(minidl.ones(shape))
    for name, x in layer.state_dict().items():
        assert np.array_equal(x.array, before[name])


def test_batch_norm_refuses_other_channels_and_missing_statistics():
    with pytest.raises(RuntimeError, match=r"running_mean of shape \(3,\), got \(4,\)"):
        nn.BatchNorm2d(4)(minidl.ones(2, 3, 5, 5))
    with pytest.raises(RuntimeError, match="weight"):
        nn.BatchNorm2d(4, track_running_stats=False)(minidl.ones(2, 3, 5, 5))
    with pytest.raises(RuntimeError, match="running_mean and running_var are needed"):
        F.batch_norm(minidl.ones(2, 3), None, None)


# -- dropout ------------------------------------------------------------------------------------------------------


def test_dropout_drops_the_share_and_scales_the_rest():
    minidl.manual_seed(0)
    x = minidl.ones(100_000, requires_grad=True)
    out = nn.Dropout(0.3)(x)
    assert sorted(set(out.tolist())) == pytest.approx([0, 1 / 0.7])
    assert (out == 0).sum().item() == pytest.approx(30_000, abs=700)
    out.sum().backward()
    assert np.array_equal(x.grad.array, out.array), "the gradient takes the same way"


def test_dropout_repeats_with_the_seed_and_everything_may_be_dropped():
    minidl.manual_seed(3)
    first = nn.Dropout()(minidl.ones(50)).tolist()
    minidl.manual_seed(3)
    assert nn.Dropout()(minidl.ones(50)).tolist() == first
    assert nn.Dropout(1.0)(minidl.ones(5)).tolist() == [0] * 5


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_dropout_refuses_what_is_no_probability(p):
    with pytest.raises(ValueError, match="from 0 to 1"):
        nn.Dropout(p)
    with pytest.raises(ValueError, match="from 0 to 1"):
        F.dropout(minidl.ones(3), p)


# -- errors -------------------------------------------------------------------------------------------------------

x, w = minidl.ones(2, 3, 5, 5), minidl.ones(4, 3, 3, 3)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: F.conv2d(x, minidl.ones(4, 2, 3, 3)), r"2 channels .*\(4, 2, 3, 3\).* got 3 .*\(2, 3, 5, 5\)"),
    (lambda: F.conv2d(x[0, 0], w), r"\(N, C, H, W\).* got shape \(5, 5\)"),
    (lambda: F.conv2d(x, w[0]), r"weight of 4 dimensions, \(O, C/groups, ...\), got \(3, 3, 3\)"),
    (lambda: F.conv2d(x, minidl.ones(4, 3, 7, 7)), r"\(7, 7\).* larger than the image of \(5, 5\)"),
    (lambda: F.conv2d(x, w, stride=0), r"stride must be at least 1, got \(0, 0\)"),
    (lambda: F.conv2d(x, w, padding=-1), r"padding must be at least 0, got \(-1, -1\)"),
    (lambda: F.conv2d(x, w, dilation=0), "dilation must be at least 1"),
    (lambda: F.conv2d(x, w, stride=(1, 2, 3)), r"stride: .*got \(1, 2, 3\)"),
    (lambda: F.conv2d(x, w, groups=2), "6 channels"),
    (lambda: F.conv2d(x, w, groups=0), "groups must be at least 1"),
    (lambda: F.conv2d(minidl.ones(2, 4, 5, 5), minidl.ones(3, 2, 3, 3), groups=2), "groups=2 must divide"),
    (lambda: F.conv2d(x, w, padding="same", stride=2), "stride 1"),
    (lambda: F.conv2d(x, w, padding="foo"), '"same" or "valid"'),
    (lambda: F.conv2d(x, w, minidl.ones(3)), r"bias of shape \(4,\), got \(3,\)"),
    (lambda: F.conv2d(x.double(), w), "float64 and the weight float32"),
    (lambda: F.max_pool2d(x, 7), "larger than the image"),
    (lambda: F.max_pool2d(x, 2, 0), "stride must be at least 1"),
    (lambda: F.max_pool2d(x, 0), "kernel_size must be at least 1"),
    (lambda: F.max_pool2d(x, 2, padding=2), "at most half of the window"),
    (lambda: F.avg_pool2d(x, 2, padding=2), "at most half of the window"),
    (lambda: F.avg_pool2d(x, (1, 2, 3)), "kernel_size: expected one whole number, or 2"),
    (lambda: F.avg_pool2d(x[0, 0], 2), "one image"),
    (lambda: F.gelu(x, approximate="foo"), '"none" or "tanh"'),
    (lambda: nn.Linear(3, 2)(minidl.ones(4, 5)), r"\(\.\.\., 3\).*\(4, 5\)"),
])  # fmt: skip
def test_what_does_not_fit_raises_runtime_error(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()


@pytest.mark.parametrize(("options", "message"), [
    ({"groups": 0}, "groups"), ({"groups": 2}, "groups=2 for 3 and 4"), ({"padding": "foo"}, "'foo'"),
    ({"padding": "same", "stride": 2}, "stride 1"), ({"padding_mode": "foo"}, "padding_mode"),
])  # fmt: skip
def test_conv2d_refuses_settings_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        nn.Conv2d(3, 4, 3, **options)


def test_settings_may_be_numpys_whole_numbers_and_lists():
    layer = nn.Conv2d(3, 4, np.int64(3), padding=[1, 0])
    assert (layer.kernel_size, layer.padding) == ((3, 3), (1, 0))
    assert layer(x).shape == (2, 4, 5, 3)
    assert F.max_pool2d(x, [2, 2]).shape == (2, 3, 2, 2)


@pytest.mark.parametrize("make", [
    lambda nn: nn.Conv2d(3, 4, 3), lambda nn: nn.MaxPool2d(2), lambda nn: nn.AvgPool2d(2), lambda nn: nn.ReLU(),
    lambda nn: nn.BatchNorm2d(3).eval(),
])  # fmt: skip
def test_an_empty_batch_passes(make):
    assert make(nn)(x[:0]).shape == tuple(make(torch.nn)(torch.ones(0, 3, 5, 5)).shape)


def test_an_empty_batch_leaves_running_statistics_as_they_are() -> None:
    x = normal(5, 3)
    states = []
    for library in (minidl, torch):
        layer = library.nn.BatchNorm1d(3, dtype=library.float64)
        layer(library.tensor(x))
        assert layer(library.tensor(x[:0])).shape == (0, 3)
        states.append(np.concatenate([np.ravel(value.numpy()) for value in layer.state_dict().values()]))
    np.testing.assert_allclose(*states)


def test_bags_end_where_the_last_offset_says() -> None:
    table, sums = np.arange(8.0, dtype=np.float32).reshape(4, 2), []  # PyTorch keeps to it only for sums of float32
    for library in (minidl, torch):
        t, bags = library.tensor, library.nn.functional.embedding_bag
        numbers, bounds = t([0, 1, 1, 2]), t([0, 2, 3])
        sums.append(bags(numbers, t(table), bounds, mode="sum", include_last_offset=True).numpy())
    np.testing.assert_array_equal(*sums)
    largest = F.embedding_bag(minidl.tensor([0, 1, 1, 2]), minidl.tensor(table), minidl.tensor([0, 2, 3]), mode="max",
                              include_last_offset=True)  # fmt: skip
    assert largest.tolist() == [[2, 3], [2, 3]]


def test_bags_may_be_empty_and_their_offsets_must_grow() -> None:  # PyTorch reads what is not its own here
    table, numbers = minidl.arange(8.0).reshape(4, 2), minidl.tensor([0, 1])
    assert F.embedding_bag(numbers[:0], table, minidl.tensor([0, 0]), mode="max").tolist() == [[0, 0], [0, 0]]
    assert F.embedding_bag(numbers, table, numbers[:0], mode="max").shape == (0, 2)
    for offsets in (minidl.tensor([0, 2, 1]), minidl.tensor([0.0, 1.0]), minidl.tensor([1])):
        with pytest.raises(RuntimeError, match="grow"):
            F.embedding_bag(numbers, table, offsets)
    with pytest.raises(RuntimeError, match="grow"):
        F.embedding_bag(numbers, table, numbers[:0], include_last_offset=True)


def test_rows_are_not_named_by_bytes() -> None:
    for library in (minidl, torch):
        with pytest.raises(RuntimeError):
            library.nn.Embedding(3, 2)(library.tensor([0, 1, 1], dtype=library.uint8))


def test_a_table_with_a_largest_norm_can_be_used_twice_before_backward() -> None:
    for library in (minidl, torch):
        layer = library.nn.Embedding(3, 2, max_norm=1.0)
        with library.no_grad():
            layer.weight.fill_(5.0)
        (layer(library.tensor([0, 1])) + layer(library.tensor([1, 0]))).sum().backward()
        assert layer.weight.grad.tolist() == [[2, 2], [2, 2], [0, 0]]


def test_settings_may_be_numpy_numbers() -> None:
    for library in (minidl, torch):
        assert library.nn.LayerNorm(np.int64(3))(library.ones(2, 3)).shape == (2, 3)


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (RuntimeError, lambda lib: lib.nn.Linear(3, 2)(lib.ones(4, 3, dtype=lib.float64))),
        (RuntimeError, lambda lib: lib.nn.functional.batch_norm(lib.ones(4), lib.ones(4), lib.ones(4))),
        (RuntimeError, lambda lib: lib.nn.LocalResponseNorm(0)(lib.ones(2, 3, 4))),
        (ValueError, lambda lib: lib.nn.CircularPad2d(1)(lib.ones(4, 4))),
        (TypeError, lambda lib: lib.nn.LSTMCell(3, 4)(lib.ones(2, 3), lib.ones(2, 2, 4))),
        (TypeError, lambda lib: lib.nn.utils.vector_to_parameters([1.0], [])),
        (RuntimeError, lambda lib: lib.nn.functional.scaled_dot_product_attention(*[lib.ones(2, 3)] * 3, None, 1.5)),
    ],
)
def test_clumsy_calls_are_refused_as_by_pytorch(error, call) -> None:
    for library in (minidl, torch):
        with pytest.raises(error):
            call(library)
