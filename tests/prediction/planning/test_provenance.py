"""What maps say of themselves, and that they lie where and as their scenes do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from rsseg import __version__
from rsseg.prediction import PredictOptions, predict

CORNERS = [(0, 0), (0, 90), (70, 0), (70, 90), (35, 45)]


@pytest.fixture
def controlled(make_scene: Any) -> Path:
    """A scene of 70 x 90 pixels with ground control points and no transform."""
    path: Path = make_scene(height=70, width=90, crs=None, transform=Affine.identity())
    points = [
        GroundControlPoint(row, column, 4e5 + 0.5 * column + 0.1 * row, 5e6 - 0.5 * row, 100 + row)
        for row, column in CORNERS
    ]
    with rasterio.open(path, "r+") as scene:
        scene.gcps = (points, CRS.from_epsg(32633))
    return path


def places(path: Path) -> tuple[list[tuple[float, ...]], CRS]:
    with rasterio.open(path) as dataset:
        points, crs = dataset.gcps
        assert dataset.crs is None
        return [(p.col, p.row, p.x, p.y, p.z) for p in points], crs


def test_ground_control_points_are_kept(
    tmp_path: Path, controlled: Path, make_bundle: Any, pointwise: Any, truth: Any, read: Any
) -> None:
    bundle, network = make_bundle(), pointwise()
    options = PredictOptions(
        confidence=tmp_path / "sure.tif", probabilities=tmp_path / "shares.tif", tile_size=32
    )
    out = tmp_path / "map.tif"
    result = predict(controlled, out, bundle=bundle, network=network, options=options)
    assert any("control points alone, and so has the map" in note for note in result.notes)
    codes, near = truth(controlled, network, bundle)
    assert np.array_equal(read(out)[~near], codes[~near])
    given, crs = places(controlled)
    assert len(given) == len(CORNERS)
    for path in (out, tmp_path / "sure.tif", tmp_path / "shares.tif"):
        kept, of = places(path)
        np.testing.assert_allclose(kept, given, rtol=0, atol=1e-6)
        assert of == crs


@pytest.mark.parametrize("kind", ["Point", "Area"])
def test_pixels_stay_points_or_areas(
    tmp_path: Path, make_scene: Any, make_bundle: Any, pointwise: Any, kind: str
) -> None:
    scene = make_scene(height=40, width=50)
    with rasterio.open(scene, "r+") as dataset:
        dataset.update_tags(AREA_OR_POINT=kind)
    out, sure = tmp_path / "map.tif", tmp_path / "sure.tif"
    options = PredictOptions(confidence=sure)
    predict(scene, out, bundle=make_bundle(), network=pointwise(), options=options)
    with rasterio.open(scene) as given:
        for path in (out, sure):
            with rasterio.open(path) as made:
                assert made.tags()["AREA_OR_POINT"] == kind
                assert made.transform == given.transform


def test_version_model_and_choices_are_told(
    tmp_path: Path, make_scene: Any, make_bundle: Any, pointwise: Any
) -> None:
    scene, bundle = make_scene(height=90, width=80), replace(make_bundle(), architecture="a-net")
    options = PredictOptions(tile_size=32, overlap=8, tta="flip", memory=4 * 10**9)
    out = tmp_path / "map.tif"
    predict(scene, out, bundle=bundle, network=pointwise(), options=options)
    with rasterio.open(out) as made:
        tags = made.tags()
    told = {
        "VERSION": __version__,
        "ARCHITECTURE": "a-net",
        "SCENE": "scene.tif",
        "BANDS": "[1, 2, 3]",
        "WINDOW": "32",
        "STRIDE": "24",
        "TTA": "flip",
        "ENGINE": "torch",
        "PRECISION": "fp32",
    }
    assert told.items() <= {key.removeprefix("RSSEG_"): text for key, text in tags.items()}.items()
    assert len(tags["RSSEG_MODEL"]) == 64
    assert not any(str(tmp_path) in text for text in tags.values())
    assert "RSSEG_STRETCH" not in tags
