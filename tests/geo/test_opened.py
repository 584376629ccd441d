from typing import ClassVar

import pytest
import rasterio
from rasterio.windows import Window

from rsseg.errors import LegendError, SceneError
from rsseg.geo.opened import OpenRaster, reading_window


class Refusing(OpenRaster):
    """Refuses every raster, and keeps what it opened."""

    opened: ClassVar[list[OpenRaster]] = []

    def __init__(self, path):
        super().__init__(path)
        with self._closed_if_refused():
            self.opened.append(self)
            raise LegendError("this one is not wanted")


def test_it_is_open_until_the_end(make_scene):
    with OpenRaster(make_scene(height=9)) as raster:
        assert raster.name.endswith("scene.tif")
        assert raster.block_height > 0
        assert not raster._dataset.closed
    assert raster._dataset.closed
    raster.close()


def test_it_is_closed_when_something_fails(make_scene):
    with pytest.raises(ZeroDivisionError), OpenRaster(make_scene()) as raster:
        raise ZeroDivisionError
    assert raster._dataset.closed


def test_what_is_refused_is_closed(make_scene):
    with pytest.raises(LegendError, match="not wanted"):
        Refusing(make_scene())
    (raster,) = Refusing.opened
    assert raster._dataset.closed


def test_a_failure_names_the_file_and_the_place(make_scene):
    path = make_scene(compress="deflate")
    with rasterio.open(path) as dataset:
        start = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    data = bytearray(path.read_bytes())
    data[start : start + 50] = bytes(50)
    path.write_bytes(data)
    window = Window(2, 3, 5, 4)
    with (
        rasterio.open(path) as dataset,
        pytest.raises(SceneError, match="here cannot be read at rows 3-6, columns 2-6; the file"),
        reading_window(dataset, "here", window),
    ):
        dataset.read(1, window=window)
