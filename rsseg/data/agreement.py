"""What the rows of a catalogue must agree on, if they are to be taken together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.datasets.class_tables import FILE, read_classes
from rsseg.errors import CatalogueError, LegendError
from rsseg.geo.bands import told_names
from rsseg.geo.class_raster import read_legend
from rsseg.geo.opening import open_raster
from rsseg.geo.scene import Scene
from rsseg.legend import LandClass, Legend


def common_legend(catalogue: Catalogue, table: str | Path | None = None) -> Legend:
    """The legend that all label rasters of a catalogue have.

    If all labels are polygons, which have none, it is that of ``classes.csv`` beside the catalogue.

    Args:
        catalogue: Labelled scenes.
        table: The file of the catalogue, if it has one.

    Raises:
        LegendError: If two differ, or nothing tells the classes of polygons.
    """
    found: tuple[LabelledScene, Legend] | None = None
    for row in catalogue:
        if row.polygons:
            continue
        with open_raster(row.label) as label:
            legend = read_legend(label)
        if found is None:
            found = row, legend
        elif legend != found[1]:
            raise LegendError(
                f"{row.label} has other classes than {found[0].label}",
                remedy="name the classes that all have, e.g. --classes 0:water,1:forest",
            )
    if found is not None:
        return found[1]
    listed = None if table is None else Path(table).with_name(FILE)
    if listed is None or not listed.is_file():
        raise LegendError(
            "polygons do not tell which classes there are",
            expected=None if listed is None else str(listed),
            remedy="name them in the order of the network's channels, e.g. --classes water,forest",
        )
    return read_classes(str(listed)).legend


def common_bands(
    catalogue: Catalogue, bands: Sequence[int | str] | None
) -> tuple[tuple[str, ...], np.dtype[Any]]:
    """Names of the bands, and the pixel type, which all images share.

    Args:
        catalogue: Labelled scenes.
        bands: Numbers or names; all bands but alpha if None, which then must have equal names.

    Raises:
        CatalogueError: If two images differ.
        BandError: If a band is not there.
        SceneError: If an image cannot be opened.
    """
    found: tuple[tuple[str, ...], np.dtype[Any]] | None = None
    for row in catalogue:
        with Scene(row.image, bands) as scene:
            names = tuple(scene.band_names[band - 1] for band in scene.bands)
            mine = names, scene.dtype
        first = catalogue.scenes[0].image
        if found is None:
            found = mine
        elif mine[1] != found[1]:
            raise CatalogueError(
                f"{row.image} holds {mine[1]} and {first} {found[1]}",
                expected="one pixel type",
                remedy="their values are not comparable: bring them to one scale and type first",
            )
        elif bands is None and names != found[0]:
            raise CatalogueError(
                f"{row.image} has the bands {', '.join(names)}",
                expected=f"{', '.join(found[0])} as {first}",
                remedy="choose bands that all have, e.g. --bands red,green,blue or --bands 1,2,3",
            )
    assert found is not None  # a catalogue has a scene
    return found


def alpha_notes(rows: Iterable[LabelledScene]) -> tuple[str, ...]:
    """A sentence if bands of images are marked as alpha that are named as what they show.

    GDAL marks the fourth of four bands of bytes so, unless it is told what it is.

    Raises:
        SceneError: If an image cannot be opened.
    """
    found: list[tuple[Path, int, str, str]] = []
    for image in dict.fromkeys(row.image for row in rows):
        with open_raster(image) as dataset:
            colours = dataset.colorinterp
            for place, name in enumerate(told_names(dataset)):
                if name is not None and colours[place] == ColorInterp.alpha:
                    kept = [c.name if c != ColorInterp.alpha else "undefined" for c in colours]
                    found.append((image, place + 1, name, ",".join(kept)))
    if not found:
        return ()
    image, number, name, kept_colours = found[0]
    more = f", as in {len(found) - 1:,} more" if found[1:] else ""
    return (
        f"band {number} of {image}, '{name}', is marked as alpha{more}: where it is 0 nothing is "
        "valid, and it is read only if it is asked for; if it is no mask, say so: "
        f"rio edit-info {image} --colorinterp {kept_colours}",
    )


def parse_legend(classes: Sequence[str]) -> Legend:
    """A legend from names, each ``NAME`` or ``CODE:NAME``; codes count on from the one before.

    A single ``FILE.csv`` is a table of classes, see `rsseg.data.datasets.class_tables`.

    Raises:
        LegendError: If a code is unusable, a code or name comes twice, or the table cannot be read.
    """
    if len(classes) == 1 and classes[0].lower().endswith(".csv"):
        return read_classes(classes[0]).legend
    found: list[LandClass] = []
    for text in classes:
        code, colon, name = text.partition(":")
        if not colon or not code.strip().isdecimal():
            code, name = str(found[-1].code + 1 if found else 0), text
        number = int(code)
        found.append(LandClass(number, name.strip(), (number % 256,) * 3))
    return Legend(tuple(found))
