"""Numbers as people read them; a space that does not break stands before units."""

from __future__ import annotations

import math
from dataclasses import dataclass

SPACE = "\N{NO-BREAK SPACE}"
NOTHING = "\N{EN DASH}"
"""What stands where there is no number."""


@dataclass(frozen=True)
class AreaUnit:
    """A unit of area: its sign, and its square metres."""

    sign: str
    square_metres: float

    def told(self, area: float) -> str:
        """An area in m² in this unit, with three digits or more."""
        return f"{digits(area / self.square_metres)}{SPACE}{self.sign}"


SQUARE_METRES = AreaUnit("m²", 1.0)
HECTARES = AreaUnit("ha", 1e4)
SQUARE_KILOMETRES = AreaUnit("km²", 1e6)


def area_unit(area: float) -> AreaUnit:
    """The unit in which parts of an area in m² are told: m² to a hectare, ha to ten km², km²."""
    if area < 1e4:
        return SQUARE_METRES
    return HECTARES if area < 1e7 else SQUARE_KILOMETRES


def digits(value: float) -> str:
    """A number from 0 with at least three digits, thousands apart."""
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(value))) if value < 100 else 0
    return f"{value:,.{min(places, 6)}f}"


def share(part: float | None) -> str:
    """A fraction in percent; what is little, but not nothing, is told as such."""
    if part is None or math.isnan(part):
        return NOTHING
    if 0 < part < 0.0005:
        return f"<{SPACE}0.1{SPACE}%"
    return f"{100 * part:.1f}{SPACE}%"


def score(value: float | None) -> str:
    """A score of 0-1 with three decimals."""
    return NOTHING if value is None else f"{value:.3f}"


def count(number: int) -> str:
    """A whole number, thousands apart."""
    return f"{number:,}"


def degrees(longitude: float, latitude: float) -> str:
    """A place as latitude and longitude, to about a metre."""
    north, east = "N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W"
    return f"{abs(latitude):.5f}°{SPACE}{north}, {abs(longitude):.5f}°{SPACE}{east}"


def length(metres: float) -> str:
    """A round length in mm, m or km."""
    if metres >= 1000:
        return f"{metres / 1000:g}{SPACE}km"
    return f"{metres:g}{SPACE}m" if metres >= 1 else f"{metres * 1000:g}{SPACE}mm"


def round_length(most: float) -> float:
    """The largest of 1, 2, 5, 10, 20, ... (or of their parts of ten) up to a length above 0."""
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (5, 2, 1) if step * power <= most * (1 + 1e-9))
