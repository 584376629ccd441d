"""Sensor images on a grid of the ground, by their RPC and the heights of a DEM.

The warping is GDAL's: each pixel of the ground grid goes through the RPC to a place in the sensor
image, where the image is interpolated. With a DEM this is exact to a thousandth of a pixel; with a
constant height GDAL interpolates it along rows of a tile, to a few hundredths.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio._err import CPLE_BaseError  # what warping raises beside; it has no public name
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import Resampling, calculate_default_transform, reproject, transform_bounds
from rasterio.windows import Window

from rsseg.data.gaofen1.product import MSS_GSD, PAN_GSD, RATIO, Image, Product
from rsseg.errors import SceneError
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster
from rsseg.geo.quiet import quietly
from rsseg.geo.writing import tiled_geotiff

LONGLAT = CRS.from_epsg(4326)

_TILE = 1024.0
"""Side of the tiles that are warped at once, metres; fixed, for it decides on the last digit."""


def common_grid(product: Product, dem: str | Path | None = None) -> Grid:
    """The 2 m grid of the ground that both images show, in the UTM zone of the scene's centre.

    Its corners are multiples of 8 m, so that each 8 m cell holds exactly 4 x 4 pixels.

    Raises:
        SceneError: If the DEM cannot be used (see `require_dem`).
    """
    if dem is not None:
        require_dem(dem, product)
    rpc = product.pan.rpc
    crs = utm_zone(rpc.long_off, rpc.lat_off)
    sides = []
    for image in (product.pan, product.mss):
        try:
            transform, width, height = calculate_default_transform(
                LONGLAT,
                crs,
                image.width,
                image.height,
                rpcs=image.rpc,
                resolution=image.gsd,
                **_heights(image, dem),
            )
        except (RasterioError, CPLE_BaseError) as error:
            raise SceneError(f"the RPC of {image.path} leads to no place: {error}") from error
        west, north = transform.c, transform.f
        sides.append((west, north - height * image.gsd, west + width * image.gsd, north))
    wests, souths, easts, norths = zip(*sides, strict=True)
    left, bottom = math.ceil(max(wests) / MSS_GSD), math.ceil(max(souths) / MSS_GSD)
    right, top = math.floor(min(easts) / MSS_GSD), math.floor(min(norths) / MSS_GSD)
    if left >= right or bottom >= top:
        raise SceneError(f"the images of {product.name} show no common ground")
    transform = Affine(PAN_GSD, 0, left * MSS_GSD, 0, -PAN_GSD, top * MSS_GSD)
    return Grid((top - bottom) * RATIO, (right - left) * RATIO, transform, crs)


def orthorectify(
    image: Image,
    grid: Grid,
    out: str | Path,
    *,
    dem: str | Path | None = None,
    on_tile: Callable[[], None] = lambda: None,
) -> None:
    """Write an image on a grid of the ground, cubic, as a tiled GeoTIFF with nodata 0.

    A pixel is invalid where all bands of the image are 0 or the image ends.

    Args:
        image: What to write.
        grid: Where to; its pixels should have about the size of the image's.
        out: Target, uint16.
        dem: Heights above the ellipsoid, metres (or above a geoid that its CRS names); the height
            the RPC is centred on is taken where it has none, and everywhere if None.
        on_tile: Called after each tile.

    Raises:
        SceneError: If the image is damaged.
    """
    side = round(_TILE / image.gsd)
    with open_raster(image.path) as source:
        bands = list(source.indexes)
        profile = tiled_geotiff(grid, len(bands), "uint16", side, nodata=0, bigtiff="if_safer")
        with rasterio.open(out, "w", **profile) as target:
            for window in tiles(grid, side):
                part = grid.crop(window)
                pixels = np.zeros((len(bands), part.height, part.width), np.uint16)
                try:
                    reproject(
                        rasterio.band(source, bands),
                        pixels,
                        rpcs=image.rpc,
                        src_crs=LONGLAT,
                        src_nodata=0,
                        dst_crs=part.crs,
                        dst_transform=part.transform,
                        dst_nodata=0,
                        resampling=Resampling.cubic,
                        UNIFIED_SRC_NODATA="YES",
                        XSCALE=1,  # else it is measured on each tile, and differs
                        YSCALE=1,
                        **_heights(image, dem),
                    )
                except (RasterioError, CPLE_BaseError) as error:
                    raise SceneError(
                        f"{image.path} cannot be read",
                        remedy="it is damaged or incomplete, unpack its archive again",
                    ) from error
                target.write(pixels, window=window)
                on_tile()


def count_tiles(image: Image, grid: Grid) -> int:
    """How often `orthorectify` calls ``on_tile``."""
    return sum(1 for _ in tiles(grid, round(_TILE / image.gsd)))


def tiles(grid: Grid, side: int) -> Iterator[Window]:
    """Square windows that cover a grid row by row; the last ones are smaller."""
    for row in range(0, grid.height, side):
        for column in range(0, grid.width, side):
            height, width = min(side, grid.height - row), min(side, grid.width - column)
            yield Window(column, row, width, height)


def utm_zone(longitude: float, latitude: float) -> CRS:
    """The UTM zone on WGS 84 of a place in degrees."""
    zone = min(int((longitude + 180) // 6) + 1, 60)
    return CRS.from_epsg((32600 if latitude >= 0 else 32700) + zone)


def require_dem(dem: str | Path, product: Product) -> None:
    """Check that a DEM has a CRS and covers the ground of a scene.

    Raises:
        SceneError: If it does not, or cannot be opened.
    """
    with open_raster(dem) as dataset:
        grid = Grid.of(dataset)
        if not grid.georeferenced:
            raise SceneError(
                f"the DEM {dem} has no CRS",
                remedy=f"give it its place, e.g. rio edit-info {dem} --crs EPSG:4326",
            )
        with quietly():
            there = transform_bounds(grid.crs, LONGLAT, *dataset.bounds)
    for image in (product.pan, product.mss):
        west, south, east, north = image.footprint()
        if west < there[0] or south < there[1] or east > there[2] or north > there[3]:
            raise SceneError(
                f"the DEM {dem} does not cover {product.name}",
                expected=f"{west:.3f}, {south:.3f}, {east:.3f}, {north:.3f} degrees",
                got=", ".join(f"{value:.3f}" for value in there),
                remedy="take a larger one",
            )


def _heights(image: Image, dem: str | Path | None) -> dict[str, Any]:
    """GDAL's options of the RPC transformer."""
    if dem is None:
        return {"RPC_HEIGHT": image.rpc.height_off}
    return {
        "RPC_DEM": str(dem),
        "RPC_DEM_INTERPOLATION": "BILINEAR",
        "RPC_DEM_MISSING_VALUE": image.rpc.height_off,
    }
