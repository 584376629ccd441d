"""Single adjustments of tone, colour and sharpness, of floating-point values ``(B, h, w)``.

torchvision's take images of one or three bands alone. Where they could serve, of 3 x 512 x 512
values on one thread, ours / those of torchvision's v2 / kornia's took 1.6 / 48 / 92 ms for hue,
1.4 / 98 / 2.4 ms for a blur of 7 pixels and 26 / 175 / 66 ms for a rotation of image and label (see
`rsseg.loading.augmentation`); for contrast, saturation and gamma ours and torchvision's were alike.
What either draws at random comes from torch's global generator, which threads share.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

_LUMA = (0.2989, 0.587, 0.114)  # torchvision's, after ITU-R 601-2


def exact_float(image: Tensor, *, copy: bool = False) -> Tensor:
    """The pixels in floating point wide enough for all values of their type."""
    wide = image.dtype in (torch.int32, torch.uint32, torch.int64, torch.uint64, torch.float64)
    return image.to(torch.float64 if wide else torch.float32, copy=copy)


def tone_curve(values: Tensor, exponent: float, *, signed: bool) -> Tensor:
    """``values ** exponent``, in place; of values below 0 the size is raised and the sign kept."""
    signs = values.sign() if signed else None
    # 2 ** (exponent * log2), where 0 stays 0, takes half the time of a power
    values = values.abs_().log2_().mul_(exponent).exp2_()
    return values if signs is None else values.mul_(signs)


def contrast(values: Tensor, factor: float, rgb: Sequence[int] = ()) -> Tensor:
    """Differences to the mean times ``factor``, in place.

    Bands ``rgb`` share the mean of their brightness, as in torchvision; any other has its own.
    """
    # row by row: of one band at once its last bits would depend on torch's number of threads
    means = values.mean(-1, keepdim=True).mean(-2, keepdim=True)
    if rgb:
        means[list(rgb)] = _grey(means[list(rgb)])
    return values.mul_(factor).add_(means, alpha=1 - factor)


def saturate(colours: Tensor, factor: float) -> Tensor:
    """Differences of red, green and blue ``(3, h, w)`` to their grey times ``factor``, in place."""
    grey = _grey(colours)
    return colours.mul_(factor).add_(grey, alpha=1 - factor)


def shift_hue(colours: Tensor, turn: float) -> Tensor:
    """Red, green and blue ``(3, h, w)`` with the hue of HSV turned by a part of the circle.

    The greatest and the least of the three stay what they are, so no value need be in 0-1. It is
    torchvision's ``adjust_hue`` with a third of the passes over the pixels.
    """
    red, green, blue = colours.unbind()
    top = torch.maximum(red, green)
    spread = torch.minimum(red, green)
    torch.maximum(top, blue, out=top)
    torch.sub(top, torch.minimum(spread, blue, out=spread), out=spread)
    per_spread = spread.clamp(min=torch.finfo(colours.dtype).tiny).reciprocal_()
    hue = (red - green).mul_(per_spread).add_(4)  # in sixths of the circle, if blue is greatest
    mine, is_top = torch.empty_like(hue), torch.empty_like(hue)
    for band, (over, under), centre in ((green, (blue, red), 2), (red, (green, blue), 0)):
        torch.sub(over, under, out=mine).mul_(per_spread).add_(centre)
        hue.lerp_(mine, torch.eq(band, top, out=is_top))
    hue.add_(6 * turn)
    hue.sub_(torch.div(hue, 6, out=mine).floor_(), alpha=6)
    # each band as a part of the spread: 1 near its own hue, 0 on the other side of the circle
    turned = torch.empty_like(colours)
    for part, centre, width in zip(turned, (3, 2, 4), (1, 2, 2), strict=True):
        torch.sub(hue, centre, out=part).abs_().sub_(width)
    turned[1:].neg_()
    turned.clamp_(0, 1).sub_(1).mul_(spread)
    return turned.add_(top)


def gaussian_blur(values: Tensor, radius: int, sigma: float) -> Tensor:
    """A Gaussian of ``2 radius + 1`` pixels a side; reflection beyond the edge."""
    radius = min(radius, *(side - 1 for side in values.shape[-2:]))
    places = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = functional.softmax(-0.5 * (places / sigma) ** 2, dim=0).tolist()
    padded = functional.pad(values[None], (radius,) * 4, mode="reflect")[0]
    # shifted sums: six times faster on a processor than a convolution of each band by itself
    for axis, length in ((-1, values.shape[-1]), (-2, values.shape[-2])):
        total = padded.narrow(axis, radius, length) * weights[radius]
        for place, weight in enumerate(weights):
            if place != radius:
                total.add_(padded.narrow(axis, place, length), alpha=weight)
        padded = total
    return padded


def _grey(colours: Tensor) -> Tensor:
    red, green, blue = colours.unbind()
    return (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])
