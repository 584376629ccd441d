import numpy as np
import pytest

from rsseg.evaluate import counting as strips
from rsseg.geo.code_raster import CodeRaster
from rsseg.legend import NODATA
from rsseg.report.confidence import ConfidenceRaster
from rsseg.report.counting import count

GENERATOR = np.random.default_rng(2)
CODES = GENERATOR.choice(np.array([0, 1, 4, NODATA], np.uint8), (90, 70))
SHARES = GENERATOR.choice(np.array([0, 100, 254, 255], np.uint8), (90, 70))


@pytest.mark.parametrize("pixels", [1, 1 << 23])
def test_a_map_is_counted_whole_whatever_its_strips(make_map, make_scene, monkeypatch, pixels):
    monkeypatch.setattr(strips, "STRIP_PIXELS", pixels)
    shares = make_scene("shares.tif", pixels=SHARES[None], blockysize=16, tiled=True, blockxsize=16)
    seen = []
    with (
        CodeRaster(make_map(CODES)) as raster,
        ConfidenceRaster(shares, raster.grid, "map.tif") as confidence,
    ):
        found = count(raster, confidence, lambda done, total: seen.append((done, total)))
    expected = np.bincount(CODES.ravel(), minlength=256)
    assert (found.pixels == expected).all()
    np.testing.assert_allclose(found.areas, expected * 0.25)
    joint = np.zeros((256, 256), int)
    np.add.at(joint, (CODES, SHARES), 1)
    assert (found.certain == joint).all()
    assert found.cells.counts.sum() == (SHARES != 255).sum()
    assert found.cells.sums.sum() == SHARES[SHARES != 255].sum(dtype=int)
    assert seen[-1] == (90 * 70, 90 * 70)


def test_without_a_place_there_is_no_area(make_map):
    with CodeRaster(make_map(CODES, crs=None)) as raster:
        found = count(raster, None)
    assert found.areas is None
    assert found.certain is None
    assert found.cells is None
