"""A network that starts from another one's weights, classes taken over by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rsseg.errors import BundleError
from rsseg.legend import Legend


def take_over(
    network: nn.Module,
    legend: Legend,
    other: nn.Module,
    theirs: Legend,
    build: Callable[[int], nn.Module],
) -> tuple[str, ...]:
    """Copy another network's weights; of the last layer, the rows of classes of equal name.

    Rows of classes that the other does not have keep their random start, as does an auxiliary
    head that only this one has; one that only the other has is left out.

    Args:
        network: The network to start, changed in place.
        legend: Its classes.
        other: The network to start from.
        theirs: Its classes.
        build: Builds networks like ``network`` with so many classes, to see which tensors depend
            on them.

    Returns:
        Names of the classes that start at random.

    Raises:
        BundleError: If the other is of another architecture.
    """
    with torch.device("meta"):
        one, more = (build(len(legend) + extra).state_dict() for extra in (0, 1))
    by_class = {name for name, tensor in one.items() if tensor.shape != more[name].shape}
    source, target = other.state_dict(), network.state_dict()
    taken = [n for n in target if n in source or not n.startswith("aux")]
    _require_alike({n: target[n] for n in taken}, source, by_class)
    rows = [(i, theirs.names.index(n)) for i, n in enumerate(legend.names) if n in theirs.names]
    for name in taken:
        if name not in by_class:
            target[name].copy_(source[name])
            continue
        for index, its_index in rows:
            target[name][index] = source[name][its_index]
    return tuple(name for name in legend.names if name not in theirs.names)


def _require_alike(
    target: dict[str, Tensor], source: dict[str, Tensor], by_class: set[str]
) -> None:
    """Check that the tensors have the same names and shapes, but for the number of classes."""
    wrong = [f"{n} is only there" for n in source if n not in target and not n.startswith("aux")]
    for name, tensor in target.items():
        mine = _shape(tensor, name in by_class)
        its = _shape(source[name], name in by_class) if name in source else None
        if its != mine:
            there = "missing" if its is None else f"{_times(its)} there, not {_times(mine)}"
            wrong.append(f"{name} is {there}")
    if wrong:
        raise BundleError(
            f"the weights to start from are of another architecture: {wrong[0]}",
            remedy="start from a model of the same network, options and bands",
        )


def _shape(tensor: Tensor, by_class: bool) -> tuple[int, ...]:
    return tuple(tensor.shape[1:] if by_class else tensor.shape)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"
