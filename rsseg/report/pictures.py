"""Pixels as pictures inside of the page, by GDAL's own PNG and WebP."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile

from rsseg.geo.quiet import quietly
from rsseg.legend import NODATA, LandClass

Pixels = npt.NDArray[np.uint8]

_QUALITIES = (80, 65, 50, 35)
_SMALLER = 0.75


@dataclass(frozen=True)
class Picture:
    """A picture for the page.

    Args:
        uri: The picture itself, as a ``data:`` address.
        width: In its own pixels.
        height: Likewise.
        alt: What it shows, for those who do not see it.
        flat: Whether its pixels should stay squares when it is enlarged, as those of classes do.
    """

    uri: str
    width: int
    height: int
    alt: str
    flat: bool = False


def class_picture(codes: Pixels, classes: Iterable[LandClass], alt: str) -> Picture:
    """Codes ``(h, w)`` in the colours of their classes, clear where there is none (PNG)."""
    colours = {known.code: (*known.colour, 255) for known in classes}
    table = {code: colours.get(code, (0, 0, 0, 0)) for code in range(NODATA + 1)}
    with quietly(), MemoryFile(ext=".png") as file:
        with file.open(driver="PNG", zlevel=9, **_profile(codes[None])) as target:
            target.write(codes, 1)
            target.write_colormap(1, table)
        return Picture(_uri(file, "png"), codes.shape[1], codes.shape[0], alt, flat=True)


def colour_picture(
    colours: Pixels, valid: npt.NDArray[np.bool_], alt: str, limit: int | None = None
) -> Picture:
    """Red, green and blue ``(3, h, w)``, clear where invalid (WebP).

    Args:
        colours: Values 0-255.
        valid: True where pixels are seen, ``(h, w)``.
        alt: What it shows.
        limit: Bytes; where they are too few the picture is coarser, to a degree.
    """
    layers = colours
    if not valid.all():
        layers = np.concatenate([colours, np.where(valid, 255, 0).astype(np.uint8)[None]])
    for quality in _QUALITIES:
        uri = _webp(layers, quality)
        if limit is None or _bytes(uri) <= limit:
            break
    return Picture(uri, colours.shape[2], colours.shape[1], alt)


def fitted(
    make: Callable[[tuple[int, int]], Picture], height: int, width: int, longest: int, limit: int
) -> Picture:
    """A picture of something large, so small that it takes no more than some bytes.

    Args:
        make: A picture of so many rows and columns.
        height: Rows of the whole.
        width: Columns of the whole.
        longest: Pixels of its longer side, at most.
        limit: Bytes.
    """
    while True:
        picture = make(reduced(height, width, longest))
        if _bytes(picture.uri) <= limit or longest <= 64:
            return picture
        longest = math.floor(longest * _SMALLER)


def reduced(height: int, width: int, longest: int) -> tuple[int, int]:
    """Rows and columns of the same shape whose longer side is ``longest`` pixels or less."""
    shrunk = max(1.0, max(height, width) / longest)
    return max(1, round(height / shrunk)), max(1, round(width / shrunk))


def thinned(codes: Pixels, longest: int) -> Pixels:
    """Codes ``(h, w)``, one in so many that the longer side has ``longest`` pixels or less."""
    step = thinning(codes, longest)
    return np.ascontiguousarray(codes[step // 2 :: step, step // 2 :: step])


def thinning(pixels: Pixels, longest: int) -> int:
    """Pixels ``(h, w, ...)`` along a side that become one where the longer is ``longest``."""
    return -(-int(max(pixels.shape[:2])) // longest)


def _webp(layers: Pixels, quality: int) -> str:
    with quietly(), MemoryFile(ext=".webp") as file:
        with file.open(driver="WEBP", quality=quality, **_profile(layers)) as target:
            target.write(layers)
            if len(layers) == 4:
                target.colorinterp = [
                    ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha,
                ]  # fmt: skip
        return _uri(file, "webp")


def _profile(layers: Pixels) -> dict[str, Any]:
    count, height, width = layers.shape
    return {"count": count, "height": height, "width": width, "dtype": "uint8"}


def _uri(file: MemoryFile, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(file.getbuffer()).decode('ascii')}"


def _bytes(uri: str) -> int:
    """Bytes of the picture in an address."""
    return len(uri) * 3 // 4
