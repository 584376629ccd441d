"""The neighbouring-pixel affinity map on tensors: the numba kernel on CPUs, box sums elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor

from rsseg import affinity
from rsseg.affinity import IgnoreNeighbour
from rsseg.errors import OptionError
from rsseg.legend import NODATA


def neighbouring_pixel_affinity(
    labels: Tensor,
    k: int,
    ignore_index: int = NODATA,
    ignore_neighbour: IgnoreNeighbour = "neutral",
    *,
    classes: int | None = None,
) -> Tensor:
    """Count the pixels within k rows and columns whose label differs.

    The same integers on every device, see `rsseg.affinity.neighbouring_pixel_affinity`.

    Args:
        labels: Class indices ``(N, H, W)`` or ``(H, W)``.
        k: Radius of the window of ``(2k + 1) x (2k + 1)`` pixels.
        ignore_index: Label of pixels that do not count.
        ignore_neighbour: Whether such a neighbour is left out (``neutral``) or ``differs``.
        classes: One more than the largest label, if known; else a GPU must be asked for it, and
            labels out of range are seen.

    Returns:
        Counts of the shape of the labels, int32.

    Raises:
        OptionError: If k, ignore_neighbour or a label is out of range.
    """
    affinity.check_window(k, ignore_neighbour)
    if labels.ndim not in (2, 3) or labels.is_floating_point() or labels.is_complex():
        raise OptionError(
            "label maps have two or three dimensions and integers",
            got=f"{tuple(labels.shape)} {labels.dtype}",
        )
    maps = labels[None] if labels.ndim == 2 else labels
    counts = (
        _on_cpu(maps, k, ignore_index, ignore_neighbour)
        if maps.device.type == "cpu"
        else box_counts(maps, k, ignore_index, ignore_neighbour, classes)
    )
    return counts.reshape(labels.shape)


def _on_cpu(maps: Tensor, k: int, ignore_index: int, ignore_neighbour: IgnoreNeighbour) -> Tensor:
    counts = torch.empty(maps.shape, dtype=torch.int32)
    for number, labels in enumerate(maps.numpy()):
        counts[number] = torch.from_numpy(
            affinity.neighbouring_pixel_affinity(labels, k, ignore_index, ignore_neighbour)
        )
    return counts


def box_counts(
    maps: Tensor,
    k: int,
    ignore_index: int,
    ignore_neighbour: IgnoreNeighbour,
    classes: int | None = None,
) -> Tensor:
    """The affinity maps ``(N, H, W)`` by integral images, in torch alone.

    As in the numba kernel several classes share a 64-bit word, so that six classes take two
    integral images, not six.
    """
    if not maps.numel():
        return torch.empty(maps.shape, dtype=torch.int32, device=maps.device)
    maps = maps.long()
    ignored = maps == ignore_index
    if classes is None:
        low, high = (int(each) for each in maps.masked_fill(ignored, 0).aminmax())
        if low < 0:
            raise OptionError("unusable label", expected="0 or more", got=low)
        classes = high + 1
    lanes = 4 if k <= 127 else 2
    bits = 64 // lanes
    mask = (1 << bits) - 1
    numbers = maps.masked_fill(ignored, classes)  # the ignored are one class more
    word, shift = numbers // lanes, numbers % lanes * bits
    unit = torch.bitwise_left_shift(torch.ones_like(numbers), shift)
    same, left_out = torch.zeros_like(numbers), torch.zeros_like(numbers)
    for number in range(classes // lanes + 1):
        sums = _box_sums(torch.where(word == number, unit, 0), k)
        same = torch.where(word == number, (sums >> shift) & mask, same)
        if number == classes // lanes and ignore_neighbour == "neutral":
            left_out = (sums >> (classes % lanes * bits)) & mask
    counts = (2 * k + 1) ** 2 - same - left_out
    return counts.masked_fill(ignored, 0).int()


def _box_sums(values: Tensor, k: int) -> Tensor:
    """Sums ``(N, H, W)`` over windows of radius k, modulo 2^64; beyond the edges those repeat."""
    for axis in (1, 2):
        size = values.shape[axis]
        places = torch.arange(-k - 1, size + k, device=values.device).clamp(0, size - 1)
        sums = values.index_select(axis, places).cumsum(axis)
        values = sums.narrow(axis, 2 * k + 1, size) - sums.narrow(axis, 0, size)
    return values
