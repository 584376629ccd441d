"""Semantic segmentation of aerial imagery, Dubai (Humans in the Loop, MBRSC; CC0).

RGB pictures ``images/tileT_part_NNN.jpg`` with colour-coded ``masks/tileT_part_NNN.png``, not
georeferenced. Parts of one tile adjoin, so a split must go by tile.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.enums import ColorInterp

from rsseg.data.catalogue import Catalogue, LabelledScene, write_catalogue
from rsseg.data.labels import decode_colours
from rsseg.errors import CatalogueError
from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.geo.scene import open_raster
from rsseg.legend import LAND_COVER, NODATA

VALIDATION_TILES = ("2", "7")
"""Tiles held out by default: both hold all five classes, 42 % of the pixels."""

_CODES = {
    (60, 16, 152): 0,
    (132, 41, 246): 1,
    (110, 193, 228): 2,
    (254, 221, 58): 3,
    (226, 169, 41): 4,
    (155, 155, 155): NODATA,
    (0, 0, 0): NODATA,
}
_NAME = re.compile(r"tile(\d+)_part_\d+")


def prepare(
    source: str | Path,
    target: str | Path,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Catalogue:
    """Turn the published folder into tiled GeoTIFFs and ``catalogue.csv``.

    Args:
        source: Folder with ``images`` and ``masks``.
        target: Folder to write to; made if missing.
        on_progress: Called with files done and files in all.

    Raises:
        CatalogueError: If pictures or masks are missing, or a name does not tell its tile.
        LegendError: If a mask holds a colour that the dataset does not define.
    """
    source, target = Path(source), Path(target)
    images = sorted((source / "images").glob("*.jpg"))
    if not images:
        raise CatalogueError(
            f"{source} is not the Dubai dataset",
            expected="images/tileT_part_NNN.jpg and masks/tileT_part_NNN.png",
            remedy="download 'Semantic segmentation of aerial imagery' by Humans in the Loop",
        )
    target.mkdir(parents=True, exist_ok=True)
    scenes = []
    for done, image in enumerate(images):
        scenes.append(_convert(image, source / "masks" / f"{image.stem}.png", target))
        on_progress(done + 1, len(images))
    catalogue = Catalogue(tuple(scenes))
    write_catalogue(target / "catalogue.csv", catalogue)
    return catalogue


def _convert(image: Path, mask: Path, target: Path) -> LabelledScene:
    name = _NAME.fullmatch(image.stem)
    if name is None:
        raise CatalogueError(f"{image} does not tell its tile", expected="tileT_part_NNN.jpg")
    if not mask.is_file():
        raise CatalogueError(f"{image} has no mask", expected=mask)
    tile = name.group(1)
    pixels, colours = _read(image), _read(mask)
    if pixels.shape != colours.shape:
        raise CatalogueError(f"{mask} is {colours.shape}, {image} is {pixels.shape}")
    codes = decode_colours(colours, _CODES, str(mask))
    scene = LabelledScene(
        target / f"{image.stem}.tif",
        target / f"{image.stem}_label.tif",
        "val" if tile in VALIDATION_TILES else "train",
        f"tile{tile}",
    )
    grid = Grid(pixels.shape[1], pixels.shape[2], Affine.identity(), None)
    write_raster(scene.image, pixels, grid)
    write_raster(scene.label, codes[np.newaxis], grid, nodata=NODATA, legend=LAND_COVER)
    return scene


def _read(path: Path) -> npt.NDArray[np.uint8]:
    """RGB bytes ``(3, h, w)``; some of the masks are paletted."""
    with open_raster(path) as dataset:
        if dataset.count >= 3:
            return np.asarray(dataset.read((1, 2, 3)), dtype=np.uint8)
        if dataset.colorinterp[0] != ColorInterp.palette:
            raise CatalogueError(f"{path} has {dataset.count} bands", expected="RGB or a palette")
        palette = np.zeros((256, 3), dtype=np.uint8)
        for index, colour in dataset.colormap(1).items():
            palette[index] = colour[:3]
        return np.moveaxis(palette[dataset.read(1)], -1, 0)
