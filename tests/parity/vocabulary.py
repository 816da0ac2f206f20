"""The names that a text on small networks uses: each must be there, and each must be compared with PyTorch's."""

FUNCTIONS = """
tensor as_tensor from_numpy zeros ones full empty eye arange linspace logspace zeros_like ones_like full_like empty_like
rand_like randn_like randint_like rand randn randint randperm bernoulli multinomial normal

add sub mul div floor_divide remainder fmod pow neg abs sign sqrt rsqrt square exp exp2 expm1 log log2 log10
log1p sin cos
tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh sigmoid erf erfc reciprocal floor ceil round trunc frac clamp
maximum minimum fmax fmin where lerp addcmul addcdiv logaddexp hypot nan_to_num isnan isinf isfinite isclose allclose
equal logical_and logical_or logical_not logical_xor bitwise_and bitwise_or bitwise_xor bitwise_not eq ne lt
le gt ge relu

sum mean prod var std var_mean std_mean median max min amax amin aminmax argmax argmin all any norm linalg.norm
linalg.vector_norm logsumexp nansum nanmean count_nonzero cumsum cumprod cummax logcumsumexp diff sort argsort topk
kthvalue unique bincount softmax log_softmax

matmul mm bmm mv dot inner outer kron tensordot einsum addmm addmv baddbmm cross trace diag diagonal
diag_embed tril triu
linalg.inv linalg.det linalg.slogdet linalg.solve linalg.cholesky linalg.matrix_power matrix_power

reshape flatten unflatten ravel permute transpose swapaxes movedim t squeeze unsqueeze broadcast_to tile flip roll rot90
repeat_interleave cat stack hstack vstack dstack split chunk tensor_split unbind narrow select index_select
gather scatter
scatter_add take take_along_dim masked_fill masked_select index_add index_copy nonzero meshgrid cartesian_prod
searchsorted bucketize
"""

METHODS = """
view view_as reshape expand expand_as repeat unfold T mT item tolist numpy detach clone to add_ sub_ mul_ div_ pow_ neg_
abs_ sqrt_ exp_ log_ sigmoid_ tanh_ relu_ floor_ ceil_ round_ clamp_ lerp_ addcmul_ addcdiv_ copy_ fill_ zero_ normal_
uniform_ bernoulli_ masked_fill_ scatter_ scatter_add_ index_add_ index_copy_ __getitem__ __setitem__
"""

FUNCTIONAL = """
conv1d conv2d conv3d conv_transpose1d conv_transpose2d unfold fold linear bilinear max_pool1d max_pool2d avg_pool1d
avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool1d adaptive_max_pool2d lp_pool1d
lp_pool2d batch_norm
layer_norm group_norm instance_norm rms_norm local_response_norm dropout dropout1d dropout2d alpha_dropout embedding
embedding_bag threshold relu hardtanh hardswish relu6 elu selu celu leaky_relu prelu rrelu glu gelu
logsigmoid hardshrink
tanhshrink softsign softplus softmin softmax softshrink gumbel_softmax log_softmax tanh sigmoid hardsigmoid silu mish
binary_cross_entropy binary_cross_entropy_with_logits poisson_nll_loss cosine_embedding_loss cross_entropy
gaussian_nll_loss hinge_embedding_loss kl_div l1_loss mse_loss margin_ranking_loss multilabel_margin_loss
multilabel_soft_margin_loss multi_margin_loss nll_loss huber_loss smooth_l1_loss soft_margin_loss triplet_margin_loss
triplet_margin_with_distance_loss scaled_dot_product_attention interpolate pixel_shuffle pixel_unshuffle pad one_hot
cosine_similarity pairwise_distance normalize
"""

LAYERS = """
Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d Unfold Fold Linear Bilinear MaxPool1d MaxPool2d AvgPool1d AvgPool2d
AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveMaxPool1d AdaptiveMaxPool2d LPPool1d LPPool2d BatchNorm1d BatchNorm2d
LayerNorm GroupNorm InstanceNorm1d InstanceNorm2d RMSNorm LocalResponseNorm Dropout Dropout1d Dropout2d AlphaDropout
Embedding EmbeddingBag
ELU Hardshrink Hardsigmoid Hardtanh Hardswish LeakyReLU LogSigmoid PReLU ReLU ReLU6 RReLU SELU CELU GELU
Sigmoid SiLU Mish
Softplus Softshrink Softsign Tanh Tanhshrink Threshold GLU Softmin Softmax Softmax2d LogSoftmax
L1Loss MSELoss CrossEntropyLoss NLLLoss PoissonNLLLoss GaussianNLLLoss KLDivLoss BCELoss BCEWithLogitsLoss
MarginRankingLoss HingeEmbeddingLoss MultiLabelMarginLoss HuberLoss SmoothL1Loss SoftMarginLoss MultiLabelSoftMarginLoss
CosineEmbeddingLoss MultiMarginLoss TripletMarginLoss TripletMarginWithDistanceLoss
RNN LSTM GRU RNNCell LSTMCell GRUCell MultiheadAttention TransformerEncoderLayer TransformerEncoder
TransformerDecoderLayer TransformerDecoder Transformer
Upsample PixelShuffle PixelUnshuffle ZeroPad1d ZeroPad2d ConstantPad1d ConstantPad2d ReflectionPad1d ReflectionPad2d
ReplicationPad1d ReplicationPad2d CircularPad1d CircularPad2d CosineSimilarity PairwiseDistance
Identity Flatten Unflatten
"""

# The rest by their full names; what they do to a network over many steps is compared in tests of their own.
OTHERS = {
    "tests/optim/optimizer_cases.py": """
        optim.SGD optim.ASGD optim.Adagrad optim.RMSprop optim.Rprop optim.Adadelta optim.Adam optim.AdamW optim.Adamax
        optim.NAdam optim.RAdam optim.Muon""",
    "tests/optim/test_lbfgs.py": "optim.LBFGS",
    "tests/optim/test_schedules.py": """
        optim.lr_scheduler.LambdaLR optim.lr_scheduler.MultiplicativeLR optim.lr_scheduler.StepLR
        optim.lr_scheduler.MultiStepLR optim.lr_scheduler.ConstantLR optim.lr_scheduler.LinearLR
        optim.lr_scheduler.ExponentialLR optim.lr_scheduler.PolynomialLR optim.lr_scheduler.CosineAnnealingLR
        optim.lr_scheduler.CosineAnnealingWarmRestarts optim.lr_scheduler.OneCycleLR optim.lr_scheduler.CyclicLR
        optim.lr_scheduler.ReduceLROnPlateau optim.lr_scheduler.SequentialLR optim.lr_scheduler.ChainedScheduler""",
    "tests/train/test_averaging.py": "optim.swa_utils.AveragedModel optim.swa_utils.SWALR optim.swa_utils.update_bn",
    "tests/autograd/test_gradients.py": "autograd.grad autograd.backward",
    "tests/autograd/test_function.py": "autograd.Function",
    "tests/autograd/test_mode.py": "no_grad enable_grad set_grad_enabled inference_mode",
    "tests/autograd/test_checkpoint.py": "utils.checkpoint.checkpoint utils.checkpoint.checkpoint_sequential",
    "tests/autograd/test_anomaly.py": "autograd.detect_anomaly autograd.set_detect_anomaly",
    "tests/autograd/test_check.py": "autograd.gradcheck autograd.gradgradcheck",
    "tests/nn/test_init.py": """
        nn.init.uniform_ nn.init.normal_ nn.init.constant_ nn.init.ones_ nn.init.zeros_ nn.init.eye_ nn.init.dirac_
        nn.init.xavier_uniform_ nn.init.xavier_normal_ nn.init.kaiming_uniform_ nn.init.kaiming_normal_
        nn.init.trunc_normal_ nn.init.orthogonal_ nn.init.sparse_ nn.init.calculate_gain""",
    "tests/nn/test_nn_utils.py": """
        nn.utils.clip_grad_norm_ nn.utils.clip_grad_value_ nn.utils.parameters_to_vector
        nn.utils.vector_to_parameters""",
    "tests/nn/test_reparametrization.py": "nn.utils.weight_norm nn.utils.spectral_norm",
    "tests/nn/test_containers.py": "nn.Sequential nn.ModuleList nn.ModuleDict nn.ParameterList nn.ParameterDict",
}
AUTOGRAD = "vjp jvp jacobian hessian hvp vhp"

# Names that parity draws cannot compare, and the test file in which their behaviour is compared or checked instead.
ELSEWHERE = {
    name: file
    for file, names in {
        "tests/ops/test_random.py": """
            rand_like randn_like randint_like rand randn randint randperm bernoulli multinomial normal Tensor.normal_
            Tensor.uniform_ Tensor.bernoulli_""",
        "tests/ops/test_creation.py": "empty empty_like from_numpy",
        **OTHERS,
    }.items()
    for name in names.split()
}

NAMES = [
    *FUNCTIONS.split(),
    *(f"Tensor.{name}" for name in METHODS.split()),
    *(f"nn.functional.{name}" for name in FUNCTIONAL.split()),
    *(f"nn.{name}" for name in LAYERS.split()),
    *(f"autograd.functional.{name}" for name in AUTOGRAD.split()),
    *(name for names in OTHERS.values() for name in names.split()),
]
