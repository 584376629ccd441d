"""Batches of samples, the same whatever the number of workers.

Workers are threads. Reading, decoding, augmenting and copying all leave Python's lock, and what a
thread has read is there for the training without a way from process to process, which costs more
than reading it: `benchmarks/loading.py` compares both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from itertools import islice
from threading import Thread
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from rsseg.errors import OptionError
from rsseg.geo.opening import gdal_cache, gdal_cache_size, hold_decoders, hold_gdal_cache
from rsseg.loading.dataset import Sample

AHEAD = 2
"""Batches that each worker reads before they are wanted."""


class Samples(Protocol):
    """Samples by number, such as a `WindowDataset`; numbers beyond the length are later epochs'.

    Several threads may take samples at once.
    """

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

    What is wrong with a file is raised as by the dataset, from workers too. Decoded blocks of files
    stay in GDAL's cache, which all workers share: a twentieth of the machine's memory, or
    ``$GDAL_CACHEMAX``, divided among the processes.

    Args:
        dataset: Samples of one shape and type by number, beyond the length too.
        batch_size: Samples in a batch; the last one of an epoch may have fewer.
        workers: Threads that read ahead; with 0 a batch is read when it is wanted.
        first: Number of the first sample of this process, to go on with a run.
        shard: Index of this process and number of processes that share the epochs.
    """
    sampler = Epochs(len(dataset), first * shard[1], shard)
    return _Loader(dataset, batch_size, sampler, workers, _gdals_cache() // shard[1])


class _Loader(DataLoader[Any]):
    """A DataLoader, as trainers know it, whose workers are threads."""

    def __init__(
        self, dataset: Samples, size: int, sampler: Epochs, workers: int, blocks: int
    ) -> None:
        numbered: Dataset[Any] = dataset  # type: ignore[assignment]  # it asks for no more
        super().__init__(numbered, size, sampler=sampler)
        self._samples, self._workers, self._blocks = dataset, workers, blocks
        self._numbers = BatchSampler(sampler, size, drop_last=False)
        self._pinned = torch.cuda.is_available()  # for copies to the device while it computes

    def __iter__(self) -> Any:
        numbers = iter(self._numbers)
        if not self._workers:
            return map(self._batch_alone, numbers)
        settings = torch.get_num_threads(), self._blocks, self._workers
        pool = ThreadPoolExecutor(self._workers, "rsseg-loading", _begin, settings)
        wanted = (pool.submit(self._batch, batch) for batch in numbers)
        # the first are read now, not when the first batch is wanted
        coming = deque(islice(wanted, AHEAD * self._workers))
        return _in_turn(pool, coming, wanted)

    def _batch_alone(self, numbers: list[int]) -> dict[str, Any]:
        with gdal_cache(self._blocks):
            return self._batch(numbers)

    def _batch(self, numbers: list[int]) -> dict[str, Any]:
        """Samples together; their numbers stay a list."""
        samples: list[Any] = [self._samples[number] for number in numbers]
        batch: dict[str, Any] = {"number": [sample["number"] for sample in samples]}
        for name in samples[0]:
            if name != "number":
                batch[name] = self._stacked([sample[name] for sample in samples])
        return batch

    def _stacked(self, tensors: list[Tensor]) -> Tensor:
        """Tensors as one with a first axis more; a single one is not copied for that."""
        if len(tensors) == 1:
            alone = tensors[0][None]
            return alone.pin_memory() if self._pinned else alone
        shape = len(tensors), *tensors[0].shape
        together = torch.empty(shape, dtype=tensors[0].dtype, pin_memory=self._pinned)
        return torch.stack(tensors, out=together)


def _in_turn(
    pool: ThreadPoolExecutor,
    coming: deque[Future[dict[str, Any]]],
    wanted: Iterator[Future[dict[str, Any]]],
) -> Iterator[dict[str, Any]]:
    """What the pool makes, in the order asked for; as many more are asked for as are taken."""
    try:
        while coming:
            batch = coming.popleft().result()
            coming.extend(islice(wanted, 1))
            yield batch
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@cache
def _gdals_cache() -> int:
    """Bytes that GDAL keeps of decoded blocks, as it was set before any loader divided it."""
    return gdal_cache_size()


def _begin(threads: int, blocks: int, workers: int) -> None:
    """Set up a worker for its whole life: its share of GDAL's memory and of the cores that decode.

    torch has one thread for an operation here, and takes that for the number of all threads to come
    as well, such as the one that predicts in a validation; said once more by another thread, it is
    again as many for them.
    """
    torch.get_num_threads()  # at its first use a thread takes the number last said anywhere
    torch.set_num_threads(1)
    again = Thread(target=torch.set_num_threads, args=(threads,))
    again.start()
    again.join()
    hold_gdal_cache(blocks)
    hold_decoders(workers)
