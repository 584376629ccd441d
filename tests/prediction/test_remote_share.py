"""A scene behind a web server that fails: read again, then one error that names the window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rsseg.prediction.planning.plan as planning
from rsseg.errors import SceneError
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.computing.dealing import Share
from rsseg.prediction.outputs.finishing import assemble_parts
from rsseg.prediction.share import predict_share

TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}


@pytest.fixture
def server(makers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The server of the tests of ``geo``, on ``tmp_path``; GDAL asks again without waiting long."""
    monkeypatch.setenv("GDAL_HTTP_RETRY_DELAY", "0.01")
    with makers("geo").serving(tmp_path) as server:
        yield server


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(planning, "_SHARD_PIXELS", 1)
    monkeypatch.setattr(planning, "_SHARD_COLUMNS", 96)
    return tmp_path / "map.tif"


@pytest.mark.parametrize(
    "how", [500, *(pytest.param(how, marks=pytest.mark.slow) for how in (503, "drop", "cut"))]
)
def test_shares_of_a_remote_scene_survive_a_server_that_stumbles(
    make_scene: Any, cheap_model: Path, server: Any, out: Path, how: int | str
) -> None:
    local = make_scene(height=200, width=240, **TILED)
    options = PredictOptions(engine="openvino", tile_size=64)
    predict(local, out, bundle=cheap_model, options=options)
    whole = out.read_bytes()
    out.unlink()
    out.with_suffix(".qml").unlink()
    for number in (1, 2):
        server.fail(how, times=3, beyond=40_000)
        done = predict_share(
            f"{server.url}/scene.tif", out, Share(number, 2), bundle=cheap_model, options=options
        )
        assert done.computed == done.shards > 1
    assemble_parts(out)
    assert out.read_bytes() == whole


def test_a_server_that_goes_on_failing_is_one_error_with_the_window(
    make_scene: Any, cheap_model: Path, server: Any, out: Path
) -> None:
    make_scene(height=200, width=240, **TILED)
    address = f"{server.url}/scene.tif"
    options = PredictOptions(engine="openvino", tile_size=64)

    def fail(done: int, total: int) -> None:
        server.fail(500, times=-1, beyond=40_000)

    with pytest.raises(SceneError) as caught:
        predict_share(
            address, out, Share(1, 1), bundle=cheap_model, options=options, on_progress=fail
        )
    assert f"{address} cannot be read at rows " in str(caught.value)
    assert "columns" in str(caught.value)
    assert "tried 3 times" in str(caught.value)
    server.tell(times=0)
    done = predict_share(address, out, Share(1, 1), bundle=cheap_model, options=options)
    assert done.missing == 0
