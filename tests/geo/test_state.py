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

from rsseg.errors import SceneError
from rsseg.geo.state import fingerprint
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


def test_what_only_gdal_can_read_is_known_by_its_pixels(make_scene: Any, tmp_path: Path) -> None:
    import zipfile

    states = []
    for seed in (0, 0, 1):
        with zipfile.ZipFile(tmp_path / f"{len(states)}.zip", "w") as archive:
            archive.write(make_scene(seed=seed), "scene.tif")
        states.append(fingerprint(f"/vsizip/{tmp_path}/{len(states)}.zip/scene.tif"))
    assert states[0] == states[1] != states[2]
