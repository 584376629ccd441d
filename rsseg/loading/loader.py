"""Batches of samples, the same whatever the number of workers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from rsseg.errors import OptionError, RssegError
from rsseg.geo.opening import hold_gdal_cache
from rsseg.loading.dataset import Sample

CACHE = 64 << 20
"""Bytes of GDAL's block cache in each worker; its own default is a twentieth of the memory each."""


class Samples(Protocol):
    """Samples by number, such as a `WindowDataset`; numbers beyond the length are later epochs'."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> Sample: ...


class Epochs(Sampler[int]):
    """Numbers of samples: each time it is gone through, those of the next epoch.

    Args:
        length: Samples in an epoch, of all processes.
        first: Where to begin, to go on with a run; the epoch it lies in is finished first.
        shard: Index of this process and number of processes, each of which takes every so many
            samples.

    Raises:
        OptionError: If the processes cannot share an epoch evenly.
    """

    def __init__(self, length: int, first: int = 0, shard: tuple[int, int] = (0, 1)) -> None:
        if length % shard[1] or first % shard[1]:
            raise OptionError(
                f"{shard[1]} processes cannot share {length} samples evenly", got=f"from {first}"
            )
        self._length, self._next, self._shard = length, first, shard

    def __iter__(self) -> Iterator[int]:
        first, (mine, processes) = self._next, self._shard
        self._next = (first // self._length + 1) * self._length
        return iter(range(first + mine, self._next, processes))

    def __len__(self) -> int:
        return self._length // self._shard[1]


def batches(
    dataset: Samples,
    batch_size: int,
    *,
    workers: int = 0,
    first: int = 0,
    shard: tuple[int, int] = (0, 1),
) -> DataLoader[Sample]:
    """A loader whose epochs go through the windows of the dataset's sampler, other ones each time.

    What is wrong with a file is raised as by the dataset, from workers too.

    Args:
        dataset: Samples of one shape and type by number, beyond the length too.
        batch_size: Samples in a batch; the last one of an epoch may have fewer.
        workers: Processes that read; 0 reads in this one.
        first: Number of the first sample of this process, to go on with a run.
        shard: Index of this process and number of processes that share the epochs.
    """
    return _Loader(
        _Told(dataset),
        batch_size,
        sampler=Epochs(len(dataset), first * shard[1], shard),
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_begin if workers else None,
        collate_fn=_collated,
    )


class _Told(Dataset[Any]):
    """A dataset that gives its errors in place of samples.

    A worker that raises sends its whole traceback as the message, which no one can read.
    """

    def __init__(self, dataset: Samples) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, number: int) -> Sample | RssegError:
        try:
            return self.dataset[number]
        except RssegError as error:
            return error


class _Loader(DataLoader[Any]):
    """Raises the errors that it gets in place of batches."""

    def __iter__(self) -> Any:
        return _raising(super().__iter__())  # workers begin now, not with the first batch


def _raising(coming: Iterator[Any]) -> Iterator[Any]:
    for batch in coming:
        if isinstance(batch, RssegError):
            raise batch
        yield batch


def _collated(samples: list[Sample | RssegError]) -> dict[str, Any] | RssegError:
    """A batch; its numbers stay a list, as each tensor costs a shared file on its way."""
    tensors, numbers = [], []
    for sample in samples:
        if isinstance(sample, RssegError):
            return sample
        tensors.append({k: v for k, v in sample.items() if k != "number"})
        numbers.append(sample["number"])
    return {**default_collate(tensors), "number": numbers}


def _begin(worker: int) -> None:
    """Set up a worker for its whole life."""
    hold_gdal_cache(CACHE)
