"""Pansharpening of files: the same pixels whatever the window, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from rsseg.data.gaofen1.calibration import Calibration
from rsseg.data.gaofen1.fusion import count_windows, pansharpen_files
from rsseg.data.gaofen1.pansharpening import pansharpen
from rsseg.errors import GridMismatch, OutputError, SceneError
from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.geo.scene import Scene

COARSE = Grid(70, 45, Affine(8, 0, 480_000, 0, -8, 4_417_000), CRS.from_epsg(32650))


@pytest.fixture
def pair(tmp_path) -> tuple[Path, Path]:
    """A panchromatic raster and bands with holes and an invalid margin, on one grid."""
    generator = np.random.default_rng(1)
    row, column = np.mgrid[: COARSE.height, : COARSE.width]
    fields = 400 + 200 * np.sin(row / 5) * np.cos(column / 4)
    mss = np.stack([fields, 1.2 * fields, 700 - fields / 2, 900 - fields]) + generator.normal(
        0, 9, (4, 70, 45)
    )
    pan = np.repeat(np.repeat(mss.mean(axis=0), 4, 0), 4, 1) + generator.normal(0, 20, (280, 180))
    mss[:, 20:27, 11:13] = 0
    mss[:, :, :3] = 0
    mss[3, 50, 30] = 0
    pan[:30] = pan[200:203, 100:140] = 0
    paths = tmp_path / "pan.tif", tmp_path / "mss.tif"
    fine = COARSE.resized((280, 180))
    write_raster(paths[0], np.rint(pan)[None].astype(np.uint16), fine, nodata=0)
    write_raster(paths[1], np.rint(mss).astype(np.uint16), COARSE, nodata=0)
    return paths


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read()


@pytest.mark.parametrize("window", [5, 16, 44, 64, 1000])
def test_pixels_do_not_depend_on_the_window(pair, tmp_path, window) -> None:
    pansharpen_files(*pair, tmp_path / "a.tif")
    pansharpen_files(*pair, tmp_path / "b.tif", window=window)
    one, other = read(tmp_path / "a.tif"), read(tmp_path / "b.tif")
    assert one.tobytes() == other.tobytes()
    assert one.any()


def test_files_and_arrays_give_the_same(pair, tmp_path) -> None:
    pansharpen_files(*pair, tmp_path / "out.tif")
    sharp = pansharpen(read(pair[0])[0], read(pair[1]))
    expected = np.where(np.isnan(sharp), 0, np.clip(np.rint(np.nan_to_num(sharp)), 1, 65535))
    difference = np.abs(read(tmp_path / "out.tif") - expected)
    assert difference.max() <= 1, "sums are taken in another order"
    assert difference.mean() < 0.01


def test_the_file_is_what_the_sampler_reads(pair, tmp_path) -> None:
    """Named bands, nodata, tiles, the grid of the panchromatic image."""
    pansharpen_files(*pair, tmp_path / "out.tif", tags={"SCENE": "name"})
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert dataset.descriptions == ("blue", "green", "red", "nir")
        assert set(dataset.dtypes) == {"uint16"}
        assert dataset.nodata == 0
        assert dataset.profile["tiled"]
        assert dataset.tags()["SCENE"] == "name"
        assert dataset.scales == (1, 1, 1, 1)
        assert dataset.overviews(1) == []
        Grid.of(dataset).require_same(COARSE.resized((280, 180)), "out", "pan")
    with Scene(tmp_path / "out.tif", ["red", "green", "blue"]) as scene:
        assert scene.band_names == ("blue", "green", "red", "nir")
        assert scene.bands == (3, 2, 1)


def test_pixels_are_valid_where_both_images_are(pair, tmp_path) -> None:
    pansharpen_files(*pair, tmp_path / "out.tif")
    pan, mss, out = read(pair[0])[0], read(pair[1]), read(tmp_path / "out.tif")
    there = np.repeat(np.repeat((mss > 0).any(axis=0), 4, 0), 4, 1) & (pan > 0)
    np.testing.assert_array_equal(out > 0, np.broadcast_to(there, out.shape))
    assert 0.5 < there.mean() < 0.95
    assert there[200, 120] == 0, "the hole of the panchromatic image"
    assert there[201, 30], "one band of a valid pixel may be 0"


def test_calibration_is_gain_times_number_plus_offset(pair, tmp_path) -> None:
    calibration = Calibration((0.2, 0.15, 0.1, 0.25), (4, 0, -1, 9))
    pansharpen_files(*pair, tmp_path / "numbers.tif")
    pansharpen_files(*pair, tmp_path / "radiance.tif", calibration=calibration)
    with rasterio.open(tmp_path / "radiance.tif") as dataset:
        assert dataset.scales == (0.01,) * 4
        assert dataset.units == ("W/(m2 sr um)",) * 4
        radiance = dataset.read() * 0.01
    numbers = read(tmp_path / "numbers.tif")
    valid = (numbers > 1).all(axis=0)  # 1 is what is below it as well
    gains, offsets = (np.array(v)[:, None] for v in (calibration.gains, calibration.offsets))
    expected = np.maximum(numbers[:, valid] * gains + offsets, 0.01)
    assert np.abs(radiance[:, valid] - expected).max() < 0.5 * 0.25 + 0.011
    assert (radiance[:, numbers[0] == 0] == 0).all()


def test_overviews_are_averages(pair, tmp_path) -> None:
    pansharpen_files(*pair, tmp_path / "out.tif", overviews=True)
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert dataset.overviews(1) == [2]
        assert dataset.descriptions == ("blue", "green", "red", "nir")


def test_every_step_is_told(pair, tmp_path) -> None:
    steps = []
    pansharpen_files(*pair, tmp_path / "out.tif", on_window=lambda: steps.append(1))
    assert len(steps) == count_windows(COARSE.resized((280, 180))) == 2


def test_other_grids_are_refused(pair, tmp_path) -> None:
    moved = Grid(70, 45, COARSE.transform @ Affine.translation(1, 0), COARSE.crs)
    write_raster(tmp_path / "moved.tif", read(pair[1]), moved, nodata=0)
    with pytest.raises(GridMismatch, match="moved.tif"):
        pansharpen_files(pair[0], tmp_path / "moved.tif", tmp_path / "out.tif")
    write_raster(tmp_path / "three.tif", read(pair[1])[:3], COARSE, nodata=0)
    with pytest.raises(GridMismatch, match="not four bands and one"):
        pansharpen_files(pair[0], tmp_path / "three.tif", tmp_path / "out.tif")
    assert not (tmp_path / "out.tif").exists()


def test_no_common_pixel_is_refused(pair, tmp_path) -> None:
    write_raster(tmp_path / "none.tif", 0 * read(pair[1]), COARSE, nodata=0)
    with pytest.raises(SceneError, match="no valid pixel in common"):
        pansharpen_files(pair[0], tmp_path / "none.tif", tmp_path / "out.tif")


def test_an_interrupted_run_leaves_nothing(pair, tmp_path) -> None:
    before = sorted(tmp_path.iterdir())
    steps = []

    def stop() -> None:
        steps.append(1)
        if len(steps) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pansharpen_files(*pair, tmp_path / "out.tif", window=16, on_window=stop)
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_is_not_there_is_refused(pair, tmp_path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        pansharpen_files(*pair, tmp_path / "none" / "out.tif")
