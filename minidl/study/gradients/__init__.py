"""Whether gradients are right, and how they pass through the layers."""
