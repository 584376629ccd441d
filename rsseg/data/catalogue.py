"""The table of labelled scenes: which image goes with which label, split and group."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from affine import Affine
from rasterio.windows import Window

from rsseg.errors import CatalogueError, GridMismatch
from rsseg.geo.features import is_vector
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster


@dataclass(frozen=True)
class LabelledScene:
    """One row: a scene, its label, its split and its group.

    The label is a class raster on the grid of the image, or a vector file of polygons.

    Args:
        image: The picture.
        label: Class raster, or polygons with a class.
        split: Name of its split.
        group: What belongs in one split: a tile, a flight, a town.
        field: Field of the polygons that holds class names or codes; ``class`` or ``class_id`` if
            None.
        areas: Vector file of the areas that were annotated; outside them all is unlabelled.
        background: Class of what lies in no polygon; without it, that is unlabelled.
        window: The part of the image that this row is about, in whole pixels; all of it if None.

    Raises:
        CatalogueError: If ``field``, ``areas`` or ``background`` come with a raster.
    """

    image: Path
    label: Path
    split: str
    group: str
    field: str | None = None
    areas: Path | None = None
    background: str | None = None
    window: Window | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("field", "areas", "background") if getattr(self, name)]
        if given and not self.polygons:
            raise CatalogueError(
                f"{self.label} is a raster", expected=f"no {', '.join(given)}, or a vector file"
            )

    @property
    def polygons(self) -> bool:
        """Whether the label is a vector file."""
        return is_vector(self.label)

    def grid(self, label_stride: int = 1) -> Grid:
        """The grid of the image, or of the part that the row is about.

        Args:
            label_stride: Image pixels along a side of a label pixel.

        Raises:
            GridMismatch: If the label raster does not lie on it.
            CatalogueError: If the window leaves the image.
            SceneError: If a file cannot be opened.
        """
        grid = self._image_grid()
        if not self.polygons:
            with open_raster(self.label) as label:
                theirs = Grid.of(label)
            if label_stride > 1:
                theirs = _finer(theirs, label_stride, self)
            _require_same(grid, theirs, self)
        return self._part_of(grid)

    def footprint(self) -> Grid:
        """The grid of the image, or of the part that the row is about, whatever its label.

        Raises:
            CatalogueError: If the window leaves the image.
            SceneError: If the image cannot be opened.
        """
        return self._part_of(self._image_grid())

    def _image_grid(self) -> Grid:
        with open_raster(self.image) as image:
            return Grid.of(image)

    def _part_of(self, grid: Grid) -> Grid:
        """The grid of the image cropped to the row's window."""
        if self.window is None:
            return grid
        rows, columns = self.window.toranges()
        if min(rows[0], columns[0]) < 0 or rows[1] > grid.height or columns[1] > grid.width:
            raise CatalogueError(
                f"the window {self.window} leaves {self.image}",
                expected=f"within {grid.width} x {grid.height} pixels",
            )
        return grid.crop(self.window)


@dataclass(frozen=True)
class Catalogue:
    """Labelled scenes in a fixed order.

    Raises:
        CatalogueError: If there are none, or the same part of an image is listed twice.
    """

    scenes: tuple[LabelledScene, ...]

    def __post_init__(self) -> None:
        if not self.scenes:
            raise CatalogueError("the catalogue lists no scene")
        # one file may be written in several ways: ./a.tif, ../data/a.tif
        times = Counter((os.path.realpath(s.image), str(s.window)) for s in self.scenes)
        (image, window), most = times.most_common(1)[0]
        if most > 1:
            part = "" if window == "None" else f" with {window}"
            raise CatalogueError(f"the catalogue lists {image}{part} more than once")

    def __len__(self) -> int:
        return len(self.scenes)

    def __iter__(self) -> Iterator[LabelledScene]:
        return iter(self.scenes)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, sorted."""
        return tuple(sorted({scene.split for scene in self.scenes}))

    def split(self, name: str) -> Catalogue:
        """The scenes of one split.

        Raises:
            CatalogueError: If no scene is in it.
        """
        chosen = tuple(scene for scene in self.scenes if scene.split == name)
        if not chosen:
            raise CatalogueError(
                f"no scene is in the split '{name}'", expected=", ".join(self.splits)
            )
        return Catalogue(chosen)


def _require_same(image: Grid, label: Grid, scene: LabelledScene) -> None:
    """Check that both are one grid; what is more than a shift or a warp has its own remedy."""
    try:
        image.require_same(label, str(scene.image), str(scene.label))
    except GridMismatch:
        shape, sides = (image.height, image.width), (label.height, label.width)
        stride = image.height // label.height
        if stride > 1 and shape == (stride * sides[0], stride * sides[1]):
            raise GridMismatch(
                f"a pixel of {scene.label} is {stride} x {stride} pixels of {scene.image}",
                remedy=f"if they lie so, say --label-stride {stride}, or label_stride in a recipe",
            ) from None
        placeless = label.crs is None and label.transform in (Affine.identity(), image.transform)
        if image.georeferenced and placeless and shape == sides:
            raise GridMismatch(
                f"{scene.label} has the size of {scene.image}, but no place on the ground",
                remedy=f"give it that of the image: rio edit-info {scene.label} --like "
                f"{scene.image} --crs like --transform like",
            ) from None
        raise


def _finer(grid: Grid, stride: int, scene: LabelledScene) -> Grid:
    """The grid of an image whose label has pixels of so many of its own."""
    finer = grid.resized((grid.height * stride, grid.width * stride))
    if scene.window and any(int(v) % stride for v in scene.window.flatten()):
        raise GridMismatch(
            f"the window {scene.window} of {scene.image} cuts pixels of its label",
            expected=f"multiples of {stride}",
        )
    return finer
