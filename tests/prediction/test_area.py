"""A part of a scene is mapped as the whole would be: ``--bbox`` and ``--aoi``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

import rsseg.prediction.planning.plan as planning
from rsseg.errors import OptionError, PlanChanged
from rsseg.legend import NODATA
from rsseg.prediction import PredictOptions, PredictResult, predict

SIZE = (120, 150)
LAYERS = ("map.tif", "confidence.tif", "probabilities.tif")


@pytest.fixture
def run(tmp_path: Path, make_bundle: Any, local: Any) -> Callable[..., PredictResult]:
    """A function that predicts with all layers in 32-pixel windows, with a 3x3 network."""

    def start(scene: Path, name: str, network: Any = None, **choices: Any) -> PredictResult:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        options = {
            "tile_size": 32,
            "overwrite": True,
            "confidence": folder / LAYERS[1],
            "probabilities": folder / LAYERS[2],
        }
        return predict(
            scene,
            folder / LAYERS[0],
            bundle=make_bundle(),
            network=network or local(),
            options=PredictOptions(**options | choices),
        )

    return start


@pytest.fixture
def scene(make_scene: Any) -> Path:
    valid = np.random.default_rng(3).random(SIZE) > 0.03
    valid[40:90, :50] = False
    made: Path = make_scene(valid=valid, validity="mask")
    return made


def box_of(scene: Path, window: Window) -> tuple[float, float, float, float]:
    with rasterio.open(scene) as dataset:
        left, top = dataset.transform @ (window.col_off, window.row_off)
        right, bottom = dataset.transform @ (
            window.col_off + window.width,
            window.row_off + window.height,
        )
    return left, bottom, right, top


def layer(folder: Path, name: str) -> tuple[np.ndarray, Any]:
    with rasterio.open(folder / name) as dataset:
        return dataset.read(), dataset.transform


def test_a_box_has_the_pixels_of_the_whole(scene: Path, run: Any, tmp_path: Path) -> None:
    run(scene, "whole")

    @settings(max_examples=12)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        top, left = (data.draw(st.integers(0, side - 1)) for side in SIZE)
        height = data.draw(st.integers(1, SIZE[0] - top))
        width = data.draw(st.integers(1, SIZE[1] - left))
        window = Window(left, top, width, height)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(planning, "_SHARD_PIXELS", data.draw(st.sampled_from([1, 10**9])))
            patch.setattr(planning, "_SHARD_COLUMNS", data.draw(st.sampled_from([1, 10**9])))
            result = run(scene, "part", bbox=box_of(scene, window))
        assert (result.height, result.width) == (height, width)
        rows, columns = window.toslices()
        for name in LAYERS:
            whole, place = layer(tmp_path / "whole", name)
            part, corner = layer(tmp_path / "part", name)
            np.testing.assert_array_equal(part, whole[:, rows, columns])
            assert corner.almost_equals(place @ place.translation(left, top), 1e-9)

    check()


def test_only_windows_that_touch_the_box_are_computed(
    make_scene: Any, run: Any, pointwise: Any
) -> None:
    scene = make_scene(height=128, width=128)
    network = pointwise()
    result = run(scene, "part", network, overlap=0, bbox=box_of(scene, Window(40, 40, 50, 10)))
    assert result.windows == 2
    assert network.calls == 1 + 2
    assert sum(result.classes.values()) == 500


@pytest.fixture
def aoi(tmp_path: Path, scene: Path) -> Callable[..., Path]:
    """A function that writes polygons, given in pixels, as a file in another CRS."""

    def write(*rings: list[tuple[float, float]]) -> Path:
        with rasterio.open(scene) as dataset:
            transform, crs = dataset.transform, dataset.crs
        shapes = [shapely.Polygon([transform @ xy for xy in ring]) for ring in rings]
        path = tmp_path / "area.geojson"
        from pyproj import Transformer

        way = Transformer.from_crs(crs.to_wkt(), "EPSG:4326", always_xy=True)
        moved = [shapely.transform(shape, way.transform, interleaved=False) for shape in shapes]
        wkb = np.array([shapely.to_wkb(shape) for shape in moved], object)
        path.unlink(missing_ok=True)
        pyogrio.raw.write(
            path,
            wkb,
            [],
            [],
            geometry_type="Polygon",
            crs="EPSG:4326",
            layer_options={"COORDINATE_PRECISION": "12"},
        )
        return path

    return write


TRIANGLE = [(20.3, 10.2), (141.1, 60.4), (60.2, 110.9)]
ISLAND = [(2.1, 100.3), (12.4, 100.1), (7.7, 117.6)]


@pytest.mark.parametrize("cut", [1, 10**9])
def test_polygons_have_the_pixels_of_the_whole_and_nodata_around(
    scene: Path, run: Any, aoi: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    run(scene, "whole")
    monkeypatch.setattr(planning, "_SHARD_PIXELS", cut)
    monkeypatch.setattr(planning, "_SHARD_COLUMNS", cut)
    result = run(scene, "part", aoi=aoi(TRIANGLE, ISLAND))
    x, y = np.meshgrid(np.arange(SIZE[1]) + 0.5, np.arange(SIZE[0]) + 0.5)
    inside = np.logical_or(
        *(shapely.contains_xy(shapely.Polygon(ring), x, y) for ring in (TRIANGLE, ISLAND))
    )
    rows, columns = slice(10, 118), slice(2, 141)
    assert inside[rows, columns].sum() == inside.sum()
    assert (result.height, result.width) == (108, 139)
    for name in LAYERS:
        whole, _ = layer(tmp_path / "whole", name)
        part, _ = layer(tmp_path / "part", name)
        expected = np.where(inside, whole, NODATA)[:, rows, columns]
        np.testing.assert_array_equal(part, expected)


def test_windows_beside_the_polygons_are_not_computed(
    make_scene: Any, run: Any, aoi: Any, scene: Path, pointwise: Any
) -> None:
    """Two small polygons at opposite corners: the windows between them are left out."""
    plain = make_scene("plain.tif", height=128, width=128)
    network = pointwise()
    corners = aoi([(2, 2), (20, 2), (2, 20)], [(100, 100), (120, 100), (100, 120)])
    result = run(plain, "part", network, overlap=0, aoi=corners)
    assert network.calls == 1 + 2
    assert result.windows == 16
    assert result.nodata_pixels == 118 * 118 - sum(result.classes.values())


def test_what_has_no_pixel_is_refused(scene: Path, run: Any, aoi: Any) -> None:
    with pytest.raises(OptionError, match="the box 0, 0, 1, 1 has no pixel of the scene"):
        run(scene, "part", bbox=(0, 0, 1, 1))
    with pytest.raises(OptionError, match="have no pixel of the scene"):
        run(scene, "part", aoi=aoi([(-20, -20), (-10, -20), (-10, -10)]))


def test_another_area_is_another_plan(
    scene: Path, run: Any, aoi: Any, local: Any, stopped: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "_SHARD_PIXELS", 1)
    first = aoi(TRIANGLE)
    with pytest.raises(stopped):
        run(scene, "part", local(fail_at=20), aoi=first)
    turned = [TRIANGLE[0], (141.1, 60.4), (61.2, 110.9)]
    with pytest.raises(PlanChanged, match="differs in aoi"):
        run(scene, "part", aoi=aoi(turned))
    with pytest.raises(PlanChanged, match="differs in aoi, extent"):
        run(scene, "part")
    aoi(TRIANGLE)
    run(scene, "part", aoi=first)


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 1), (1, 0, 0, 1), (0, 1, 1, 0), (0, 0, float("inf"), 1), (float("nan"),) * 4]
)
def test_boxes_that_are_none_are_refused(box: Any) -> None:
    with pytest.raises(OptionError, match="west, south, east, north"):
        PredictOptions(bbox=box)
    with pytest.raises(OptionError, match="exclude each other"):
        PredictOptions(bbox=(0, 0, 1, 1), aoi=Path("area.gpkg"))
