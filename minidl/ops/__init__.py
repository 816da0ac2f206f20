"""The vocabulary: ops with their derivatives, and the functions composed of them."""

from minidl.ops import operators as operators  # gives Tensor its operators and methods
