"""The computation graph to look at, and the backward pass through it step by step."""
