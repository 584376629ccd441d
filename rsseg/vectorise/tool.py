"""``vectorise``: a class raster in, a vector layer of polygons out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from rsseg.errors import OptionError, SceneError
from rsseg.geo.class_raster import read_legend
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster
from rsseg.legend import NODATA
from rsseg.vectorise.layers import LON_LAT, format_of, require_writable, writing
from rsseg.vectorise.measure import Measure
from rsseg.vectorise.polygons import (
    Polygons,
    on_ground,
    outlines_of_band,
    require_connectivity,
)

_LONGEST_EDGE = 16
"""Pixels; a longer straight edge would leave its place when only its ends are reprojected."""


@dataclass(frozen=True)
class VectoriseResult:
    """What was written.

    ``classes`` has the polygons by class name, in the order of codes, of the classes found;
    ``crs`` is the coordinate reference system of the file.
    """

    out: str
    layer: str
    crs: str
    polygons: int
    classes: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dicts."""
        return asdict(self)


def vectorise(
    raster: str | Path,
    out: str | Path,
    *,
    layer: str | None = None,
    connectivity: int = 4,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> VectoriseResult:
    """Write the polygons of a class raster, with their classes, areas and perimeters.

    The polygons follow the pixels exactly, have no seams and leave nodata free. Areas (m²) and
    perimeters (m) are geodesic where the CRS is geographic.

    Args:
        raster: One band of 8-bit codes; 255 and the file's own nodata get no polygon.
        out: ``.gpkg``, ``.fgb`` or ``.geojson`` (the last in longitude and latitude).
        layer: Name of the layer; that of the file without suffix if None.
        connectivity: 4 joins pixels by edges; 8 also by corners, into MultiPolygons.
        overwrite: Whether to replace ``out`` if it is there.
        on_progress: Called with pixels done and pixels in all.

    Raises:
        SceneError: If the raster cannot be read, is no class raster or has no place.
        LegendError: If its legend contradicts itself.
        OptionError: If the format or connectivity is none of those.
        OutputError: If the output is there already or cannot be written.
    """
    out = Path(out)
    require_connectivity(connectivity)
    require_writable(out, overwrite=overwrite)
    if out.exists() and out.resolve() == Path(raster).resolve():
        raise OptionError(f"{out} would replace its own raster", remedy="write to another file")
    with open_raster(raster) as dataset:
        _require_class_raster(dataset)
        grid = Grid.of(dataset)
        measure = Measure(grid, dataset.name)
        names = _class_names(dataset)
        name = layer or out.stem
        reprojected = format_of(out).lon_lat and measure.crs != LON_LAT
        with writing(out, name, measure.crs, multi=connectivity == 8) as target:
            counts = np.zeros(256, dtype=np.int64)
            for outlines, codes in _outlines(dataset, connectivity, on_progress):
                polygons = on_ground(outlines, grid.transform)
                areas, perimeters = measure(outlines, polygons)
                if reprojected:
                    split = shapely.segmentize(outlines, _LONGEST_EDGE)
                    polygons = on_ground(split, grid.transform)
                target.add(polygons, codes, names[codes], areas, perimeters)
                counts += np.bincount(codes, minlength=256)
    found = np.flatnonzero(counts)
    return VectoriseResult(
        out=str(out),
        layer=name,
        crs=(LON_LAT if reprojected else measure.crs).to_string(),
        polygons=int(counts.sum()),
        classes={str(names[code]): int(counts[code]) for code in found},
    )


def _outlines(
    dataset: DatasetReader, connectivity: int, on_progress: Callable[[int, int], None]
) -> Iterator[tuple[Polygons, npt.NDArray[np.int64]]]:
    """Batches of outlines of the valid pixels, in pixel coordinates, and their codes."""
    total = dataset.width * dataset.height
    damaged = SceneError(
        f"{dataset.name} cannot be read",
        remedy="the file is damaged or incomplete, copy or download it again",
    )
    try:
        mask = _mask(dataset)
        done = 0 if mask is None else int(total - np.count_nonzero(mask))
        for outlines, codes in outlines_of_band(dataset, mask, connectivity):
            valid = (codes != NODATA) & (codes != dataset.nodata)
            if valid.any():
                yield outlines[valid], codes[valid]
            done += round(float(shapely.area(outlines).sum()))
            on_progress(done, total)
    except RasterioError as error:
        raise damaged from error
    if done != total:  # rasterio ends in silence where GDAL cannot read on
        raise damaged


def _mask(dataset: DatasetReader) -> npt.NDArray[np.uint8] | None:
    """Zero where the raster's mask band hides pixels; None if it has none.

    Nodata is no reason for a mask, one byte for each pixel: its polygons are left out by value.
    """
    if MaskFlags.per_dataset not in dataset.mask_flag_enums[0]:
        return None
    return np.asarray(dataset.read_masks(1))


def _class_names(dataset: DatasetReader) -> npt.NDArray[np.object_]:
    """Name by code, ``(256,)``; codes that the legend does not know have one as well."""
    names = np.array([f"class {code}" for code in range(256)], dtype=object)
    for known in read_legend(dataset):
        names[known.code] = known.name
    return names


def _require_class_raster(dataset: DatasetReader) -> None:
    name = dataset.name
    if dataset.count != 1 or dataset.dtypes[0] != "uint8":
        bands = "1 band" if dataset.count == 1 else f"{dataset.count} bands"
        raise SceneError(
            f"{name} is not a class raster",
            expected="one band of 8-bit codes",
            got=f"{bands} of {dataset.dtypes[0]}",
        )
    if dataset.crs is None and dataset.gcps[0]:
        raise SceneError(
            f"{name} has ground control points but no transform",
            remedy="warp it first, e.g. gdalwarp -r near",
        )
