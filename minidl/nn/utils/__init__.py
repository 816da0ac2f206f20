"""What is done to the parameters of a network as a whole, under the names of torch.nn.utils."""

from minidl.nn.utils import rnn
from minidl.nn.utils.gradients import (
    clip_grad_norm_, clip_grad_value_, parameters_to_vector, vector_to_parameters,
)  # fmt: skip
from minidl.nn.utils.reparametrization import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm
