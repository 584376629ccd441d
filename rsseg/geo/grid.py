"""Shape, affine and CRS of a raster as one value, so that none travels without the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from affine import Affine
from rasterio.crs import CRS
from rasterio.io import DatasetReader
from rasterio.windows import Window

from rsseg.errors import GridMismatch

if TYPE_CHECKING:
    import shapely


@dataclass(frozen=True)
class GroundControl:
    """Points of a raster whose place on the ground is known, where it has no transform.

    Args:
        points: Column and row in pixels, then x, y and z in the CRS.
        crs: Coordinate reference system of the places.
    """

    points: tuple[tuple[float, float, float, float, float], ...]
    crs: CRS

    def moved(self, matrix: Affine) -> GroundControl:
        """The same points in other pixels: ``matrix`` leads from these pixels to those."""
        return GroundControl(
            tuple((*(matrix @ (column, row)), x, y, z) for column, row, x, y, z in self.points),
            self.crs,
        )


@dataclass(frozen=True)
class Grid:
    """A pixel grid on the ground: ``height`` rows, ``width`` columns, affine, CRS (or None).

    ``control`` has the ground control points of a raster that has nothing else; it is not
    ``georeferenced`` by them.
    """

    height: int
    width: int
    transform: Affine
    crs: CRS | None
    control: GroundControl | None = None

    @classmethod
    def of(cls, dataset: DatasetReader) -> Grid:
        """The grid of an open raster."""
        points, crs = dataset.gcps
        control = None
        if points and dataset.crs is None:
            places = ((p.col, p.row, p.x, p.y, p.z or 0.0) for p in points)
            control = GroundControl(tuple(places), crs)
        return cls(dataset.height, dataset.width, dataset.transform, dataset.crs, control)

    def to_json(self) -> dict[str, Any]:
        """Plain types, the inverse of `from_json`."""
        control = self.control and [self.control.crs.to_wkt(), *map(list, self.control.points)]
        return {
            "height": self.height,
            "width": self.width,
            "transform": list(self.transform)[:6],
            "crs": self.crs and self.crs.to_wkt(),
            "control": control,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Grid:
        """Read what `to_json` wrote."""
        crs, control = data["crs"] and CRS.from_wkt(data["crs"]), None
        if data["control"]:
            wkt, *points = data["control"]
            control = GroundControl(tuple(map(tuple, points)), CRS.from_wkt(wkt))
        transform = Affine(*data["transform"])
        return cls(data["height"], data["width"], transform, crs, control)

    def crop(self, window: Window) -> Grid:
        """The grid of a window of whole pixels of this one."""
        column, row = int(window.col_off), int(window.row_off)
        shifted = self.transform @ Affine.translation(column, row)
        control = self.control and self.control.moved(Affine.translation(-column, -row))
        return Grid(int(window.height), int(window.width), shifted, self.crs, control)

    def resized(self, shape: tuple[int, int]) -> Grid:
        """The grid of the same ground with so many rows and columns."""
        rows, columns = shape
        scaled = self.transform @ Affine.scale(self.width / columns, self.height / rows)
        smaller = Affine.scale(columns / self.width, rows / self.height)
        control = self.control and self.control.moved(smaller)
        return Grid(rows, columns, scaled, self.crs, control)

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

    def outline(self, margin: float = 0, *, crs: str | None = None) -> shapely.Polygon:
        """The outline on the ground.

        Args:
            margin: Pixels by which it is larger on every side.
            crs: The CRS to give it in, x or longitude first; the grid's own if None. Its sides are
                then bent at eighths of the longer one, as straight lines are not straight in both.
        """
        import shapely  # most who need a grid need no outline
        from shapely import affinity

        left, top = -margin, -margin
        right, bottom = self.width + margin, self.height + margin
        frame = shapely.Polygon([(left, top), (right, top), (right, bottom), (left, bottom)])
        if crs is not None:
            frame = shapely.segmentize(frame, max(self.width, self.height) / 8)
        here = self.transform
        matrix = [here.a, here.b, here.d, here.e, here.c, here.f]
        placed = affinity.affine_transform(frame, matrix)
        if crs is None:
            return placed
        import pyproj

        assert self.crs is not None
        way = pyproj.Transformer.from_crs(self.crs.to_wkt(), crs, always_xy=True)
        return shapely.transform(placed, way.transform, interleaved=False)

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
