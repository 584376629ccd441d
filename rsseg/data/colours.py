"""Colour-coded labels as class codes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from rsseg.data.datasets.reading import counted
from rsseg.errors import LegendError
from rsseg.legend import NODATA, Colour


def decode_colours(
    pixels: npt.NDArray[np.uint8], codes: Mapping[Colour, int], name: str
) -> npt.NDArray[np.uint8]:
    """Codes ``(h, w)`` of a colour-coded label ``(3, h, w)``.

    Args:
        pixels: RGB bytes.
        codes: File code by colour; 255 for colours that mean unlabelled.
        name: File name, for the message.

    Raises:
        LegendError: If a colour is not listed.
    """
    packed = _pack(pixels[0], pixels[1], pixels[2])
    decoded = np.full(packed.shape, NODATA, dtype=np.uint8)
    known = np.zeros(packed.shape, dtype=np.bool_)
    for colour, code in codes.items():
        here = packed == _pack(*(np.uint8(c) for c in colour))
        decoded[here] = code
        known |= here
    if not known.all():
        row, column = np.argwhere(~known)[0]
        raise LegendError(
            f"{name} has {counted(int(np.count_nonzero(~known)))} of unknown colours",
            expected=", ".join(map(str, codes)),
            got=f"{tuple(int(v) for v in pixels[:, row, column])} at row {row}, column {column}",
        )
    return decoded


def _pack(
    red: npt.NDArray[np.uint8] | np.uint8,
    green: npt.NDArray[np.uint8] | np.uint8,
    blue: npt.NDArray[np.uint8] | np.uint8,
) -> npt.NDArray[np.uint32]:
    return np.asarray(
        (np.uint32(1) << 24)
        | (np.asarray(red, np.uint32) << 16)
        | (np.asarray(green, np.uint32) << 8)
        | np.asarray(blue, np.uint32)
    )
