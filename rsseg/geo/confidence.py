"""What the values of a raster of confidence mean: shares 0-1, or bytes of 0-254 for them."""

from __future__ import annotations

from rasterio.io import DatasetReader

from rsseg.errors import SceneError
from rsseg.geo.strips import ONE


def confidence_scaling(dataset: DatasetReader, name: str) -> tuple[float, float]:
    """Scale and offset by which values become 0-1; bytes without a scale are parts of 254.

    Args:
        dataset: The raster, opened.
        name: For messages.

    Raises:
        SceneError: If there are several bands, or the scale is 0.
    """
    if dataset.count != 1:
        raise SceneError(
            f"{name} is no raster of confidence",
            expected="1 band",
            got=f"{dataset.count} bands",
        )
    scale, offset = float(dataset.scales[0]), float(dataset.offsets[0])
    plain = dataset.dtypes[0] == "uint8" and scale == 1
    if not scale:
        raise SceneError(f"{name} is no raster of confidence", expected="a scale other than 0")
    return (1 / ONE if plain else scale), offset


def confidence_ends(dataset: DatasetReader, name: str) -> tuple[float, float]:
    """The values that mean 0 and 1, as the file has them, see `confidence_scaling`."""
    scale, offset = confidence_scaling(dataset, name)
    return (0 - offset) / scale, (1 - offset) / scale
