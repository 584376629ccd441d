"""A dataset of torchgeo written as scenes, labels and a catalogue, for everything to use."""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.datasets.class_tables import FILE, distinct, read_classes, write_classes
from rsseg.data.datasets.published import Prepared
from rsseg.data.datasets.reading import counted, plain_grid
from rsseg.data.tables import write_catalogue
from rsseg.data.targets import begin_target
from rsseg.errors import CatalogueError, LegendError, MissingExtra, OptionError, SceneError
from rsseg.geo.class_raster import write_raster
from rsseg.legend import NODATA, LandClass, Legend

DTYPES = ("uint8", "uint16", "float32")
"""Pixel types that pictures are written in; torchgeo gives all of them in floating point."""

_SPLITS = ("train", "val", "validation", "test")
_UNLABELLED = ("no-data", "no data", "nodata", "unlabeled", "unlabelled", "ignore")
_CLASSES = {
    # its list has no-data last, its masks have it at 0
    "LoveDA": (
        *("no-data", "background", "building", "road", "water", "barren", "forest"),
        "agriculture",
    )
}


@dataclass(frozen=True)
class TorchgeoOptions:
    """What a dataset does not tell itself.

    Args:
        classes: A table of classes or their names in order, see `read_classes`; those that torchgeo
            lists if None.
        unlabelled: Values of masks that mean no class; those that torchgeo names so come on top.
        bands: Names of the bands; without them bands have numbers.
        dtype: Type of the pixels, one of `DTYPES`; the smallest that the first picture fits if
            None.

    Raises:
        OptionError: If the type is another.
    """

    classes: str | None = None
    unlabelled: tuple[int, ...] = ()
    bands: tuple[str, ...] = ()
    dtype: str | None = None

    def __post_init__(self) -> None:
        if self.dtype is not None and self.dtype not in DTYPES:
            raise OptionError(
                "pixels cannot be written in that type", expected=", ".join(DTYPES), got=self.dtype
            )


def prepare_torchgeo(
    name: str,
    source: str | Path,
    target: str | Path,
    options: TorchgeoOptions = TorchgeoOptions(),  # noqa: B008  (it is frozen)
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Prepared:
    """Write each picture with a mask as ``SPLIT_NUMBER.tif`` and ``..._label.tif``.

    ``classes.csv`` and, last, ``catalogue.csv`` go with them. Splits are torchgeo's.

    Args:
        name: A class of `torchgeo.datasets` whose samples have ``image`` and ``mask``.
        source: Its root folder; nothing is downloaded.
        target: Folder to write to; made if missing.
        options: What the dataset does not tell itself.
        on_progress: Called with pictures done and pictures in all.

    Raises:
        MissingExtra: If torchgeo is not installed.
        OptionError: If it has no such dataset of pictures, or needs other arguments.
        CatalogueError: If the folder is not this dataset, or pictures differ in bands or type.
        LegendError: If classes are not known, or a mask has a value that is none.
        SceneError: If a file is missing or damaged.
        OutputError: If a file cannot be written.
    """
    kind = _kind(name)
    splits, left_out = _splits(kind, Path(source))
    legend, codes = _classes(kind, options)
    target = Path(target)
    table = begin_target(target)
    dtype, rows = options.dtype, []
    done, total = 0, sum(len(dataset) for dataset in splits.values())
    for split, dataset in splits.items():
        for number, place in enumerate(_in_order(dataset)):
            what = f"picture {number} of the split '{split}' of {name}"
            image, mask = _pair(_sample(dataset, place, what), what)
            dtype = dtype or _smallest(image)
            files = [target / f"{split}_{number:05}{ending}.tif" for ending in ("", "_label")]
            pixels = _as(image, dtype, what)
            if options.bands and len(options.bands) != len(pixels):
                raise OptionError(
                    f"{what} has {len(pixels)} bands",
                    expected=f"the names of so many, not {', '.join(options.bands)}",
                )
            write_raster(files[0], pixels, plain_grid(pixels), bands=options.bands)
            label = _decoded(mask, codes, what)[None]
            write_raster(files[1], label, plain_grid(label), nodata=NODATA, legend=legend)
            rows.append(LabelledScene(files[0], files[1], split, ""))
            done += 1
            on_progress(done, total)
    write_classes(target / FILE, legend)
    catalogue = Catalogue(tuple(rows))
    write_catalogue(table, catalogue)
    notes = ["classes by their values in masks, as torchgeo lists them: " + _listed(codes, legend)]
    if not options.bands:
        notes.append("its bands have no names: a recipe takes them by number, or name them here")
    return Prepared(catalogue, tuple(left_out), tuple(notes[options.classes is not None :]))


def _kind(name: str) -> type[Any]:
    """The dataset class of this name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what torchgeo imports
            from torchgeo import datasets
    except ImportError:
        raise MissingExtra("torchgeo", "torchgeo") from None
    kind = getattr(datasets, name, None)
    if not (inspect.isclass(kind) and issubclass(kind, datasets.NonGeoDataset)):
        near = difflib.get_close_matches(name, datasets.__all__, n=1)
        raise OptionError(
            f"torchgeo has no dataset of pictures '{name}'",
            expected="a name as in torchgeo.datasets, such as Vaihingen2D, Potsdam2D, GID15",
            remedy=f"did you mean {near[0]}?" if near and near[0] != name else None,
        )
    return kind


def _splits(kind: type[Any], source: Path) -> tuple[dict[str, Any], list[str]]:
    """The datasets with masks by split, and a sentence for each split without."""
    from torchgeo.datasets import DatasetNotFoundError

    arguments: list[dict[str, str]] = [{}]
    if "split" in inspect.signature(kind).parameters:
        names = tuple(getattr(kind, "splits", _SPLITS))
        arguments = [{"split": name} for name in names]
    found, left_out = {}, []
    for chosen in arguments:
        split = chosen.get("split", "train")
        try:
            dataset = kind(str(source), **chosen)
        except DatasetNotFoundError:
            left_out.append(f"the files of the split '{split}' are not there")
            continue
        except AssertionError:  # it has no such split
            continue
        except TypeError as error:
            raise OptionError(f"{kind.__name__} cannot be made of a folder: {error}") from error
        if not len(dataset):
            left_out.append(f"the split '{split}' of {kind.__name__} has no pictures there")
        elif "mask" not in _sample(dataset, 0, f"a picture of the split '{split}'"):
            left_out.append(f"split '{split}': {counted(len(dataset), 'picture')} without masks")
        else:
            found[split] = dataset
    if not found:
        raise CatalogueError(
            f"{source} is not torchgeo's {kind.__name__}",
            expected="its pictures and masks as torchgeo's documentation lays them out",
        )
    return found, left_out


def _classes(kind: type[Any], options: TorchgeoOptions) -> tuple[Legend, dict[int, int]]:
    """The classes to write, and their code by value in masks, 255 for values of none."""
    none = {*options.unlabelled, NODATA}
    if options.classes is not None:
        table = read_classes(options.classes)
        both = none & set(table.values)
        if both:
            raise OptionError(f"the value {min(both)} is a class and unlabelled", expected="one")
        return table.legend, {**dict.fromkeys(none, NODATA), **table.values}
    names = _CLASSES.get(kind.__name__) or getattr(kind, "classes", None)
    if not names or not all(isinstance(name, str) for name in names):
        raise LegendError(
            f"torchgeo does not list the classes of {kind.__name__}",
            remedy="name them in the order of their values, --classes a,b,c",
        )
    none |= {value for value, name in enumerate(names) if name.casefold() in _UNLABELLED}
    colours = getattr(kind, "colormap", ())
    stated = len(colours) == len(names) and all(len(c) == 3 for c in colours)
    legend = Legend(
        tuple(
            LandClass(value, name, tuple(colours[value]) if stated else distinct(value))
            for value, name in enumerate(names)
            if value not in none
        )
    )
    return legend, {**dict.fromkeys(none, NODATA), **{each.code: each.code for each in legend}}


def _in_order(dataset: Any) -> Sequence[int]:
    """Its numbers by the names of files, where it tells them: some list folders as these come."""
    try:
        paths = [str(files["image"]) for files in dataset.files]
    except (AttributeError, TypeError, KeyError):
        return range(len(dataset))
    return sorted(range(len(dataset)), key=paths.__getitem__)


def _sample(dataset: Any, number: int, what: str) -> Mapping[str, Any]:
    try:
        sample: Mapping[str, Any] = dataset[number]
    except OSError as error:
        raise SceneError(f"{what} cannot be read: {error}") from error
    return sample


def _pair(sample: Mapping[str, Any], what: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Pixels ``(B, h, w)`` and mask ``(h, w)`` of a sample."""
    image, mask = (sample[name].numpy() if name in sample else None for name in ("image", "mask"))
    if image is None or mask is None or image.ndim != 3 or mask.size != image[0].size:
        shapes = {name: tuple(getattr(value, "shape", ())) for name, value in sample.items()}
        raise CatalogueError(
            f"{what} has no mask of its size",
            expected="image (B, h, w) and mask (h, w)",
            got=", ".join(f"{name} {shape}" for name, shape in shapes.items()),
        )
    return image, mask.reshape(image.shape[1:])


def _smallest(image: npt.NDArray[Any]) -> str:
    return next((dtype for dtype in DTYPES if _fits(image, dtype)), DTYPES[-1])


def _fits(image: npt.NDArray[Any], dtype: str) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(np.array_equal(image.astype(dtype), image))


def _as(image: npt.NDArray[Any], dtype: str, what: str) -> npt.NDArray[Any]:
    if dtype != DTYPES[-1] and not _fits(image, dtype):
        raise CatalogueError(
            f"{what} does not fit in {dtype}, as those before it",
            got=f"{image.min():g} to {image.max():g}",
            remedy=f"say --dtype {DTYPES[-1]}, or uint16 where all numbers are whole",
        )
    return image.astype(dtype)


def _decoded(mask: npt.NDArray[Any], codes: Mapping[int, int], what: str) -> npt.NDArray[np.uint8]:
    decoded = np.full(mask.shape, NODATA, np.uint8)
    unknown = np.ones(mask.shape, np.bool_)
    for value, code in codes.items():
        here = mask == value
        decoded[here] = code
        unknown &= ~here
    if unknown.any():
        raise LegendError(
            f"the mask of {what} holds {mask[unknown][0]:g}",
            expected=", ".join(map(str, sorted(codes))),
            remedy="name its class in --classes, or say --unlabelled",
        )
    return decoded


def _listed(codes: Mapping[int, int], legend: Legend) -> str:
    names = {each.code: each.name for each in legend}
    said = (f"{value} {names.get(codes[value], 'unlabelled')}" for value in sorted(codes))
    return ", ".join(said)
