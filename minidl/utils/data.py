"""PyTorch's name for `minidl.data`: `from minidl.utils.data import DataLoader`.

What stands here is what PyTorch has under that name, too.
"""

from minidl.data import (  # noqa: F401, I001
    BatchSampler, ChainDataset, ConcatDataset, DataLoader, Dataset, IterableDataset, RandomSampler, Sampler,
    SequentialSampler, StackDataset, Subset, SubsetRandomSampler, TensorDataset, WeightedRandomSampler,
    default_collate, default_convert, get_worker_info, random_split,
)  # fmt: skip

__all__ = [name for name in dir() if name[0] != "_"]
