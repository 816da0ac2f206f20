"""The functions that layers and losses call, under the names and with the signatures of torch.nn.functional.

What a layer remembers, its weights, is passed in.
"""

from minidl.nn.functional.activations import (
    celu, elu, gelu, glu, gumbel_softmax, hardshrink, hardsigmoid, hardswish, hardtanh, leaky_relu, log_softmax,
    logsigmoid, mish, prelu, relu, relu6, rrelu, selu, sigmoid, silu, softmax, softmin, softplus, softshrink, softsign,
    tanh, tanhshrink, threshold,
)  # fmt: skip
from minidl.nn.functional.adaptive import (
    adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d, adaptive_max_pool1d, adaptive_max_pool2d,
    adaptive_max_pool3d,
)  # fmt: skip
from minidl.nn.functional.attention import scaled_dot_product_attention
from minidl.nn.functional.convolution import (
    conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d, fold, unfold,
)  # fmt: skip
from minidl.nn.functional.distances import cosine_similarity, normalize, pairwise_distance, pdist
from minidl.nn.functional.dropout import (
    alpha_dropout, dropout, dropout1d, dropout2d, dropout3d, feature_alpha_dropout,
)  # fmt: skip
from minidl.nn.functional.embedding import embedding, embedding_bag
from minidl.nn.functional.linear import bilinear, linear
from minidl.nn.functional.losses import (
    binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy, gaussian_nll_loss, huber_loss, kl_div,
    l1_loss, mse_loss, nll_loss, poisson_nll_loss, smooth_l1_loss,
)  # fmt: skip
from minidl.nn.functional.margins import (
    cosine_embedding_loss, hinge_embedding_loss, margin_ranking_loss, multi_margin_loss, multilabel_margin_loss,
    multilabel_soft_margin_loss, soft_margin_loss, triplet_margin_loss, triplet_margin_with_distance_loss,
)  # fmt: skip
from minidl.nn.functional.normalization import (
    batch_norm, group_norm, instance_norm, layer_norm, local_response_norm, rms_norm,
)  # fmt: skip
from minidl.nn.functional.padding import pad
from minidl.nn.functional.pooling import (
    avg_pool1d, avg_pool2d, avg_pool3d, lp_pool1d, lp_pool2d, lp_pool3d, max_pool1d, max_pool2d, max_pool3d,
    max_unpool1d, max_unpool2d, max_unpool3d,
)  # fmt: skip
from minidl.nn.functional.vision import channel_shuffle, interpolate, pixel_shuffle, pixel_unshuffle, upsample
from minidl.functional.picking import one_hot
