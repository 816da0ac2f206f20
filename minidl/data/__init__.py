"""Where training examples come from: datasets, the loader that cuts them into batches, and MNIST itself.

Start with `dataset.py` (what a dataset is), then `loader.py` (one epoch), then `mnist.py`.
"""

from minidl.data import synthetic, transforms
from minidl.data.ahead import on_device
from minidl.data.collate import collate, collate as default_collate, default_convert
from minidl.data.dataset import (
    ChainDataset, ConcatDataset, Dataset, IterableDataset, StackDataset, Subset, TensorDataset, random_split,
)  # fmt: skip
from minidl.data.loader import DataLoader
from minidl.data.mnist import KMNIST, MNIST, FashionMNIST
from minidl.data.sampler import (
    BatchSampler, RandomSampler, Sampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler,
)  # fmt: skip
from minidl.data.workers import get_worker_info
