"""Random changes of tone, colour and sharpness, for any number of bands and any pixel type.

All is worked out once in floating point, relative to full scale, and rounded once. Where a sample
has a value above its bands' full scale, the scales of all bands grow until it fits; so a tone curve
is sane for reflectances above 1 as well, and no value is cut off that was there. A result lies
between the least and the greatest of 0, full scale and the sample's own values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Generator, Tensor
from torch.nn import functional

from rsseg.errors import OptionError
from rsseg.loading.adjustments import (
    contrast,
    exact_float,
    gaussian_blur,
    saturate,
    shift_hue,
    tone_curve,
)

if TYPE_CHECKING:
    from rsseg.loading.augmentation import Augmentation

Step = Callable[[Tensor], Tensor]
"""Changes relative values ``(B, h, w)``, in place or not."""

COLOURS = ("red", "green", "blue")
_SMOOTHEST = 0.1  # sigma in pixels that blurs nothing


class Tones:
    """Changes of values, not of places, at random.

    Args:
        options: How strong the changes are.
        bands: Names of the bands.
        scale: Raw value of full brightness, per band; if None the largest of an integer type, 1
            for floating point.

    Raises:
        OptionError: If colours are to change and a colour is missing, or the scale does not fit.
    """

    def __init__(
        self, options: Augmentation, bands: Sequence[str], scale: Sequence[float] | None
    ) -> None:
        names = [name.lower() for name in bands]
        coloured = options.saturation or options.hue or options.grey
        if coloured and not set(COLOURS) <= set(names):
            raise OptionError(
                "saturation, hue and grey need the bands red, green and blue",
                got=", ".join(bands),
                remedy="leave these three at 0",
            )
        if scale is not None and (len(scale) != len(bands) or not min(scale) > 0):
            raise OptionError(
                "augmentation needs a positive scale for each band",
                expected=f"{len(bands)} numbers",
                got=list(scale),
            )
        self._options, self._bands, self._scale = options, tuple(bands), scale
        self._rgb = [names.index(c) for c in COLOURS] if set(COLOURS) <= set(names) else []

    def __call__(self, image: Tensor, generator: Generator | None = None) -> Tensor:
        """A changed image ``(B, h, w)`` of the same type; the very image if nothing was drawn.

        Args:
            image: Pixels of any type.
            generator: Source of all random numbers; torch's global one if None.

        Raises:
            OptionError: If it has another number of bands.
        """
        steps = list(self._steps(image, generator))
        if not steps:
            return image
        if len(image) != len(self._bands):
            raise OptionError(
                "a sample has other bands than its augmentation",
                expected=", ".join(self._bands),
                got=f"{len(image)} bands",
            )
        values, white = self._relative(image)
        lowest = 0.0
        if image.dtype.is_signed:
            lowest = min(0.0, float(values.amin()))
        for step in steps:
            values = step(values).clamp_(lowest, 1)
        values = values.mul_(white)
        if image.dtype.is_floating_point:
            return values.to(image.dtype)
        limits = torch.iinfo(image.dtype)
        whole = values.round_().clamp_(limits.min, limits.max)
        if limits.bits <= 16:  # a detour that takes a third of the time of the direct way
            whole = whole.to(torch.int16 if limits.bits == 8 else torch.int32)
        return whole.to(image.dtype)

    def _relative(self, image: Tensor) -> tuple[Tensor, float | Tensor]:
        """Values relative to full scale, and the full scale, a number or ``(B, 1, 1)``."""
        values = exact_float(image, copy=True)
        whole = 1.0 if image.dtype.is_floating_point else float(torch.iinfo(image.dtype).max)
        if self._scale is None or all(scale == whole for scale in self._scale):
            if image.dtype == torch.uint8 or image.dtype == torch.uint16:
                return values.mul_(1 / whole), whole
            white: float | Tensor = whole
        else:
            white = torch.tensor(self._scale, dtype=values.dtype, device=values.device)
            white = white[:, None, None]
        excess = (values / white).amax().clamp(min=1)
        white = white * excess
        return values.div_(white), white

    def _steps(self, image: Tensor, source: Generator | None) -> Iterator[Step]:
        """What happens to this sample, drawn in a fixed order, on the processor."""
        options, rgb = self._options, self._rgb
        if happens(options.tone_share, source):
            if options.gamma > 1:
                exponent = options.gamma ** _between(-1, 1, source)
                signed = image.dtype.is_signed
                yield lambda values: tone_curve(values, exponent, signed=signed)
            if options.channel_gain:
                gains = torch.rand(len(image), 1, 1, generator=source) * 2 - 1
                gains = 1 + options.channel_gain * gains
                yield lambda values: values.mul_(gains.to(values))
            yield from self._jittering(source)
        if happens(options.grey, source):
            yield lambda values: _on(rgb, saturate, values, 0.0)
        if options.blur and happens(options.blur_share, source):
            sigma = _between(min(_SMOOTHEST, options.blur), options.blur, source)
            yield lambda values: gaussian_blur(values, options.blur_kernel // 2, sigma)
        if options.texture and happens(options.texture_share, source):
            noise = _noise(image.shape[-2], image.shape[-1], source)
            noise *= options.texture * _between(0, 1, source)
            yield lambda values: values.add_(noise.to(values))

    def _jittering(self, source: Generator | None) -> Iterator[Step]:
        """Brightness, contrast, saturation and hue, in random order, as torchvision draws them."""
        options, rgb = self._options, self._rgb
        changes: tuple[tuple[float, float, Callable[[Tensor, float], Tensor]], ...] = (
            (options.brightness, 1, Tensor.mul_),
            (options.contrast, 1, partial(contrast, rgb=rgb)),
            (options.saturation, 1, partial(_on, rgb, saturate)),
            (options.hue, 0, partial(_on, rgb, shift_hue)),
        )
        if not any(strength for strength, _, _ in changes):
            return
        order = torch.randperm(4, generator=source).tolist()
        amounts = [
            _between(max(middle - strength, 0) if middle else -strength, middle + strength, source)
            if strength
            else None
            for strength, middle, _ in changes
        ]
        for number in order:
            amount = amounts[number]
            if amount is not None:
                yield partial(_with, changes[number][2], amount)


def happens(share: float, generator: Generator | None = None) -> bool:
    """True for this share of the calls; only a share between 0 and 1 draws a number."""
    return share >= 1 or (share > 0 and bool(torch.rand(1, generator=generator) < share))


def _between(low: float, high: float, source: Generator | None) -> float:
    return torch.empty(1).uniform_(low, high, generator=source).item()


def _on(
    rgb: Sequence[int], change: Callable[[Tensor, float], Tensor], values: Tensor, amount: float
) -> Tensor:
    """The values with their red, green and blue changed, maybe in place."""
    if list(rgb) == list(range(len(values))):
        return change(values, amount)
    values[list(rgb)] = change(values[list(rgb)], amount)
    return values


def _with(change: Callable[[Tensor, float], Tensor], amount: float, values: Tensor) -> Tensor:
    return change(values, amount)


def _noise(height: int, width: int, source: Generator | None) -> Tensor:
    """Noise of variance 1 in grains of 1, 2 or 4 pixels, heavy-tailed half of the time."""
    grain = 2 ** int(torch.randint(3, (), generator=source))
    noise = torch.randn(1, 1, -(-height // grain), -(-width // grain), generator=source)
    if torch.rand((), generator=source) < 0.5:
        noise = noise**3 / 15**0.5  # variance 1 again: a few strong speckles
    if grain > 1:
        noise = functional.interpolate(noise, scale_factor=grain, mode="bilinear")
    return noise[0, :, :height, :width]
