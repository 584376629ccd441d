"""Class rasters as the two sides of a comparison: what their codes mean, and one grid."""

from __future__ import annotations

from rasterio.transform import array_bounds

from rsseg.errors import GridMismatch
from rsseg.evaluate.matching import Labels
from rsseg.geo.code_raster import CodeRaster
from rsseg.legend import NODATA


def labels_of(raster: CodeRaster) -> Labels:
    """What the codes of a class raster mean; without names if the file carries none."""
    names = {known.code: known.name for known in raster.legend} if raster.named else {}
    return Labels(raster.name, names)


def require_same_grid(raster: CodeRaster, truth: CodeRaster) -> None:
    """Check that a map and its truth lie on one grid.

    Raises:
        GridMismatch: If they do not, with the command that puts truth on the map's grid.
    """
    try:
        raster.grid.require_same(truth.grid, raster.name, truth.name)
    except GridMismatch as error:  # its remedy would lose the names of the classes
        raise GridMismatch(
            f"{truth.name} is {truth.grid}, {raster.name} is {raster.grid}",
            remedy=_remedy(raster, truth),
        ) from error


def _remedy(raster: CodeRaster, truth: CodeRaster) -> str:
    """The command that puts truth on the map's grid and keeps its class names (GDAL's tags)."""
    grid = raster.grid
    if truth.grid.crs is None or grid.crs is None or not grid.crs.to_epsg():
        return "georeference both, e.g. with gdal_edit -a_srs EPSG:CODE -a_ullr W N E S"
    west, south, east, north = array_bounds(grid.height, grid.width, grid.transform)
    return (
        f"put truth on the map's grid: gdalwarp -r near -t_srs EPSG:{grid.crs.to_epsg()} "
        f"-te {west:.10g} {south:.10g} {east:.10g} {north:.10g} -ts {grid.width} {grid.height} "
        f"-dstnodata {NODATA} {truth.name} OUT.tif"
    )
