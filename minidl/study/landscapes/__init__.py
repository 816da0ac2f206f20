"""The loss around the weights: its height, its curvature, and the learning rates that it bears."""
