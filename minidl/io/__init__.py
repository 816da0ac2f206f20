"""Files: what a training run leaves behind, and can be read from again."""

from minidl.io.files import replacing
from minidl.io.npz import load, save
