"""NPALoss beside a plain cross-entropy, and its affinity map beside the straightforward loop.

The map is of one 513 x 513 label of six classes with k = 32 on one core, the loss of a batch of six
with gradients. On a GPU, where there is one, the map stands beside reading labels and writing it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rsseg.affinity import neighbouring_pixel_affinity as affinity_map
from rsseg.losses import CrossEntropyLoss, NPALoss
from rsseg.losses.affinity import box_counts

SIDE, CLASSES, BATCH, K = 513, 6, 6, 32
ROUNDS = 30


def main() -> None:
    """Print milliseconds: fastest and median."""
    labels = [blocks(), speckles()]
    holes = blocks()
    holes[speckles() == 0] = 255
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for name, label in zip(("blocks", "speckles"), labels, strict=True):
        compare_maps(name, label)
    for k in (1, 32, 64, 127):
        show(f"blocks: prefix sums, k = {k}", timed(lambda k=k: affinity_map(labels[0], k), "cpu"))
    show("blocks, a sixth unlabelled: prefix sums", timed(lambda: affinity_map(holes, K), "cpu"))
    torch.set_num_threads(threads)
    batch = torch.from_numpy(np.stack([labels[n % 2] for n in range(BATCH)])).long()
    compare_losses(batch, "cpu")
    if torch.cuda.is_available():
        compare_losses(batch, "cuda")
        labels_there = batch.cuda()
        floor = timed(lambda: labels_there.int(), "cuda")
        show("GPU: read labels, write a map", floor)
        map_ = timed(lambda: box_counts(labels_there, K, 255, "neutral", CLASSES), "cuda")
        show("GPU: affinity maps of the batch", map_, floor)


def compare_maps(name: str, label: np.ndarray) -> None:
    """Four ways to the same integers."""
    tensor = torch.from_numpy(label)
    expected = loop(tensor).numpy()
    ways: dict[str, tuple[Callable[[], object], int]] = {
        "loop over the window (torch, uint8)": (lambda: loop(tensor), 3),
        "one-hot integral images (torch)": (lambda: one_hot_integral(tensor.long()), ROUNDS),
        "packed integral images (ours, torch)": (
            lambda: box_counts(tensor.long()[None], K, 255, "neutral", CLASSES)[0],
            ROUNDS,
        ),
        "prefix sums (ours, numba)": (lambda: affinity_map(label, K), ROUNDS),
    }
    naive = None
    for way, (run, rounds) in ways.items():
        assert np.array_equal(np.asarray(run()), expected), way
        times = timed(run, "cpu", rounds)
        naive = naive or times
        show(f"{name}: {way}", times, naive, faster=True)


def compare_losses(labels: Tensor, device: str) -> None:
    """Forward and backward of a batch; affinity maps from a loader's workers, and made here."""
    labels = labels.to(device)
    logits = torch.randn(BATCH, CLASSES, SIDE, SIDE, device=device, requires_grad=True)
    loss = NPALoss(search_region=K)
    maps = torch.stack(
        [torch.from_numpy(loss.label_transform()(each.numpy())) for each in labels.cpu()]
    ).to(device)
    ways = {
        "torch's cross_entropy": step(nn.CrossEntropyLoss(ignore_index=255), logits, labels),
        "ours": step(CrossEntropyLoss(), logits, labels),
        "NPALoss, affinity given": step(loss, logits, labels, maps),
        "NPALoss, affinity made": step(loss, logits, labels),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):  # in turn, so that what else the machine does hits all alike
        for way, run in ways.items():
            times[way] += timed(run, device, 1)
    plain = next(iter(times.values()))
    for way, each in times.items():
        show(f"{device}, forward and backward: {way}", each, plain)


def step(loss: nn.Module, logits: Tensor, *labels: Tensor) -> Callable[[], object]:
    """Loss and gradient."""

    def run() -> None:
        logits.grad = None
        loss(logits, *labels).backward()

    return run


def loop(label: Tensor) -> Tensor:
    """The definition: one comparison of the whole map for each cell of the window."""
    padded = functional.pad(label[None, None].float(), (K,) * 4, mode="replicate")[0, 0].to(
        label.dtype
    )
    counts = torch.zeros(label.shape, dtype=torch.int32)
    for dy in range(2 * K + 1):
        for dx in range(2 * K + 1):
            counts += padded[dy : dy + SIDE, dx : dx + SIDE] != label
    return counts


def one_hot_integral(label: Tensor) -> Tensor:
    """The usual fast way: an integral image of each class."""
    padded = functional.pad(label[None, None].float(), (K,) * 4, mode="replicate")[0].long()
    one_hot = functional.one_hot(padded, CLASSES)[0].movedim(-1, 0).int()
    sums = functional.pad(one_hot.cumsum(1).cumsum(2), (1, 0, 1, 0))
    n = 2 * K + 1
    boxes = sums[:, n:, n:] - sums[:, :-n, n:] - sums[:, n:, :-n] + sums[:, :-n, :-n]
    return (n * n - boxes.gather(0, label[None])[0]).int()


def blocks() -> np.ndarray:
    """Squares of 57 pixels."""
    squares = np.random.default_rng(0).integers(0, CLASSES, (9, 9), dtype=np.uint8)
    return np.kron(squares, np.ones((57, 57), np.uint8))


def speckles() -> np.ndarray:
    """Each pixel of a class of its own."""
    return np.random.default_rng(1).integers(0, CLASSES, (SIDE, SIDE), dtype=np.uint8)


def timed(run: Callable[[], object], device: str, rounds: int = ROUNDS) -> list[float]:
    """Milliseconds of several calls after one to warm up."""
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append((time.perf_counter() - began) * 1e3)
    return times[1:]


def show(
    name: str, times: list[float], beside: list[float] | None = None, *, faster: bool = False
) -> None:
    """One row; the ratio is of the medians."""
    ratio = ""
    if beside is not None:
        ratio = f"{statistics.median(times) / statistics.median(beside):8.2f} x"
    if faster and beside is not None:
        ratio = f"{statistics.median(beside) / statistics.median(times):8.1f} x faster"
    print(f"{name:<52}{min(times):10.3f}{statistics.median(times):10.3f} ms{ratio}", flush=True)


if __name__ == "__main__":
    main()
