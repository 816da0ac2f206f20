"""Training: the loop, what it measures, and pictures of the result.

Start with `_train_epoch` in `trainer.py`, the eight lines that everything else is for.
"""

from minidl.train import metrics
from minidl.train.callbacks import Callback, Checkpoint, EarlyStopping, EveryStep
from minidl.train.history import History
from minidl.train.meter import Meter
from minidl.train.plots import digits, learning_curve
from minidl.train.trainer import Trainer
