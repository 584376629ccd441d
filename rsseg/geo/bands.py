"""What the bands of a raster show, as its file tells it, in the common names of STAC.

Common names: STAC's extension for electro-optical data (``eo:common_name``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from rsseg.errors import BandError, SceneError

_SPELLINGS = {
    "coastal": ("coastalaerosol", "deepblue", "ultrablue"),
    "blue": (),
    "green": (),
    "red": (),
    "rededge": ("rededge1", "rededge071", "edge"),
    "nir": ("nir08", "nir1", "nearinfrared", "nearir", "infrared"),
    "nir09": ("watervapour", "watervapor"),
    "swir16": ("swir1", "shortwaveinfrared1"),
    "swir22": ("swir2", "shortwaveinfrared2"),
    "pan": ("panchromatic",),
    "yellow": (),
    "cirrus": (),
    "lwir": ("thermal", "tir"),
}
_COMMON = {spelling: name for name, others in _SPELLINGS.items() for spelling in (name, *others)}
_COLOURS = {colour: colour.name for colour in ColorInterp if colour.name in _COMMON}
_SHOWN = {**_COLOURS, ColorInterp.gray: "gray", ColorInterp.alpha: "alpha"}


def band_names(dataset: DatasetReader) -> list[str]:
    """Lower-case names to show: the band's description, else its colour, else its number."""
    return [
        (text or _SHOWN.get(colour, str(number))).lower()
        for number, (text, colour) in enumerate(
            zip(dataset.descriptions, dataset.colorinterp, strict=True), 1
        )
    ]


def common_name(text: str | None) -> str | None:
    """The common name that a text such as ``NIR``, ``Red (665 nm)`` or ``near-infrared`` means."""
    plain = re.split(r"[(\[,;:]", (text or "").lower(), maxsplit=1)[0]
    words = [word for word in re.split(r"[\s_-]+", plain) if word not in ("", "band")]
    return _COMMON.get("".join(words))


def told_names(dataset: DatasetReader) -> list[str | None]:
    """Common names by the bands' descriptions, or their tag ``common_name``; None where silent."""
    return [
        common_name(text) or common_name(_tag(dataset, number))
        for number, text in enumerate(dataset.descriptions, 1)
    ]


def find_band(dataset: DatasetReader, name: str) -> int | None:
    """The number of the band of this name, from 1; None if there is none.

    A band is known by its description as it stands, then by the common name that description or
    tag mean, then by its colour. Colours are how a band is displayed, and those of a false-colour
    picture lie, so they do not count where the file tells another name.
    """
    wanted, common = name.lower(), common_name(name)
    described = [(text or "").lower() for text in dataset.descriptions]
    shown, told = band_names(dataset), told_names(dataset)
    if wanted in described:
        return described.index(wanted) + 1
    if common is None:
        return shown.index(wanted) + 1 if wanted in shown else None
    if common in told:
        return told.index(common) + 1
    colours = [
        None if silent is not None else _COLOURS.get(colour)
        for silent, colour in zip(told, dataset.colorinterp, strict=True)
    ]
    return colours.index(common) + 1 if common in colours else None


def choose_bands(
    dataset: DatasetReader, wanted: Sequence[int | str] | None, name: str
) -> tuple[int, ...]:
    """Numbers of the bands asked for; of all but alpha if None.

    Args:
        dataset: Open raster.
        wanted: Numbers from 1, or names as `find_band` knows them.
        name: Of the raster, for messages.

    Raises:
        BandError: If a band is not there, or none was asked for.
    """
    if wanted is None:
        return tuple(
            number
            for number, colour in enumerate(dataset.colorinterp, 1)
            if colour != ColorInterp.alpha
        )
    chosen = []
    for band in wanted:
        if isinstance(band, str) and not band.isdecimal():
            number = find_band(dataset, band)
            if number is None:
                names = ", ".join(band_names(dataset))
                raise BandError(f"{name} has no band '{band}'", got=names)
            chosen.append(number)
        elif 1 <= int(band) <= dataset.count:
            chosen.append(int(band))
        else:
            raise BandError(f"{name} has no band {band}", expected=f"1-{dataset.count}", got=band)
    if not chosen:
        raise BandError(f"no band of {name} was chosen")
    return tuple(chosen)


def common_dtype(dataset: DatasetReader, bands: Sequence[int], name: str) -> np.dtype[Any]:
    """The type that the values of these bands fit, which GDAL and numpy share.

    Args:
        dataset: An open raster.
        bands: Numbers from 1.
        name: What to call the raster in messages.

    Raises:
        SceneError: If the values are complex.
    """
    types = {dataset.dtypes[band - 1] for band in bands}
    if any(kind.startswith("complex") for kind in types):
        raise SceneError(f"{name} holds complex numbers", expected="real pixel values")
    return np.result_type(*types)


def _tag(dataset: DatasetReader, number: int) -> str | None:
    tags = {key.lower(): text for key, text in dataset.tags(number).items()}
    return tags.get("common_name")
