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
    head that only this one has.

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
    rows = [(i, theirs.names.index(n)) for i, n in enumerate(legend.names) if n in theirs.names]
    for name, tensor in target.items():
        if name not in source and name.startswith("aux"):
            continue
        mine, its = _shape(tensor, name in by_class), None
        if name in source:
            its = _shape(source[name], name in by_class)
        if its != mine:
            raise BundleError(
                f"the weights to start from are of another architecture: {name} is "
                + ("missing" if its is None else f"{_times(its)} there, not {_times(mine)}"),
                remedy="start from a model of the same network, options and bands",
            )
        if name in by_class:
            for index, its_index in rows:
                tensor[index] = source[name][its_index]
        else:
            tensor.copy_(source[name])
    return tuple(name for name in legend.names if name not in theirs.names)


def _shape(tensor: Tensor, by_class: bool) -> tuple[int, ...]:
    return tuple(tensor.shape[1:] if by_class else tensor.shape)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"
