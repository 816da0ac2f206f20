"""Where training examples come from: datasets, the loader that cuts them into batches, and MNIST itself.

Start with `dataset.py` (what a dataset is), then `loader.py` (one epoch), then `mnist.py`.
"""

from minidl.data import synthetic, transforms
from minidl.data.dataset import ConcatDataset, Dataset, Subset, TensorDataset, collate, random_split
from minidl.data.loader import DataLoader
from minidl.data.mnist import KMNIST, MNIST, FashionMNIST
from minidl.data.sampler import (
    BatchSampler, RandomSampler, Sampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler,
)  # fmt: skip
