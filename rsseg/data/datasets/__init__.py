"""Published datasets: how each is laid out, decoded and split."""

from __future__ import annotations

from importlib import import_module

from rsseg.data.datasets.published import Pair, Picture, Prepared, PublishedDataset
from rsseg.errors import OptionError

DATASETS = {
    "dubai": "Dubai",
    "vaihingen": "Vaihingen",
    "potsdam": "Potsdam",
    "gid": "Gid",
    "gid15": "Gid15",
    "loveda": "LoveDA",
    "cityscapes": "Cityscapes",
    "alpine": "Alpine",
}
"""Class by name; each lies in the module of its name."""


def published(name: str) -> PublishedDataset:
    """The dataset of this name.

    Raises:
        OptionError: If there is none.
    """
    if name not in DATASETS:
        raise OptionError(
            f"there is no dataset '{name}'", expected=", ".join(DATASETS), got=repr(name)
        )
    module = import_module(f"rsseg.data.datasets.{name}")
    dataset: PublishedDataset = getattr(module, DATASETS[name])()
    return dataset


__all__ = ["DATASETS", "Pair", "Picture", "Prepared", "PublishedDataset", "published"]
