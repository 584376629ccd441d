"""Truth of any kind, open to be compared with a map."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsseg.errors import OptionError
from rsseg.evaluate.counting import Source
from rsseg.evaluate.layers import Layer, PolygonStrips, read_layer
from rsseg.evaluate.matching import Labels, Matching, match
from rsseg.evaluate.rasters import labels_of, require_same_grid
from rsseg.evaluate.rules import Rules
from rsseg.geo.code_raster import CodeRaster
from rsseg.geo.features import is_vector


@dataclass(frozen=True)
class Truth:
    """Truth on the grid of a map.

    Args:
        path: Its file.
        labels: What its codes mean.
        source: Its codes strip by strip, a `CodeRaster` or polygons; None if it is points.
        layer: Of a vector file; None of a raster.
    """

    path: str
    labels: Labels
    source: Source | None
    layer: Layer | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """Its kind (``raster``, ``polygons`` or ``points``), and layer and field of a file."""
        if self.layer is None:
            return {"truth_kind": "raster"}
        told = self.layer
        return {"truth_kind": told.kind, "layer": told.name, "field": told.field}

    def match(self, raster: CodeRaster, rules: Rules) -> Matching:
        """The classes of a map and its truth, by which they can be scored.

        Raises:
            LegendError: If they have nothing in common.
            OptionError: If the rules name a class that is not there, or distances for points.
        """
        matching = match(labels_of(raster), self.labels)
        rules.require_classes(matching)
        if self.source is None:
            refuse(f"{self.path} has points", erode=rules.erode, boundary=rules.boundary)
        return matching


@contextmanager
def opened_truth(
    path: str | Path, raster: CodeRaster, *, field: str | None = None, layer: str | None = None
) -> Iterator[Truth]:
    """Open truth to be compared with an open map.

    Args:
        path: A class raster on the map's grid; or a vector file (`rsseg.geo.features.SUFFIXES`)
            of polygons (the later wins where they overlap) or points with a class.
        raster: The map.
        field: Field of a vector file with the class; ``class`` or ``class_id`` if None.
        layer: Layer of a vector file; the first with geometries if None.

    Raises:
        SceneError: If it cannot be read or is of the wrong kind.
        GridMismatch: If it is a raster on another grid.
        LegendError: If a class is neither a name nor a code.
        OptionError: If a field or layer is given of a raster, or is not there.
    """
    if not is_vector(path):
        refuse(f"{path} is a raster", field=field, layer=layer)
        with CodeRaster(path) as other:
            require_same_grid(raster, other)
            yield Truth(str(path), labels_of(other), other)
        return
    found = read_layer(path, raster.grid, field=field, named=raster.named, layer=layer)
    source = None if found.kind == "points" else PolygonStrips(found, raster.grid)
    yield Truth(str(path), found.labels, source, found)


def refuse(what: str, **options: object) -> None:
    """Refuse options that make no sense for this truth.

    Raises:
        OptionError: If one has a value.
    """
    given = [name for name, value in options.items() if value]
    if given:
        raise OptionError(f"{what}: {' and '.join(given)} cannot be used with it")
