"""Per-band scaling of raw pixel values into what a network was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.errors import BundleError


@dataclass(frozen=True)
class Normalisation:
    """``(raw / scale - mean) / std`` for each band.

    Args:
        scale: Raw value that counts as 1, per band (255 for 8-bit imagery).
        mean: Mean per band, after scaling.
        std: Standard deviation per band, after scaling.

    Raises:
        BundleError: If the three differ in length, or a scale or std is not positive.
    """

    scale: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.scale) == len(self.mean) == len(self.std) >= 1:
            raise BundleError(
                "normalisation needs one scale, mean and std for each band",
                got=f"{len(self.scale)}, {len(self.mean)} and {len(self.std)}",
            )
        if not all(value > 0 for value in (*self.scale, *self.std)):
            raise BundleError("normalisation needs positive scales and standard deviations")

    @classmethod
    def uniform(cls, bands: int, *, scale: float, mean: float, std: float) -> Normalisation:
        """The same three numbers for every band."""
        return cls((scale,) * bands, (mean,) * bands, (std,) * bands)

    def __len__(self) -> int:
        return len(self.mean)

    @property
    def gain(self) -> npt.NDArray[np.float32]:
        """Multiplier per band, float32 ``(B,)``: normalised = raw * gain + offset."""
        return np.array(
            [1.0 / (s * d) for s, d in zip(self.scale, self.std, strict=True)], np.float32
        )

    @property
    def offset(self) -> npt.NDArray[np.float32]:
        """Addend per band, float32 ``(B,)``."""
        return np.array([-m / d for m, d in zip(self.mean, self.std, strict=True)], np.float32)

    @property
    def raw_mean(self) -> npt.NDArray[np.float64]:
        """The raw value that normalises to 0, per band, float64 ``(B,)``."""
        return np.array([m * s for m, s in zip(self.mean, self.scale, strict=True)])

    def to_json(self) -> dict[str, Any]:
        """Plain lists, the inverse of `from_json`."""
        return {"scale": list(self.scale), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Normalisation:
        """Read what `to_json` wrote.

        Raises:
            BundleError: If a field is missing or not a list of numbers.
        """
        try:
            scale, mean, std = (
                tuple(float(v) for v in data[key]) for key in ("scale", "mean", "std")
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(
                "the normalisation is incomplete", expected="scale, mean, std", got=error
            ) from error
        return cls(scale, mean, std)
