"""What belongs to a map, and what does not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from rsseg.errors import BandError, GridMismatch, OptionError, SceneError
from rsseg.legend import NODATA
from rsseg.view import overviews
from rsseg.view import viewed as module
from rsseg.view.plane import TILE
from rsseg.view.viewed import ViewedMap

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

Make = Callable[..., Path]
IDENTITY = Affine.identity()


@pytest.fixture
def land_map(make_map: Make, tmp_path: Path) -> Path:
    return make_map(tmp_path / "map.tif", shape=(64, 64))


def test_a_map_alone(land_map: Path) -> None:
    with ViewedMap(land_map) as viewed:
        about = viewed.describe()
    assert (about["name"], about["crs"], about["mercator"]) == ("map.tif", "EPSG:32633", True)
    assert [each["name"] for each in about["classes"]] == [
        "building",
        "land",
        "road",
        "vegetation",
        "water",
    ]
    assert about["classes"][4] == {"code": 4, "name": "water", "colour": "#3478c4"}
    assert not any(about[name] for name in ("scene", "confidence", "polygons"))
    assert about["notes"] == []


def test_a_map_without_a_place_is_shown_by_its_pixels(
    make_map: Make, make_scene: Make, tmp_path: Path
) -> None:
    path = make_map(tmp_path / "map.tif", crs=None, transform=IDENTITY, shape=(64, 64))
    scene = make_scene(crs=None, transform=IDENTITY)
    with ViewedMap(path, scene=scene) as viewed:
        assert not viewed.describe()["mercator"]
        assert viewed.notes == [f"{path} has no place on earth: it is shown by its pixels"]
        found = viewed.at(5.5, -7.5)
    assert (found["row"], found["column"], found["x"], found["y"]) == (7, 5, 5.5, 7.5)
    assert (found["lon"], found["lat"]) == (None, None)
    with rasterio.open(scene) as dataset:
        assert [value for _, value in found["scene"]] == dataset.read()[:, 7, 5].tolist()
    with pytest.raises(GridMismatch, match="as many rows and columns"):
        ViewedMap(path, scene=make_scene("other.tif", height=65, crs=None, transform=IDENTITY))


@pytest.mark.parametrize("what", ["scene", "confidence"])
def test_rasters_of_other_places_are_refused(land_map: Path, make_scene: Make, what: str) -> None:
    bands = 1 if what == "confidence" else 3
    far = make_scene("far.tif", bands=bands, transform=Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000))
    with pytest.raises(GridMismatch, match="lie in different places"):
        ViewedMap(land_map, **{what: far})
    bare = make_scene("bare.tif", bands=bands, crs=None, transform=IDENTITY)
    with pytest.raises(GridMismatch, match="has no place on earth"):
        ViewedMap(land_map, **{what: bare})


def test_what_is_of_another_kind_is_refused(land_map: Path, make_scene: Make) -> None:
    with pytest.raises(SceneError, match="is not a class raster"):
        ViewedMap(make_scene())
    with pytest.raises(SceneError, match="is no raster of confidence, expected 1 band, got 3"):
        ViewedMap(land_map, confidence=make_scene())
    with pytest.raises(SceneError, match="there is no file"):
        ViewedMap(land_map, scene="none.tif")
    with pytest.raises(BandError, match="has no band 9"):
        ViewedMap(land_map, scene=make_scene(), bands=(9, 1, 2))
    with pytest.raises(OptionError, match="3 bands or 1"):
        ViewedMap(land_map, scene=make_scene(), bands=(1, 2))
    with pytest.raises(OptionError, match="name the scene too"):
        ViewedMap(land_map, bands=(1, 2, 3))


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_a_map_without_colours_gets_some(make_scene: Make, dtype: str) -> None:
    codes = np.full((1, 64, 64), 7, dtype)
    codes[:, :, 40:], codes[:, :, 50:] = 20, 3
    path = make_scene("plain.tif", pixels=codes, validity="nodata", nodata=3)
    said: list[str] = []
    with ViewedMap(path, on_wait=said.append) as viewed:
        legend, notes = viewed.legend, viewed.notes
        left, bottom, right, top = viewed.plane.extent
        middle = viewed.at((left + right) / 2, (bottom + top) / 2)
        tile = viewed.classes.tile(viewed.plane.extent, 256)
    assert [(known.code, known.name) for known in legend] == [(7, "class 7"), (20, "class 20")]
    assert len({known.colour for known in legend}) == 2
    assert said == [f"{path} tells no colours, looking for the classes it holds"]
    assert notes == []
    assert (middle["code"], middle["class"]) == (7, "class 7")
    assert set(tile) == {7, 20, NODATA}


@pytest.mark.parametrize(
    ("dtype", "value", "told"), [("uint8", 254, 1.0), ("uint8", 127, 0.5), ("float32", 0.25, 0.25)]
)
def test_confidence_is_told_between_0_and_1(
    land_map: Path, make_scene: Make, dtype: str, value: float, told: float
) -> None:
    pixels = np.full((1, 64, 64), value, dtype)
    with ViewedMap(land_map, confidence=make_scene(pixels=pixels)) as viewed:
        left, bottom, right, top = viewed.plane.extent
        found = viewed.at((left + right) / 2, (bottom + top) / 2)
        ((low, high),) = viewed.pictures["confidence"].limits
    assert found["confidence"] == pytest.approx(told)
    assert (low, high) == pytest.approx((0, 254 if dtype == "uint8" else 1))


@pytest.mark.slow
def test_a_map_without_overviews_gets_temporary_ones(
    make_map: Make, make_scene: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overviews, "LARGEST", 1000)
    codes = np.repeat(np.repeat(np.arange(4, dtype=np.uint8).reshape(2, 2), 600, 0), 600, 1)
    path = make_map(tmp_path / "map.tif", codes=codes)
    valid = np.zeros((1200, 1200), bool)
    valid[:, :900] = True
    pixels = np.full((3, 1200, 1200), 90, np.uint16)
    pixels[0, :600] = 200
    scene = make_scene(pixels=pixels, valid=valid, validity="mask")
    before = {each: each.read_bytes() for each in tmp_path.iterdir()}
    said: list[str] = []
    with ViewedMap(path, scene=scene, on_wait=said.append) as viewed:
        assert [sentence.split(",")[0] for sentence in said] == [
            f"{path} (1200 x 1200) has no overviews",
            f"{scene} (1200 x 1200) has no overviews",
        ]
        assert "gdaladdo -r mode" in said[0]
        folder = viewed._folder
        assert len(list(folder.glob("*.ovr"))) == 2
        left, bottom, right, top = viewed.plane.extent
        bounds = (left, bottom, right, bottom + (right - left))
        tile = np.frombuffer(viewed.classes.tile(bounds, TILE), np.uint8).reshape(TILE, TILE)
        assert set(tile[30:-30, 30:-30].ravel().tolist()) == {0, 1, 2, 3}
        assert [tile[a, b] for a in (60, 190) for b in (60, 190)] == [0, 1, 2, 3]
        _, shown = viewed.pictures["scene"].raster.read(bounds, TILE, "bilinear")
        assert shown[20:-20, 20:180].all()
        assert not shown[:, 210:].any()
    assert not folder.exists()
    assert {each: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_a_full_disk_is_told_and_the_map_still_shown(
    land_map: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overviews, "LARGEST", 32)
    monkeypatch.setattr(overviews, "_PROGRAM", "raise SystemExit('No space left on device')")
    with ViewedMap(land_map) as viewed:
        (note,) = viewed.notes
        assert "cannot be made" in note
        assert viewed.classes.tile((-2e7, -2e7, 2e7, 2e7), TILE)


def test_a_remote_raster_is_not_read_whole_for_overviews(
    land_map: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overviews, "LARGEST", 32)
    monkeypatch.setattr(module, "is_remote", lambda path: True)
    with ViewedMap(land_map) as viewed:
        assert "slow to look at as a whole" in viewed.notes[0]
        assert os.listdir(viewed._folder) == []
