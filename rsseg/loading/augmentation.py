"""Random changes of image and label together, as the papers make them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor
from torch.nn import functional

from rsseg.errors import OptionError
from rsseg.legend import NODATA
from rsseg.loading.adjustments import exact_float
from rsseg.loading.tones import COLOURS, Tones, happens

_RANGES = {
    **dict.fromkeys(("horizontal_flip", "vertical_flip", "grey"), (0, 1)),
    **dict.fromkeys(("rotation_share", "tone_share", "blur_share", "texture_share"), (0, 1)),
    **dict.fromkeys(("brightness", "contrast", "saturation", "blur", "texture"), (0, math.inf)),
    "rotation": (0, 180),
    "hue": (0, 0.5),
    "channel_gain": (0, 0.99),
    "gamma": (1, math.inf),
    "blur_kernel": (1, math.inf),
}


@dataclass(frozen=True)
class Augmentation:
    """How strongly samples are changed, and how many of them; the defaults change nothing.

    Changes come in the order of the options; brightness, contrast, saturation and hue come in
    random order, as in torchvision. Changes of magnification and aspect are the sampler's.

    Args:
        horizontal_flip: Share of samples mirrored left to right.
        vertical_flip: Share of samples mirrored top to bottom.
        rotation: Largest rotation in degrees, either way; undefined corners become unlabelled.
        rotation_share: Share of samples that are rotated.
        quarter_turns: Turn by 0, 90, 180 or 270 degrees, each as likely; with half of the samples
            mirrored these are the eight symmetries of the square.
        tone_share: Share of samples to which the next six apply.
        gamma: Largest exponent of a tone curve, and its inverse the smallest; at least 1.
        channel_gain: Largest relative change of each band by itself, a colour cast.
        brightness: Largest relative change of brightness.
        contrast: Largest relative change of contrast.
        saturation: Largest relative change of saturation.
        hue: Largest shift of hue, as a part of the colour circle, at most 0.5.
        grey: Share of samples without colour.
        blur: Largest sigma of a Gaussian blur in pixels.
        blur_kernel: Side of the blur's kernel in pixels, odd; it cuts the Gaussian off.
        blur_share: Share of samples that are blurred.
        texture: Largest strength of added texture (white, coarse or speckled noise, the same in
            all bands), as a part of full scale. Samples magnified from coarser pictures are
            smooth; it teaches a network not to lean on that.
        texture_share: Share of samples with added texture.
        only_classes: Names of classes; samples without a pixel of any of them are left as they
            are. All samples may change if there are none.

    Raises:
        OptionError: If a number is out of range.
    """

    horizontal_flip: float = 0.0
    vertical_flip: float = 0.0
    rotation: float = 0.0
    rotation_share: float = 0.5
    quarter_turns: bool = False
    tone_share: float = 1.0
    gamma: float = 1.0
    channel_gain: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    blur_kernel: int = 7
    blur_share: float = 0.25
    texture: float = 0.0
    texture_share: float = 0.5
    only_classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high or value == math.inf:
                limits = f"{low} or more" if high == math.inf else f"{low} to {high}"
                raise OptionError(
                    f"the augmentation {name} is out of range", expected=limits, got=value
                )
        if self.blur_kernel % 2 == 0:
            raise OptionError(
                "the augmentation blur_kernel has no middle pixel",
                expected="an odd number",
                got=self.blur_kernel,
            )


class Augmenter:
    """Changes pixels ``(B, s, s)`` and labels ``(s, s)`` together, at random.

    Labels may have larger pixels than the image. Random numbers are drawn on the processor wherever
    the sample lies, so that a seed means the same change on every device. Pixels are finite numbers
    of any type.

    Args:
        options: How strong the changes are.
        bands: Names of the bands; changes of colour are of those named red, green and blue.
        scale: Raw value of full brightness, per band, such as `Normalisation.scale`; if None the
            largest of an integer type, 1 for floating point.
        fill: Raw value per band in the corners that a rotation leaves undefined, such as invalid
            pixels are filled with; 0 if None.
        classes: Names of the classes by index, for `Augmentation.only_classes`.

    Raises:
        OptionError: If colours are to change and a colour is missing, scale or fill does not fit
            the bands, or a class is unknown.
    """

    def __init__(
        self,
        options: Augmentation,
        *,
        bands: Sequence[str] = COLOURS,
        scale: Sequence[float] | None = None,
        fill: Sequence[float] | npt.NDArray[np.float64] | None = None,
        classes: Sequence[str] = (),
    ) -> None:
        if fill is not None and len(fill) != len(bands):
            raise OptionError(
                "augmentation needs a fill for each band", expected=len(bands), got=len(fill)
            )
        for name in options.only_classes:
            if name not in classes:
                raise OptionError(
                    f"augmentation is for a class '{name}' that there is not",
                    expected=", ".join(classes),
                )
        self._options, self._fill = options, None if fill is None else tuple(map(float, fill))
        self._chosen = [list(classes).index(name) for name in options.only_classes]
        self._tones = Tones(options, bands, scale)

    def __call__(
        self, image: Tensor, label: Tensor, generator: Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """A changed image and its label, 255 where a rotation left corners undefined.

        Args:
            image: Pixels ``(B, s, s)``.
            label: Class indices.
            generator: Source of all random numbers, on the processor; torch's global one if None.

        Raises:
            OptionError: If the image has another number of bands.
        """
        if self._chosen and not _holds(label, self._chosen):
            return image, label
        image, label = self._moved(image, label, generator)
        return self._tones(image, generator), label

    def _moved(
        self, image: Tensor, label: Tensor, source: Generator | None
    ) -> tuple[Tensor, Tensor]:
        options = self._options
        for share, axis in ((options.horizontal_flip, -1), (options.vertical_flip, -2)):
            if happens(share, source):
                image, label = image.flip(axis), label.flip(axis)
        if options.rotation and happens(options.rotation_share, source):
            drawn = torch.empty(1).uniform_(-options.rotation, options.rotation, generator=source)
            angle = drawn.item()
            image, label = rotate(image, label, angle, self._fill)
        if options.quarter_turns:
            turns = int(torch.randint(4, (), generator=source))
            image, label = (torch.rot90(side, turns, (-2, -1)) for side in (image, label))
        return image, label


def rotate(
    image: Tensor, label: Tensor, degrees: float, fill: Sequence[float] | None = None
) -> tuple[Tensor, Tensor]:
    """Image ``(B, h, w)`` and label of the same ground turned anticlockwise about their centre.

    Pixels are interpolated bilinearly, labels taken from the nearest pixel. Corners without a
    source are 255 in the label and ``fill`` (0 if None) in the image; at their edge the pixels
    fade into it over the width of one pixel.
    """
    pixels = exact_float(image)
    grid = _turned_grid(image.shape[-2], image.shape[-1], degrees, pixels)
    # beyond the edge the sampling gives 0, so what is to stand there is taken as the origin
    if fill is not None:
        origin = torch.tensor(fill, dtype=pixels.dtype, device=pixels.device)[:, None, None]
        turned = _sampled(pixels - origin, grid, "bilinear").add_(origin)
    else:
        turned = _sampled(pixels, grid, "bilinear")
    if not image.dtype.is_floating_point:
        turned.round_()
    if label.shape != image.shape[-2:]:
        grid = _turned_grid(label.shape[0], label.shape[1], degrees, pixels)
    codes = label[None].to(pixels.dtype).sub_(NODATA)
    labels = _sampled(codes, grid, "nearest")[0].add_(NODATA)
    return turned.to(image.dtype), labels.to(label.dtype)


def _turned_grid(height: int, width: int, degrees: float, like: Tensor) -> Tensor:
    """Where each pixel comes from ``(1, h, w, 2)``, as `functional.grid_sample` takes it."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    columns, rows = (
        torch.arange(length, dtype=like.dtype, device=like.device).add_((1 - length) / 2)
        for length in (width, height)
    )
    grid = like.new_empty(1, height, width, 2)
    across = (columns * cosine, (rows * -sine)[:, None])
    down = (columns * sine, (rows * cosine)[:, None])
    for axis, (parts, length) in enumerate(((across, width), (down, height))):
        torch.add(*parts, out=grid[0, ..., axis]).mul_(2 / length)
    return grid


def _sampled(values: Tensor, grid: Tensor, mode: str) -> Tensor:
    return functional.grid_sample(values[None], grid, mode=mode, align_corners=False)[0]


def _holds(label: Tensor, classes: Sequence[int]) -> bool:
    return any(bool((label == index).any()) for index in classes)
