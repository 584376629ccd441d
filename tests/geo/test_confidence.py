import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.io import MemoryFile

from rsseg.errors import SceneError
from rsseg.geo.confidence import confidence_ends, confidence_scaling


def ends_and_scaling(dtype, scale, offset):
    shape = {"count": 1, "height": 2, "width": 2, "dtype": dtype}
    with MemoryFile() as file:
        with file.open(
            driver="GTiff", **shape, transform=rasterio.Affine(1, 0, 0, 0, -1, 0)
        ) as new:
            new.scales, new.offsets = (scale,), (offset,)
        with file.open() as dataset:
            return confidence_ends(dataset, "sure"), confidence_scaling(dataset, "sure")


@given(
    st.sampled_from(["uint8", "uint16", "float32"]),
    st.floats(1e-4, 10),
    st.floats(-1, 1),
)
def test_the_ends_are_0_and_1(dtype, scale, offset):
    ends, (factor, constant) = ends_and_scaling(dtype, scale, offset)
    assert [value * factor + constant for value in ends] == pytest.approx([0, 1], abs=1e-9)


@pytest.mark.parametrize(
    ("dtype", "scale", "full"),
    [("uint8", 1, 254), ("uint8", 1 / 254, 254), ("uint8", 0.01, 100), ("float32", 1, 1)],
)
def test_plain_bytes_are_parts_of_254(dtype, scale, full):
    assert ends_and_scaling(dtype, scale, 0)[0] == pytest.approx((0, full))


def test_what_is_no_confidence_is_refused(make_scene):
    with (
        rasterio.open(make_scene()) as dataset,
        pytest.raises(SceneError, match="expected 1 band, got 3 bands"),
    ):
        confidence_ends(dataset, "scene")
    with pytest.raises(SceneError, match="expected a scale other than 0"):
        ends_and_scaling("uint8", 0, 0)
