"""Masks as labels of images: matched, given classes, written as class rasters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from rsseg.data.catalogue import LabelledScene
from rsseg.data.datasets.class_tables import ClassTable, distinct, parse_colour, read_classes
from rsseg.data.datasets.masks import Mask, decode, look_through
from rsseg.data.datasets.matching import Found, match
from rsseg.data.targets import make_folder
from rsseg.errors import CatalogueError, LegendError, OptionError
from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster
from rsseg.legend import NODATA, Colour, LandClass, Legend

MOST = 64
"""So many values or colours at most are taken as classes if nobody lists these."""


class MaskLabels:
    """The masks of images, looked through and found to fit.

    Args:
        images: The images.
        masks: The masks and what else was found with them.
        classes: The classes as text, see `read_classes`, or None.
        unlabelled: Codes or colours that mean no class, as text.

    Raises:
        CatalogueError: If an image has no mask or two, or one of another size.
        GridMismatch: If a mask lies elsewhere than its image.
        LegendError: If a mask holds what is no class.
        OptionError: If what means unlabelled is neither code nor colour.
        SceneError: If a file cannot be read.
    """

    def __init__(
        self,
        images: Sequence[Found],
        masks: Sequence[Found],
        classes: str | None,
        unlabelled: Sequence[str],
    ) -> None:
        self.images = list(images)
        self._unlabelled = parse_unlabelled(unlabelled)
        table = None if classes is None else read_classes(classes)
        matched, unused = match(images, masks, "mask")
        self.left_out = [f"{path}: no image goes with this mask" for path in unused]
        colours = table.colours if table else {}
        self._masks = {key: look_through(path, colours) for key, path in matched.items()}
        if any(mask.coloured for mask in self._masks.values()):  # then palettes are colours too
            for key, mask in self._masks.items():
                if not mask.coloured:
                    self._masks[key] = look_through(mask.path, None)
        for image in images:
            _require_fit(image.path, self._masks[image.key])
        found = list(self._masks.values())
        self.notes = []
        if table is None:
            table, note = class_table(found, self._unlabelled)
            self.notes.append(note)
        check(found, table, self._unlabelled)
        self._table = table

    @property
    def legend(self) -> Legend:
        """The classes."""
        return self._table.legend

    def scene(
        self, image: Found, taken: Path, split: str, group: str, label: Path
    ) -> LabelledScene:
        """The row of an image, whose label is written unless its mask will do as it is.

        Args:
            image: The image.
            taken: Where the catalogue finds it.
            split: Its split.
            group: Its group.
            label: Class raster to write.

        Raises:
            OutputError: If it cannot be written.
        """
        mask = self._masks[image.key]
        with open_raster(taken) as dataset:
            grid = Grid.of(dataset)
        same = mask.tagged and mask.legend == self.legend and mask.grid == grid
        if same and not self._unlabelled:
            return LabelledScene(taken, mask.path, split, group)
        codes = decode(mask, self._table, self._unlabelled)
        make_folder(label.parent)
        write_raster(label, codes[None], grid, nodata=NODATA, legend=self.legend)
        return LabelledScene(taken, label, split, group)


def class_table(
    masks: Sequence[Mask], unlabelled: Collection[int | Colour]
) -> tuple[ClassTable, str]:
    """The classes of masks that nobody listed, and a sentence on where they are from.

    Raises:
        LegendError: If the masks contradict each other, or hold too many values.
    """
    legends = {mask.legend for mask in masks}
    legend = legends.pop() if len(legends) == 1 else None
    if legend is not None:
        return ClassTable.of(legend), f"the {len(legend)} classes are those that the masks name"
    named = [mask for mask in masks if mask.legend is not None]
    if any(mask.tagged for mask in named):
        other = next(mask for mask in masks if mask.legend != named[0].legend)
        raise LegendError(
            f"{named[0].path} and {other.path} name different classes",
            remedy="list the classes, --classes FILE.csv",
        )
    colours = sorted({colour for mask in masks for colour in mask.colours} - set(unlabelled))
    values = sorted({v for mask in masks for v in mask.values} - set(unlabelled) - {NODATA})
    if colours and values:
        raise LegendError("some masks are coloured, some hold codes", remedy="list the classes")
    if not 0 < len(colours) + len(values) <= MOST:
        raise LegendError(
            f"the masks hold {len(colours) + len(values):,} different "
            f"{'colours' if colours else 'values'}",
            expected=f"1-{MOST}, a class each",
            remedy="list the classes, --classes FILE.csv; JPEG cannot hold masks",
        )
    if colours:
        legend = Legend(tuple(LandClass(i, f"class {i}", c) for i, c in enumerate(colours)))
        by_colour = {colour: i for i, colour in enumerate(colours)}
        what = ", ".join(f"{c.name} is {c.hex}" for c in legend)
        return ClassTable(legend, {}, by_colour), f"no classes were listed: {what}"
    legend = _plain(values)
    return ClassTable.of(legend), f"no classes were listed: they are {', '.join(legend.names)}"


def check(masks: Sequence[Mask], table: ClassTable, unlabelled: Collection[int | Colour]) -> None:
    """See that every value has a meaning.

    Raises:
        LegendError: If one has none, or 255 may well be a class.
    """
    for mask in masks:
        if mask.coloured and not table.colours:
            raise LegendError(
                f"{mask.path} is painted in colours, the classes have none",
                remedy="list the classes with theirs, --classes FILE.csv",
            )
        known: set[int | Colour] = {
            *(table.colours if mask.coloured else {*table.values, NODATA}),
            *unlabelled,
        }
        found: set[int | Colour] = {*mask.values, *mask.colours}
        unknown = sorted(found - known, key=str)
        if unknown:
            what = "colour" if mask.coloured else "code"
            raise LegendError(
                f"{mask.path} holds the {what} {_text(unknown[0])}, which is no class",
                expected=", ".join(_text(value) for value in sorted(known, key=str)[:20]),
                remedy=f"list it as a class, or give --unlabelled '{_text(unknown[0])}'",
            )
    values = {value for mask in masks for value in mask.values}
    if NODATA in values and len(values) <= 2 and NODATA not in {*table.values, *unlabelled}:
        raise LegendError(
            f"the masks hold {' and '.join(map(str, sorted(values)))} only",
            remedy=f"say what {NODATA} is: --unlabelled {NODATA}, or a class with this value in "
            "--classes FILE.csv with the columns name,value",
        )


def parse_unlabelled(texts: Sequence[str]) -> frozenset[int | Colour]:
    """Codes and colours that mean unlabelled.

    Raises:
        OptionError: If one is neither.
    """
    found: set[int | Colour] = set()
    for text in texts:
        value = int(text) if text.strip().isdecimal() else parse_colour(text.strip())
        if value is None:
            raise OptionError(
                "what means unlabelled is a code or a colour", expected="5 or '#ffffff'", got=text
            )
        found.add(value)
    return frozenset(found)


def _require_fit(image: Path, mask: Mask) -> None:
    """See that a mask has its image's size and, where both have a place, lies on it."""
    with open_raster(image) as dataset:
        grid = Grid.of(dataset)
    theirs = mask.grid
    if grid.crs is not None and theirs.crs is None:
        theirs = replace(theirs, crs=grid.crs)
    if grid.georeferenced and theirs.georeferenced:
        grid.require_same(theirs, str(image), str(mask.path))
    if (theirs.height, theirs.width) != (grid.height, grid.width):
        raise CatalogueError(
            f"{mask.path} has {theirs.width} x {theirs.height} pixels",
            expected=f"{grid.width} x {grid.height} as {image}",
            remedy="masks are never resampled: export it with the size of its image",
        )


def _plain(values: Sequence[int]) -> Legend:
    """Classes that are called by their codes."""
    classes = [LandClass(v, f"class {v}", distinct(i)) for i, v in enumerate(values)]
    return Legend(tuple(classes))


def _text(value: int | Colour) -> str:
    return str(value) if isinstance(value, int) else "#{:02x}{:02x}{:02x}".format(*value)
