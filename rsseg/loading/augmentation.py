"""Random changes of image and label together, from torchvision's transforms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

from rsseg.errors import OptionError
from rsseg.legend import NODATA


@dataclass(frozen=True)
class Augmentation:
    """How strongly samples are changed; the defaults change nothing.

    Args:
        flip: Mirror and turn by quarters at random (the eight symmetries of the square).
        rotation: Largest rotation in degrees, for half of the samples; corners become unlabelled.
        brightness: Largest relative change of brightness.
        contrast: Largest relative change of contrast.
        saturation: Largest relative change of saturation.
        hue: Largest shift of hue, as a part of the colour circle, at most 0.5.
        channel_gain: Largest relative change of each band by itself, a colour cast.
        gamma: Largest exponent of a tone curve, and its inverse the smallest; at least 1.
        blur: Largest sigma of a Gaussian blur in pixels, for a quarter of the samples.
        grey: Share of samples without colour.
        texture: Largest strength of added texture (white, coarse or speckled noise), as a part
            of full scale, for half of the samples. Samples magnified from coarser pictures are
            smooth; it teaches a network not to lean on that.

    Raises:
        OptionError: If a number is out of range.
    """

    flip: bool = False
    rotation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    channel_gain: float = 0.0
    gamma: float = 1.0
    blur: float = 0.0
    grey: float = 0.0
    texture: float = 0.0

    def __post_init__(self) -> None:
        strengths = (
            *(self.rotation, self.brightness, self.contrast),
            *(self.saturation, self.blur, self.texture),
        )
        if min(strengths) < 0 or not 0 <= self.hue <= 0.5 or not 0 <= self.channel_gain < 1:
            raise OptionError("an augmentation is out of range", got=self)
        if self.gamma < 1 or not 0 <= self.grey <= 1:
            raise OptionError("an augmentation is out of range", got=self)


class Augmenter:
    """Changes pixels ``(B, s, s)`` and labels ``(s, s)`` together, at random.

    It draws from torch's global generator. Changes of tone and colour are for 8-bit RGB; it raises
    `OptionError` for other pixels, unless the options have only changes of place.

    Args:
        options: How strong the changes are.
    """

    def __init__(self, options: Augmentation) -> None:
        self._turns = options.flip
        self._tonal = bool(_photometric(options))
        self._both = v2.Compose(_geometric(options))
        self._image_only = v2.Compose([v2.Identity(), *_photometric(options)])

    def __call__(self, image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """A changed image and its label."""
        if self._tonal and (image.dtype != torch.uint8 or len(image) != 3):
            raise OptionError(
                "changes of tone and colour need 8-bit RGB pixels",
                got=f"{len(image)} bands of {image.dtype}",
            )
        pair = self._both(tv_tensors.Image(image), tv_tensors.Mask(label))
        if self._turns:
            turns = int(torch.randint(4, ()))
            pair = [torch.rot90(tensor, turns, (-2, -1)) for tensor in pair]
        return self._image_only(pair[0].as_subclass(Tensor)), pair[1].as_subclass(Tensor)


def _geometric(options: Augmentation) -> list[v2.Transform]:
    steps: list[v2.Transform] = [v2.Identity()]
    if options.flip:
        steps.append(v2.RandomHorizontalFlip())
    if options.rotation:
        turn = v2.RandomRotation(
            options.rotation,
            interpolation=InterpolationMode.BILINEAR,
            fill={tv_tensors.Image: 0, tv_tensors.Mask: NODATA},
        )
        steps.append(v2.RandomApply([turn], p=0.5))
    return steps


def _photometric(options: Augmentation) -> list[v2.Transform]:
    steps: list[v2.Transform] = []
    if options.gamma > 1 or options.channel_gain:
        steps.append(ToneCurve(options.gamma, options.channel_gain))
    jitter = (options.brightness, options.contrast, options.saturation, options.hue)
    if any(jitter):
        steps.append(v2.ColorJitter(*jitter))
    if options.grey:
        steps.append(v2.RandomGrayscale(options.grey))
    if options.blur:
        steps.append(
            v2.RandomApply([v2.GaussianBlur(7, (min(0.1, options.blur), options.blur))], p=0.25)
        )
    if options.texture:
        steps.append(v2.RandomApply([Texture(options.texture)], p=0.5))
    return steps


class ToneCurve(v2.Transform):  # type: ignore[misc]
    """A random gamma for the whole picture and a random gain for each band."""

    def __init__(self, gamma: float, channel_gain: float) -> None:
        super().__init__()
        self.gamma, self.channel_gain = gamma, channel_gain

    def forward(self, image: Tensor) -> Tensor:
        """Changed 8-bit picture ``(3, h, w)``."""
        exponent = self.gamma ** float(torch.rand(()) * 2 - 1)
        gain = 1 + self.channel_gain * (torch.rand(image.shape[0], 1, 1) * 2 - 1)
        changed = (image.float() / 255) ** exponent * gain * 255
        rounded: Tensor = changed.round().clamp(0, 255).to(torch.uint8)
        return rounded


class Texture(v2.Transform):  # type: ignore[misc]
    """Random noise, grey, in grains of 1, 2 or 4 pixels; heavy-tailed half of the time."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def forward(self, image: Tensor) -> Tensor:
        """Changed 8-bit picture ``(3, h, w)``."""
        height, width = image.shape[-2:]
        grain = 2 ** int(torch.randint(3, ()))
        noise = torch.randn(1, 1, -(-height // grain), -(-width // grain))
        if torch.rand(()) < 0.5:
            noise = noise**3 / 15**0.5  # variance 1 again: a few strong speckles
        if grain > 1:
            noise = functional.interpolate(noise, scale_factor=grain, mode="bilinear")
        amount = 255 * self.strength * float(torch.rand(()))
        changed = image.float() + amount * noise[0, :, :height, :width]
        rounded: Tensor = changed.round().clamp(0, 255).to(torch.uint8)
        return rounded
