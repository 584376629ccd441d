"""Shape, affine and CRS of a raster as one value, so that none travels without the others."""

from __future__ import annotations

from dataclasses import dataclass

from affine import Affine
from rasterio.crs import CRS
from rasterio.io import DatasetReader
from rasterio.windows import Window

from rsseg.errors import GridMismatch


@dataclass(frozen=True)
class Grid:
    """A pixel grid on the ground: ``height`` rows, ``width`` columns, affine, CRS (or None)."""

    height: int
    width: int
    transform: Affine
    crs: CRS | None

    @classmethod
    def of(cls, dataset: DatasetReader) -> Grid:
        """The grid of an open raster."""
        return cls(dataset.height, dataset.width, dataset.transform, dataset.crs)

    def crop(self, window: Window) -> Grid:
        """The grid of a window of whole pixels of this one."""
        column, row = int(window.col_off), int(window.row_off)
        shifted = self.transform @ Affine.translation(column, row)
        return Grid(int(window.height), int(window.width), shifted, self.crs)

    def resized(self, shape: tuple[int, int]) -> Grid:
        """The grid of the same ground with so many rows and columns."""
        rows, columns = shape
        scaled = self.transform @ Affine.scale(self.width / columns, self.height / rows)
        return Grid(rows, columns, scaled, self.crs)

    @property
    def georeferenced(self) -> bool:
        """Whether pixels have a place on the ground."""
        return self.crs is not None and self.transform != Affine.identity()

    @property
    def gsd(self) -> float | None:
        """Ground sample distance in metres, the mean of both axes; None if not in length units."""
        if not self.georeferenced or self.crs is None or not self.crs.is_projected:
            return None
        a, b, d, e = self.transform.a, self.transform.b, self.transform.d, self.transform.e
        per_column, per_row = (a * a + d * d) ** 0.5, (b * b + e * e) ** 0.5
        return float((per_column + per_row) / 2 * self.crs.linear_units_factor[1])

    def require_same(self, other: Grid, mine: str, theirs: str) -> None:
        """Check that both grids are one.

        Args:
            other: The grid to compare with.
            mine: Name of this raster, for the message.
            theirs: Name of the other.

        Raises:
            GridMismatch: If shape, affine (to a hundredth of a pixel) or CRS differ.
        """
        if self._same(other):
            return
        raise GridMismatch(
            f"{theirs} is {other}, {mine} is {self}",
            remedy=f"warp one of them, e.g. rio warp {theirs} OUT.tif --like {mine}",
        )

    def _same(self, other: Grid) -> bool:
        if (self.height, self.width) != (other.height, other.width) or self.crs != other.crs:
            return False
        corners = [(0, 0), (self.width, 0), (0, self.height), (self.width, self.height)]
        to_pixels = ~self.transform
        return all(
            max(abs(x - column), abs(y - row)) < 0.01
            for column, row in corners
            for x, y in [to_pixels @ (other.transform @ (column, row))]
        )

    def __str__(self) -> str:
        crs = self.crs.to_string() if self.crs else "without CRS"
        if len(crs) > 40:
            crs = crs[:37] + "..."
        corner = f"({self.transform.c:.10g}, {self.transform.f:.10g})"
        return f"{self.width} x {self.height} pixels of {self.transform.a:g} at {corner} {crs}"
