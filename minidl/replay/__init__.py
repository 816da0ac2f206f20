"""minidl.compile: a training step that is recorded, and then replayed without a graph and without new arrays."""

from minidl.replay.compiled import compile
