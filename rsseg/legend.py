"""The classes of a map: file code, model index, name and colour, in one value.

A *code* is what stands in a class raster (0-254), an *index* is the channel of a network's
output (0, 1, ... in legend order). Only the Legend converts one into the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.errors import LegendError

NODATA = 255
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class LandClass:
    """One class: its code in files, its name, its colour as 8-bit RGB.

    Raises:
        LegendError: If the code is not 0-254, the name empty, or the colour not three bytes.
    """

    code: int
    name: str
    colour: Colour

    def __post_init__(self) -> None:
        if not 0 <= self.code < NODATA:
            raise LegendError(
                f"class '{self.name}' has an unusable code",
                expected=f"0-{NODATA - 1} ({NODATA} is nodata)",
                got=self.code,
            )
        if not self.name.strip():
            raise LegendError(f"class with code {self.code} has no name")
        if len(self.colour) != 3 or not all(0 <= c <= 255 for c in self.colour):
            raise LegendError(
                f"class '{self.name}' has an unusable colour",
                expected="three numbers 0-255",
                got=self.colour,
            )

    @property
    def hex(self) -> str:
        """The colour as ``#rrggbb``."""
        return "#{:02x}{:02x}{:02x}".format(*self.colour)


@dataclass(frozen=True)
class Legend:
    """The classes of a map in the order of the network's channels; nodata is always 255.

    Raises:
        LegendError: If there is no class, or two share a code or a name.
    """

    classes: tuple[LandClass, ...]

    def __post_init__(self) -> None:
        if not self.classes:
            raise LegendError("a legend needs at least one class")
        for what in ("code", "name"):
            values = [str(getattr(c, what)) for c in self.classes]
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise LegendError(f"two classes share the {what} {', '.join(twice)}")

    @classmethod
    def of(cls, colours: Mapping[str, Colour]) -> Legend:
        """A legend with codes 0, 1, 2, ... from names and colours in order."""
        return cls(tuple(LandClass(i, name, rgb) for i, (name, rgb) in enumerate(colours.items())))

    def __len__(self) -> int:
        return len(self.classes)

    def __iter__(self) -> Iterator[LandClass]:
        return iter(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names by index."""
        return tuple(c.name for c in self.classes)

    @property
    def codes(self) -> npt.NDArray[np.uint8]:
        """File code by index, uint8, shape ``(K,)``."""
        return np.array([c.code for c in self.classes], dtype=np.uint8)

    @property
    def indices(self) -> npt.NDArray[np.uint8]:
        """Index by file code, uint8, shape ``(256,)``; 255 for codes of no class."""
        table = np.full(256, NODATA, dtype=np.uint8)
        table[self.codes] = np.arange(len(self), dtype=np.uint8)
        return table

    def by_code(self, code: int) -> LandClass | None:
        """The class with this file code, or None."""
        return next((c for c in self.classes if c.code == code), None)

    def to_json(self) -> list[dict[str, Any]]:
        """Plain lists and dicts, the inverse of `from_json`."""
        return [{"code": c.code, "name": c.name, "colour": list(c.colour)} for c in self.classes]

    @classmethod
    def from_json(cls, rows: list[dict[str, Any]]) -> Legend:
        """Read what `to_json` wrote.

        Raises:
            LegendError: If a row lacks a field or the rows contradict each other.
        """
        try:
            classes = tuple(
                LandClass(int(row["code"]), str(row["name"]), _colour(row["colour"]))
                for row in rows
            )
        except (KeyError, TypeError, ValueError) as error:
            raise LegendError(
                "a class of the legend is incomplete", expected="code, name, colour", got=error
            ) from error
        return cls(classes)


LAND_COVER = Legend.of(
    {
        "building": (214, 69, 65),
        "land": (222, 203, 164),
        "road": (120, 120, 128),
        "vegetation": (76, 153, 62),
        "water": (52, 120, 196),
    }
)
"""Classes of the embedded model, alphabetical, so that codes are 0-4."""


def _colour(value: object) -> Colour:
    red, green, blue = (int(v) for v in value)  # type: ignore[attr-defined]
    return red, green, blue
