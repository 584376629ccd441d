"""Digital numbers as radiances at the sensor.

The radiance of a band is ``gain * DN + offset`` in W/(m² sr µm). CRESDA publishes the gains and
offsets of each camera once a year ("absolute radiometric calibration coefficients of domestic
land-observing satellites"); the XML of a level 1A scene does not hold them. The copies of those
tables that circulate disagree, so none is built in: without a table digital numbers are kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rsseg.data.csv_tables import read_csv
from rsseg.data.gaofen1.product import BANDS, Product
from rsseg.errors import OptionError
from rsseg.geo.opening import open_raster

UNIT = "W/(m2 sr um)"
STEP = 0.01
"""Radiance of one step of the uint16 values that are written."""

_COLUMNS = ("band", "gain", "offset")


@dataclass(frozen=True)
class Calibration:
    """From digital numbers to radiances, by band in the order of the multispectral image.

    Args:
        gains: W/(m² sr µm) per digital number, all positive.
        offsets: W/(m² sr µm).

    Raises:
        OptionError: If a band is missing, or a number cannot be.
    """

    gains: tuple[float, ...]
    offsets: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.gains) != len(BANDS) or len(self.offsets) != len(BANDS):
            raise OptionError("calibration needs a gain and an offset of each of the four bands")
        if not all(math.isfinite(value) for value in (*self.gains, *self.offsets)):
            raise OptionError("calibration needs numbers", got=(self.gains, self.offsets))
        if min(self.gains) <= 0:
            raise OptionError("calibration gains must be above 0", got=self.gains)

    def stored(self, numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Radiances in steps of `STEP`, from digital numbers ``(4, h, w)``."""
        gains = np.array(self.gains, np.float32)[:, None, None] / np.float32(STEP)
        offsets = np.array(self.offsets, np.float32)[:, None, None] / np.float32(STEP)
        return np.asarray(numbers * gains + offsets, np.float32)


def calibration_of(product: Product, table: str | Path | None) -> Calibration | None:
    """How to calibrate a scene: by the user's table, else by its TIFF's own scales, else not.

    Raises:
        OptionError: If the table does not serve the scene.
    """
    if table is not None:
        return read_gains(table, product.camera, product.year)
    with open_raster(product.mss.path) as dataset:
        scales, offsets = dataset.scales, dataset.offsets
    told = set(scales) != {1.0} or set(offsets) != {0.0}
    return Calibration(tuple(scales), tuple(offsets)) if told else None


def read_gains(path: str | Path, camera: str, year: int) -> Calibration:
    """Read a CSV with the columns ``band, gain, offset`` and perhaps ``sensor`` and ``year``.

    Bands are blue, green, red and nir; others, such as pan, are passed over. Where a row names a
    sensor (``PMS1``) or a year, it serves scenes of that sensor and year only.

    Args:
        path: The table.
        camera: ``PMS1`` or ``PMS2``.
        year: Year the scene was taken.

    Raises:
        OptionError: If the table cannot be read, or does not have exactly one row for each band.
    """
    path = Path(path)
    found: dict[str, tuple[float, float]] = {}
    for line, row in _rows(path):
        if row.get("sensor", camera) not in ("", camera) or row.get("year", "") not in (
            "",
            str(year),
        ):
            continue
        band = row["band"].lower()
        if band in found:
            raise OptionError(f"{path}, line {line}: a second row for {band} of {camera} in {year}")
        try:
            found[band] = float(row["gain"]), float(row["offset"])
        except ValueError as error:
            raise OptionError(
                f"{path}, line {line}: gain or offset is no number",
                got=f"{row['gain']}, {row['offset']}",
            ) from error
    missing = [band for band in BANDS if band not in found]
    if missing:
        raise OptionError(
            f"{path} has no gain of {', '.join(missing)} for {camera} in {year}",
            expected="rows: band, gain, offset (and perhaps sensor, year)",
        )
    return Calibration(
        tuple(found[band][0] for band in BANDS), tuple(found[band][1] for band in BANDS)
    )


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line numbers and rows, keys in lower case."""
    table = read_csv(path, "a table of gains", OptionError)
    there = [name.lower() for name in table.columns]
    if not set(_COLUMNS) <= set(there):
        raise OptionError(
            f"{path} is no table of gains",
            expected=f"a CSV with the columns {', '.join(_COLUMNS)}",
            got=", ".join(there) or "nothing",
        )
    for line, row in table.rows:
        yield line, {name.lower(): value for name, value in row.items()}
