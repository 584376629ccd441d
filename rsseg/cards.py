"""What the card of a network says; the cards themselves are in `rsseg.catalog`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

PAPERS: Mapping[str, str] = MappingProxyType(
    {
        "LM": "Hou, Chen and Gu 2024, LM-DeeplabV3+: A Lightweight Image Segmentation Algorithm "
        "Based on Multi-scale Feature Interaction",
        "MST": "Wang, Yang, Liu and Yan 2024, An improved semantic segmentation algorithm for "
        "high-resolution remote sensing images based on DeepLabv3+",
        "alpine": "Kaltenrieder and Damiani, Semantic segmentation of alpine land cover",
        "NPALoss": "Feng et al. 2020, NPALoss: Neighboring Pixel Affinity Loss for Semantic "
        "Segmentation in High-Resolution Aerial Imagery",
    }
)
"""Reference by the name that cards use."""


@dataclass(frozen=True)
class Count:
    """Trainable parameters of a network made with certain options.

    Args:
        parameters: Exact, running statistics left out; an auxiliary head is counted if made.
        classes: Output channels.
        options: Further arguments of `rsseg.models.create`.
    """

    parameters: int
    classes: int
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """Figures a paper printed; None where it did not.

    Args:
        parameters_m: Millions of parameters.
        megabytes: Size in 32 bits, in MiB.
        gflops: Billions of operations in prediction, by the rules of `rsseg.models.complexity`.
    """

    parameters_m: float | None = None
    megabytes: float | None = None
    gflops: float | None = None


@dataclass(frozen=True)
class Card:
    """One network structure.

    Args:
        name: By which `rsseg.models.create` makes it.
        paper: Key of `PAPERS`.
        summary: The structure in a sentence.
        side: Height and width of the image its operations are counted for.
        counts: Parameters; the first in the setting of the paper's own count.
        published: What the paper printed for that setting.
        note: Where the paper's figure is off, and why.
        options: What the architecture's own options mean, by name.
    """

    name: str
    paper: str
    summary: str
    side: int
    counts: tuple[Count, ...]
    published: Published = Published()
    note: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def setting(self) -> Count:
        """Classes and options of the paper's own count."""
        return self.counts[0]
