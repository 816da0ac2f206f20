"""What is done to the parameters of a network as a whole, under the names of torch.nn.utils."""

from minidl.nn.utils.gradients import (
    clip_grad_norm_, clip_grad_value_, parameters_to_vector, vector_to_parameters,
)  # fmt: skip
