"""One's own folder: images with masks, or scenes with polygons, as a catalogue.

Images that are GeoTIFFs stay where they are, and so do polygons and class rasters of rsseg; all
else is written anew as tiled GeoTIFFs: of a PNG or JPEG each window would decode the whole picture.
Nothing is resampled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import rasterio
import rasterio.shutil
from rasterio.enums import ColorInterp

from rsseg.data.catalogue import Catalogue
from rsseg.data.datasets.class_tables import FILE, write_classes
from rsseg.data.datasets.mask_labels import MaskLabels, parse_unlabelled
from rsseg.data.datasets.matching import RASTERS, Found, Key, find, folder_splits, match, names
from rsseg.data.datasets.polygon_labels import PolygonLabels
from rsseg.data.datasets.published import Prepared
from rsseg.data.datasets.reading import open_strictly, read_all, read_rgb
from rsseg.data.splits import assign_splits
from rsseg.data.tables import write_catalogue
from rsseg.data.targets import begin_target, make_folder
from rsseg.errors import CatalogueError, OptionError, OutputError
from rsseg.geo.class_raster import write_raster
from rsseg.geo.features import SUFFIXES
from rsseg.geo.grid import Grid
from rsseg.geo.writing import writing

IMAGES = ("**/images/**/*",)
MASKS = ("**/masks/**/*", "**/labels/**/*")
"""Patterns of the files, unless others are given."""
VAL_SHARE = 0.2
"""Share of the validation split, unless folders tell the splits."""


@dataclass(frozen=True)
class FolderOptions:
    """How a folder is laid out, and how to split it.

    Args:
        images: Patterns of the images below the folder.
        masks: Patterns of the masks; names agree where images and masks have wildcards.
        polygons: A vector file for all images, by its path or its name in the folder, or a pattern
            of one for each.
        class_field: Field of the polygons that holds class names or codes.
        areas: What was annotated, a vector file or a pattern; outside all is unlabelled.
        background: Class of what lies in no polygon.
        classes: ``a,b,c``, or a CSV with the columns ``name`` and maybe ``code, colour, value``.
        unlabelled: Codes or colours in masks that mean no class.
        val_share: Share of the images to validate on; `VAL_SHARE` if None.
        group: Regular expression found in an image's name: images that agree in what it captures
            stay in one split.
        seed: Another seed, other splits.

    Raises:
        OptionError: If they contradict each other, or one cannot be used.
    """

    images: tuple[str, ...] = IMAGES
    masks: tuple[str, ...] = MASKS
    polygons: str | None = None
    class_field: str | None = None
    areas: str | None = None
    background: str | None = None
    classes: str | None = None
    unlabelled: tuple[str, ...] = ()
    val_share: float | None = None
    group: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        of_polygons = {
            "--class-field": self.class_field,
            "--areas": self.areas,
            "--background": self.background,
        }
        of_masks = {"--masks": self.masks != MASKS, "--unlabelled": self.unlabelled}
        without = of_polygons if self.polygons is None else of_masks
        given = [option for option, value in without.items() if value]
        if given:
            need = "--polygons" if self.polygons is None else "masks, without --polygons"
            raise OptionError(f"{given[0]} is for {need}")
        if self.val_share is not None and not 0 <= self.val_share < 1:
            raise OptionError("--val-share is a share", expected="0-1", got=self.val_share)
        try:
            re.compile(self.group or "")
        except re.error as error:
            raise OptionError(
                f"--group '{self.group}' is no regular expression: {error}"
            ) from error
        parse_unlabelled(self.unlabelled)


def prepare_folder(
    source: str | Path,
    target: str | Path,
    options: FolderOptions = FolderOptions(),
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Prepared:
    """Write ``catalogue.csv``, ``classes.csv`` and what must be converted into a folder.

    Everything is looked through before anything is written.

    Args:
        source: Folder of the images and their labels.
        target: Folder to write to; made if missing.
        options: How the folder is laid out.
        on_progress: Called with images done and images in all.

    Raises:
        CatalogueError: If nothing is found, an image has no label or two, or names clash.
        LegendError: If a label holds what is no class.
        GridMismatch: If a mask lies on another grid than its image.
        OptionError: If an option does not fit the folder.
        SceneError: If a file cannot be read.
        OutputError: If a file cannot be written.
    """
    source, target = Path(source), Path(target)
    if not source.is_dir():
        raise CatalogueError(f"there is no folder {source}")
    if source.resolve() == target.resolve():
        raise OutputError(f"{target} is the source itself", remedy="choose another target")
    images = find(source, options.images, RASTERS, target)
    if not images:
        raise CatalogueError(
            f"no file in {source} matches {' or '.join(options.images)}",
            remedy="say where the images are, e.g. --images 'sat/*.tif'",
        )
    if options.polygons is None:
        masks = find(source, options.masks, RASTERS, target)
        labels: MaskLabels | PolygonLabels = MaskLabels(
            images, masks, options.classes, options.unlabelled
        )
    else:
        labels = _polygons(source, target, images, options)
    splits, groups, note = _splits(labels.images, source, options)
    if not labels.images:
        raise CatalogueError(f"no image is labelled; {labels.left_out[0]}")
    called = names(labels.images, source)
    table = begin_target(target)
    scenes = []
    for done, image in enumerate(labels.images):
        file = f"{called[image.key]}.tif"
        taken = _take(image.path, target / "images" / file)
        split, group = splits[image.key], groups[image.key]
        scenes.append(labels.scene(image, taken, split, group, target / "labels" / file))
        on_progress(done + 1, len(labels.images))
    catalogue = Catalogue(tuple(scenes))
    write_classes(target / FILE, labels.legend)
    write_catalogue(table, catalogue)
    return Prepared(catalogue, tuple(labels.left_out), (*labels.notes, *note))


def _polygons(
    source: Path, target: Path, images: Sequence[Found], options: FolderOptions
) -> PolygonLabels:
    of: list[dict[Key, Path]] = []
    unused: list[Path] = []
    for what, text in (("vector file", options.polygons), ("file of areas", options.areas)):
        if text is None:
            of.append({})
        elif one := next((p for p in (Path(text), source / text) if p.is_file()), None):
            of.append({image.key: one for image in images})
        else:
            found = find(source, [text], SUFFIXES, target)
            if not found:
                raise CatalogueError(
                    f"there is no file {text}, and none in {source} matches this pattern"
                )
            matched, lonely = match(images, found, what, ", or name one file for all")
            of.append(matched)
            unused += lonely
    labels = PolygonLabels(
        images,
        *of,
        field=options.class_field,
        background=options.background,
        classes=options.classes,
    )
    labels.left_out += [f"{path}: no image goes with it" for path in unused]
    return labels


def _splits(
    images: Sequence[Found], source: Path, options: FolderOptions
) -> tuple[Mapping[Key, str], Mapping[Key, str], list[str]]:
    """Split and group by image, and what to say of them."""
    called = names(images, source)
    groups = {image.key: _group(image, options.group, called[image.key]) for image in images}
    told = folder_splits(images, source)
    if told is not None and options.val_share is not None:
        raise OptionError("--val-share cannot be used: folders tell the splits")
    if told is None:
        share = VAL_SHARE if options.val_share is None else options.val_share
        of = assign_splits(groups.values(), {"train": 1 - share, "val": share}, options.seed)
        told = {key: of[group] for key, group in groups.items()}
        few = share > 0 and len(of) == 1
        note = ["there is one group only: all is train, nothing to validate on"] if few else []
        return told, groups, note
    homes: dict[str, str] = {}
    for key, group in groups.items():
        if homes.setdefault(group, told[key]) != told[key]:
            raise CatalogueError(
                f"images of the group '{group}' lie in the folders of '{homes[group]}' and "
                f"'{told[key]}'",
                remedy="move them into one, or leave out --group",
            )
    return told, groups, []


def _group(image: Found, expression: str | None, name: str) -> str:
    if expression is None:
        return name
    found = re.search(expression, image.path.stem)
    if found is None:
        raise CatalogueError(f"{image.path} tells no group", expected=f"--group '{expression}'")
    return "_".join(part or "" for part in found.groups()) if found.groups() else found.group()


def _take(path: Path, target: Path) -> Path:
    """An image where it is, if it is a GeoTIFF; else, or if it has a palette, a tiled copy."""
    with open_strictly(path) as dataset:
        paletted = dataset.count == 1 and dataset.colorinterp[0] == ColorInterp.palette
        if dataset.driver == "GTiff" and not paletted:
            return path
        make_folder(target.parent)
        if paletted:
            write_raster(target, read_rgb(path), Grid.of(dataset), bands=("red", "green", "blue"))
            return target
        layout = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "zstd"}
        try:
            with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), writing(target) as unfinished:
                rasterio.shutil.copy(dataset, unfinished, driver="GTiff", **layout)
        except (OutputError, SystemError):  # rasterio raises the latter for some damaged sources
            read_all(dataset, path)  # says that it is the source
            raise
    return target
