"""A scene is known again, and a changed one is noticed, wherever it lies."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from rsseg.errors import OutputError, SceneError
from rsseg.geo import gdal_files
from rsseg.geo.objects import put_object, remove_objects
from rsseg.geo.state import fingerprint, pixel_digest
from rsseg.geo.together import as_one_scene

EAST = Affine(0.5, 0, 400_032, 0, -0.5, 5_000_000)


def touch(path: Path) -> None:
    """Another time stamp, a minute later."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 60 * 10**9))


def test_a_local_file_is_known_by_size_and_time(make_scene: Any) -> None:
    path = make_scene()
    before = fingerprint(str(path))
    assert before == fingerprint(str(path)) == json.loads(json.dumps(before))
    path.with_name("scene.tif.aux.xml").write_text("<PAMDataset></PAMDataset>")
    assert fingerprint(str(path)) == before, "statistics do not change a scene"
    touch(path)
    assert fingerprint(str(path)) != before


def test_a_mask_beside_the_file_counts(make_scene: Any) -> None:
    path = make_scene()
    before = fingerprint(str(path))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as target:
        target.write_mask(np.zeros((64, 64), bool))
    status = path.stat()
    assert len(fingerprint(str(path))) == 2
    touch(path.with_name("scene.tif.msk"))
    assert path.stat() == status
    assert fingerprint(str(path)) != before


def test_a_vrt_is_known_by_its_sources(make_scene: Any, tmp_path: Path) -> None:
    files = [make_scene("a.tif"), make_scene("b.tif", transform=EAST)]
    with as_one_scene(files) as name:
        before = fingerprint(name)
    with as_one_scene(files) as name:
        assert fingerprint(name) == before, "the VRT is made anew each time"
        outer = tmp_path / "outer.vrt"
        rasterio.shutil.copy(name, outer, driver="VRT")
        nested = fingerprint(str(outer))
        touch(files[1])
        assert fingerprint(name) != before
        assert fingerprint(str(outer)) != nested
    with as_one_scene(files[::-1]) as name:
        assert fingerprint(name) != before


@pytest.mark.parametrize(
    "validators", [("ETag", "Last-Modified"), ("ETag",), ("Last-Modified",), ()]
)
def test_an_address_is_known_by_its_server(
    make_scene: Any, server: Any, validators: tuple[str, ...]
) -> None:
    server.tell(validators=validators)
    path, address = make_scene(), f"{server.url}/scene.tif"
    before = fingerprint(f"{address}?signature=secret")
    assert "secret" not in json.dumps(before)
    assert "127.0.0.1" not in json.dumps(before)
    assert fingerprint(f"/vsicurl/{address}?signature=other") == before, "keys may change"
    make_scene(seed=1)  # of the same size, other pixels
    touch(path)
    assert fingerprint(address) != before


def test_a_server_without_ranges_is_asked_too(make_scene: Any, server: Any) -> None:
    path = make_scene()
    server.tell(ranges=False)
    (state,) = fingerprint(f"{server.url}/scene.tif")
    assert state[0] == path.stat().st_size


def test_a_server_that_fails_once_is_asked_again(make_scene: Any, server: Any) -> None:
    make_scene()
    before = fingerprint(f"{server.url}/scene.tif")
    for how in (503, "drop"):
        server.fail(how)
        assert fingerprint(f"{server.url}/scene.tif") == before


def test_a_server_that_fails_is_named_without_its_key(make_scene: Any, server: Any) -> None:
    make_scene()
    server.fail(500, times=-1)
    with pytest.raises(SceneError, match=r"scene\.tif cannot be asked for \(HTTP 500\)") as caught:
        fingerprint(f"{server.url}/scene.tif?signature=secret")
    assert "secret" not in str(caught.value)


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 255, (1, 512, 512), dtype=np.uint8)


@pytest.fixture
def stored(make_scene: Any, store: Any) -> Path:
    """The file that is ``s3://maps/scene.tif``."""
    return Path(make_scene("store/maps/scene.tif", pixels=noise()))


@pytest.mark.parametrize("validators", [("ETag", "Last-Modified"), ("ETag",), ("Last-Modified",)])
def test_an_object_that_changed_anywhere_is_noticed(
    make_scene: Any, store: Any, stored: Path, validators: tuple[str, ...]
) -> None:
    name = "s3://maps/scene.tif"
    store.tell(validators=validators)
    size, digest, before = stored.stat().st_size, pixel_digest(name), fingerprint(name)
    assert before == fingerprint(name) == json.loads(json.dumps(before))
    assert before[0][0] == size
    pixels = noise()
    pixels[0, 150, 150] = 0  # where no sample lies
    make_scene("store/maps/scene.tif", pixels=pixels)
    touch(stored)
    assert stored.stat().st_size == size
    assert pixel_digest(name) == digest
    assert fingerprint(name) != before


def test_an_object_is_asked_for_by_one_request(store: Any, stored: Path) -> None:
    fingerprint("s3://maps/scene.tif")
    assert store.asked == {"GET scene.tif": 1}


def test_names_of_an_object_are_one(store: Any, stored: Path) -> None:
    assert fingerprint("s3://maps/scene.tif") == fingerprint("/vsis3/maps/scene.tif")


def test_a_changed_source_in_a_store_is_noticed(store: Any, stored: Path, tmp_path: Path) -> None:
    virtual = tmp_path / "scene.vrt"
    rasterio.shutil.copy("/vsis3/maps/scene.tif", virtual, driver="VRT")
    before = fingerprint(str(virtual))
    assert before == fingerprint(str(virtual))
    touch(stored)
    assert fingerprint(str(virtual)) != before


def test_a_store_that_tells_neither_etag_nor_time(
    make_scene: Any, store: Any, stored: Path
) -> None:
    store.tell(validators=[])
    before = fingerprint("s3://maps/scene.tif")
    assert before == [[pixel_digest("s3://maps/scene.tif")]]
    touch(stored)
    assert fingerprint("s3://maps/scene.tif") == before
    make_scene("store/maps/scene.tif", pixels=noise()[:, ::-1])
    assert fingerprint("s3://maps/scene.tif") != before


def test_files_in_memory_are_known_by_their_pixels(make_scene: Any) -> None:
    name, states = "/vsimem/rsseg-tests/state.tif", []
    for seed in (0, 0, 1):
        put_object(make_scene(seed=seed), name)
        states.append(fingerprint(name))
    remove_objects([name])
    assert states[0] == states[1] != states[2]


def test_without_gdals_functions_objects_are_known_by_their_pixels(
    store: Any, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable() -> None:
        raise OutputError("GDAL's access to object stores cannot be reached")

    monkeypatch.setattr(gdal_files, "_gdal", unreachable)
    assert fingerprint("s3://maps/scene.tif") == [[pixel_digest("s3://maps/scene.tif")]]


@pytest.mark.parametrize("how", [503, 429, "drop", "cut"])
def test_a_store_that_fails_a_while_is_asked_again(
    store: Any, stored: Path, how: int | str
) -> None:
    before = fingerprint("s3://maps/scene.tif")
    store.fail(how, times=2)
    assert fingerprint("s3://maps/scene.tif") == before


@pytest.mark.parametrize(
    ("how", "text"),
    [
        (500, r"cannot be asked for \(HTTP response code: 500\), tried 3 times; may the key"),
        ("drop", r"cannot be asked for \(CURL error: .*\), tried 3 times; may the key"),
        (400, r"cannot be asked for \(HTTP response code: 400\); may the key"),
        (403, r"may not be read, got HTTP response code: 403; the key"),
    ],
)
def test_a_store_that_fails_is_named_without_keys(
    store: Any, stored: Path, monkeypatch: pytest.MonkeyPatch, how: int | str, text: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "access")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.delenv("AWS_NO_SIGN_REQUEST")
    kept = json.dumps(fingerprint("s3://maps/scene.tif"))
    store.fail(how, times=-1)
    with pytest.raises(SceneError, match=rf"^s3://maps/scene\.tif {text}") as caught:
        fingerprint("s3://maps/scene.tif")
    for told in (kept, str(caught.value)):
        assert not any(word in told for word in ("access", "secret", "127.0.0.1", "\n"))


def test_an_object_that_is_not_there(store: Any) -> None:
    with pytest.raises(SceneError, match=r"^there is no file s3://maps/none\.tif$"):
        fingerprint("s3://maps/none.tif")


def test_a_key_that_is_missing(
    store: Any, stored: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_NO_SIGN_REQUEST")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "TRUE")
    monkeypatch.setenv("CPL_AWS_AUTODETECT_EC2", "NO")
    with pytest.raises(SceneError, match=r"may not be read, got AWS_SECRET_ACCESS_KEY .* not"):
        fingerprint("s3://maps/scene.tif")


def test_what_only_gdal_can_read_is_known_by_its_pixels(make_scene: Any, tmp_path: Path) -> None:
    import zipfile

    states = []
    for seed in (0, 0, 1):
        with zipfile.ZipFile(tmp_path / f"{len(states)}.zip", "w") as archive:
            archive.write(make_scene(seed=seed), "scene.tif")
        states.append(fingerprint(f"/vsizip/{tmp_path}/{len(states)}.zip/scene.tif"))
    assert states[0] == states[1] != states[2]
