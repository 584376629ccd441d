"""What lies in a parts folder is enough to make the very outputs of a plain run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from affine import Affine
from click.testing import CliRunner
from rasterio.crs import CRS

from rsseg.geo.grid import Grid, GroundControl
from rsseg.legend import LAND_COVER
from rsseg.prediction import PredictOptions
from rsseg.prediction.planning.manifest import Manifest, manifest_of
from rsseg.prediction.predict import plan
from rsseg_cli.main import main

CONTROL = GroundControl(
    ((0.5, 0.25, 5.1, 52.2, 0.0), (9.0, 0.0, 5.2, 52.2, 1.5)), CRS.from_epsg(4326)
)
PLACES = [
    ("EPSG:28992", Affine(0.25, 0, 155_000.1, 0, -0.25, 463_000.7), None),
    ("EPSG:4326", Affine(1e-5 / 3, 1e-9, 5.1, 1e-9, -1e-5 / 3, 52.2), None),
    ("EPSG:7415", Affine(0.1, 0, 0, 0, -0.1, 0), None),
    ("+proj=laea +lat_0=52.3 +lon_0=7.7 +ellps=GRS80 +units=m", Affine(10, 0, 1, 0, -10, 1), None),
    (None, Affine.identity(), None),
    (None, Affine.identity(), CONTROL),
]


@pytest.mark.parametrize(("crs", "transform", "control"), PLACES)
def test_it_comes_back_from_json(
    tmp_path: Path, crs: str | None, transform: Affine, control: GroundControl | None
) -> None:
    grid = Grid(30, 40, transform, crs and CRS.from_user_input(crs), control)
    before = Manifest(
        grid,
        LAND_COVER,
        {"RSSEG_WINDOW": "64"},
        ((0, 10, 0, 40), (10, 30, 0, 40)),
        ((tmp_path / "sure" / "c.tif", {2: "confidence"}),),
        ("rsseg", "predict", "a b.tif"),
    )
    text = json.dumps(before.to_json(tmp_path))
    assert str(tmp_path) not in text, "the folder may have another name elsewhere"
    after = Manifest.from_json(json.loads(text), tmp_path)
    assert after == before
    if crs is not None:
        assert after.grid.crs.to_wkt() == grid.crs.to_wkt(), "it is written into the outputs"


def test_the_command_is_the_one_that_was_given(make_scene: Any, tmp_path: Path) -> None:
    """Parsed again, it gives the same options."""
    scene = make_scene(height=70, width=70, name="a scene.tif")
    options = PredictOptions(
        tile_size=32,
        overlap=0.5,
        bands=(3, 2, 1),
        stretch=(2.0, 98.0),
        confidence=tmp_path / "c.tif",
        min_confidence=0.25,
        rescale=False,
        tta="flip",
        engine="openvino",
        precision="fp32",
        memory=3 * 10**9,
    )
    command = manifest_of(plan(scene, options=options), tmp_path / "map.tif").command
    context = main.commands["predict"].make_context("predict", list(command[2:]))
    assert context.params["scenes"] == (str(scene),)
    assert context.params["out"] == str(tmp_path / "map.tif")
    from rsseg_cli.predict import _options

    given = {key: context.params[key] for key in vars(options)}
    assert _options(**given) == options
    assert CliRunner().invoke(main, [*command[1:], "--dry-run"]).exit_code == 0
