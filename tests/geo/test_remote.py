"""Scenes over a network: the same pixels, patience with failures, and no secrets told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from rsseg.errors import SceneError
from rsseg.geo.opening import open_raster
from rsseg.geo.remote import (
    ATTEMPTS,
    gdal_name,
    is_remote,
    pause,
    public_name,
    public_text,
    settings,
)
from rsseg.geo.scene import Scene
from rsseg.geo.together import as_one_scene

TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
LAST = Window(448, 448, 64, 64)
"""In the last bytes of a scene of 512 x 512 pixels."""


@pytest.fixture
def scene(make_scene: Any) -> Path:
    path: Path = make_scene(height=512, width=512, **TILED)
    return path


@pytest.mark.parametrize("name", ["{}/scene.tif", "/vsicurl/{}/scene.tif", "{}/scene.tif?token=7"])
def test_the_pixels_are_those_of_the_file(scene: Path, server: Any, name: str) -> None:
    with Scene(scene) as near, Scene(name.format(server.url)) as far:
        assert far.grid == near.grid
        for window in (LAST, Window(-5, 100, 80, 80)):
            for mine, theirs in zip(far.read(window), near.read(window), strict=True):
                assert np.array_equal(mine, theirs)


def test_a_window_is_asked_for_by_its_bytes(scene: Path, server: Any) -> None:
    with Scene(f"{server.url}/scene.tif") as far:
        before = len(server.seen)
        far.read(LAST)
        asked = server.seen[before:]
    assert 1 <= len(asked) <= 3
    assert all(first is not None and first > 100_000 for _, _, first in asked)


def test_no_folder_is_listed(scene: Path, server: Any) -> None:
    with Scene(f"{server.url}/scene.tif"):
        assert not any(path.endswith("/") for _, path, _ in server.seen)


def test_a_mask_beside_the_file_counts(make_scene: Any, server: Any) -> None:
    path = make_scene(height=64, width=64)
    valid = np.random.default_rng(0).random((64, 64)) > 0.5
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as target:
        target.write_mask(valid)
    assert path.with_name("scene.tif.msk").exists()
    with Scene(f"{server.url}/scene.tif") as far:
        assert np.array_equal(far.read(Window(0, 0, 64, 64))[1], valid)


@pytest.mark.parametrize("how", [500, 503, "drop", "cut"])
@pytest.mark.parametrize("kind", ["file", "vrt"])
def test_passing_failures_are_overcome(
    scene: Path, server: Any, how: int | str, kind: str, make_scene: Any
) -> None:
    names = [f"{server.url}/scene.tif"]
    if kind == "vrt":
        with open_raster(scene) as dataset:
            east = dataset.transform @ Affine.translation(512, 0)
        make_scene("east.tif", 512, 512, transform=east, **TILED)
        names.append(f"{server.url}/east.tif")
    with Scene(scene) as near, as_one_scene(names) as name, Scene(name) as far:
        expected = near.read(LAST)[0]
        server.fail(how, times=1, beyond=100_000)
        assert np.array_equal(far.read(LAST)[0], expected)


@pytest.mark.parametrize("how", [500, "drop", "cut"])
def test_lasting_failures_name_scene_and_window(scene: Path, server: Any, how: int | str) -> None:
    with Scene(f"{server.url}/scene.tif?signature=secret") as far:
        far.read(Window(0, 0, 64, 64))
        server.fail(how, times=-1, beyond=100_000)
        with pytest.raises(SceneError) as caught:
            far.read(LAST)
        text = str(caught.value)
        assert f"{server.url}/scene.tif cannot be read at rows 448-511, columns 448-511" in text
        assert "tried 3 times" in text
        assert "secret" not in text
        server.fail(500, times=0)  # it has come back
        assert far.read(LAST)[1].all()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (404, "there is no file {}/scene.tif, got HTTP 404"),
        (403, "{}/scene.tif may not be read, got HTTP 403; its address may lack a key"),
        (401, "{}/scene.tif may not be read, got HTTP 401"),
        (500, "{}/scene.tif cannot be opened (HTTP 500), tried 3 times; its server"),
        ("drop", "{}/scene.tif cannot be opened, tried 3 times; its server"),
    ],
)
def test_what_cannot_be_opened_is_told_in_one_line(
    scene: Path, server: Any, how: int | str, words: str
) -> None:
    server.fail(how, times=-1)
    with pytest.raises(SceneError) as caught:
        open_raster(f"{server.url}/scene.tif?signature=secret")
    text = str(caught.value)
    assert text.startswith(words.format(server.url))
    assert "secret" not in text
    assert "\n" not in text
    if how in (401, 403, 404):
        assert len(server.seen) <= 4, "there is no use in asking again"


def test_a_server_that_comes_back_is_opened(scene: Path, server: Any) -> None:
    server.fail("drop", times=2)
    with Scene(f"{server.url}/scene.tif") as far:
        assert far.grid.width == 512


def test_a_page_is_no_raster_and_asked_for_once(server: Any, tmp_path: Path) -> None:
    (tmp_path / "page.tif").write_text("<html>Sign in</html>")
    with pytest.raises(
        SceneError, match=r"page\.tif cannot be opened as a raster, expected .*try again later"
    ):
        open_raster(f"{server.url}/page.tif")
    asked = [path for method, path, _ in server.seen if method == "GET"]
    assert asked == ["/page.tif"]


def test_a_file_that_changed_is_read_anew(make_scene: Any, server: Any) -> None:
    """GDAL would keep what it has read for as long as the process lives."""
    for seed in (1, 2):
        path = make_scene(height=512, width=512, seed=seed, **TILED)
        with Scene(path) as near, Scene(f"{server.url}/scene.tif") as far:
            assert np.array_equal(near.read(LAST)[0], far.read(LAST)[0])


def test_no_server_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_HTTP_RETRY_DELAY", "0.01")
    with pytest.raises(SceneError, match=r"127\.0\.0\.1:9/scene\.tif cannot be opened"):
        open_raster("http://127.0.0.1:9/scene.tif")


# Names


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("https://host/a/b.tif?sig=1&x=2", "https://host/a/b.tif"),
        ("https://me:pass@host/b.tif", "https://host/b.tif"),
        ("https://me:p@ss@host/b.tif#top", "https://host/b.tif"),
        ("/vsicurl/https://me:pass@host/b.tif?sig=1", "/vsicurl/https://host/b.tif"),
        ("/vsicurl?pc_url_signing=yes&url=https%3A%2F%2Fhost%2Fb.tif%3Fsig%3D1", "https://host/b.tif"),
        ("/vsicurl?url=https://host/b.tif?sig=1&max_retry=3", "https://host/b.tif"),
        ("/vsis3/bucket/b.tif", "/vsis3/bucket/b.tif"),
        ("s3://bucket/b.tif", "s3://bucket/b.tif"),
        ("zip+https://host/b.zip!b.tif?sig=1", "zip+https://host/b.zip!b.tif"),
    ],
)  # fmt: skip
def test_public_names_give_no_access(name: str, public: str) -> None:
    assert is_remote(name)
    assert public_name(name) == public


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("a sentence: it failed (HTTP 403)", "a sentence: it failed (HTTP 403)"),
        ("no https://h/a.tif?sig=1&x=2 there", "no https://h/a.tif there"),
        ("'/vsicurl/https://me:pw@h/a.tif' fails", "'/vsicurl/https://h/a.tif' fails"),
        ("tcp://10.0.0.5:8786 is gone", "tcp://10.0.0.5:8786 is gone"),
        ("s3://b/a?k=1 and http://h/b#t", "s3://b/a and http://h/b"),
        ("/vsicurl?token=1&url=https%3A%2F%2Fh%2Fa: broken", "https://h/a: broken"),
    ],
)
def test_sentences_give_no_access(text: str, public: str) -> None:
    assert public_text(text) == public


@pytest.mark.parametrize(
    "name", ["a.tif", "/data/a?b.tif", "C:/a.tif", "a@b.tif", "/vsizip/a.zip/b"]
)
def test_local_names_stay(name: str) -> None:
    assert not is_remote(name)
    assert public_name(name) == name


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("https://host/b.tif?sig=1", "/vsicurl/https://host/b.tif?sig=1"),
        ("s3://bucket/b.tif", "/vsis3/bucket/b.tif"),
        ("gs://bucket/b.tif", "/vsigs/bucket/b.tif"),
        ("/vsicurl/https://host/b.tif", "/vsicurl/https://host/b.tif"),
        ("/vsizip/a.zip/b.tif", "/vsizip/a.zip/b.tif"),
    ],
)
def test_names_as_gdal_knows_them(name: str, known: str) -> None:
    assert gdal_name(name) == known


def test_local_files_have_their_whole_name(
    make_scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_scene()
    monkeypatch.chdir(path.parent)
    assert gdal_name("scene.tif") == str(path)


def test_the_users_own_settings_have_their_way(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings()["GDAL_HTTP_MAX_RETRY"] == 4
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "9")
    assert "GDAL_HTTP_MAX_RETRY" not in settings()


def test_pauses_grow() -> None:
    pauses = [pause(attempt) for attempt in range(ATTEMPTS)]
    assert pauses[0] == 0
    assert pauses == sorted(pauses)
    assert sum(pauses) < 30


def test_a_server_that_gives_no_parts_is_refused(scene: Path, server: Any) -> None:
    server.tell(ranges=False)
    with pytest.raises(SceneError, match=r"server of .*/scene\.tif gives no parts of files; down"):
        open_raster(f"{server.url}/scene.tif")
    assert len([each for each in server.seen if each[0] == "GET"]) == 1
