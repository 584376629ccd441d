"""Which rows of a catalogue lie on or beside the same ground, as adjoining tiles do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

import shapely
from affine import Affine
from rasterio.windows import Window

from rsseg.data.catalogue import LabelledScene
from rsseg.geo.grid import Grid

_SLACK = 0.01  # of a pixel: grids that adjoin do so but for rounding


def neighbour_groups(
    rows: Sequence[LabelledScene], grids: Sequence[Grid], sources: Sequence[int], gap: int
) -> list[int]:
    """Number of the group of each row; rows nearer than the gap, of different sources, share one.

    Rows with a place are compared on the ground, whatever their CRS; those without only with parts
    of the same image.

    Args:
        rows: Rows, or parts of rows.
        grids: What `LabelledScene.footprint` gives for each.
        sources: By row a number; rows of the same number are never compared.
        gap: Distance in pixels of the rows from which on they do not belong together.

    Returns:
        By row the number of the first row of its group.
    """
    groups = list(range(len(rows)))
    for one, other in neighbours(rows, grids, gap):
        if sources[one] != sources[other]:
            first, second = sorted((_first(groups, one), _first(groups, other)))
            groups[second] = first
    return [_first(groups, number) for number in range(len(rows))]


def neighbours(
    rows: Sequence[LabelledScene], grids: Sequence[Grid], gap: int
) -> Iterator[tuple[int, int]]:
    """Numbers of any two rows nearer than the gap, both ways round, and of each and itself.

    Args:
        rows: As of `neighbour_groups`.
        grids: As of `neighbour_groups`.
        gap: As of `neighbour_groups`; with 0 only rows that share ground count.
    """
    frames: dict[str, list[int]] = {}
    for number, (row, grid) in enumerate(zip(rows, grids, strict=True)):
        frame = "" if grid.georeferenced else os.path.realpath(row.image)
        frames.setdefault(frame, []).append(number)
    for here in frames.values():
        plain = [_outline(rows[n], grids[n], 0) for n in here]
        grown = [_outline(rows[n], grids[n], gap - _SLACK) for n in here]
        for one, other in shapely.STRtree(plain).query(grown, predicate="intersects").T.tolist():
            yield here[one], here[other]


def _first(groups: list[int], number: int) -> int:
    """The first row of a row's group, as far as groups were joined."""
    while groups[number] != number:
        groups[number] = groups[groups[number]]
        number = groups[number]
    return number


def _outline(row: LabelledScene, grid: Grid, margin: float) -> shapely.Polygon:
    """The outline of a row, so many pixels larger: in longitude and latitude, or in pixels."""
    if grid.georeferenced:
        return grid.outline(margin, crs="EPSG:4326")
    window = row.window or Window(0, 0, grid.width, grid.height)
    place = Affine.translation(window.col_off, window.row_off)
    return replace(grid, transform=place).outline(margin)
