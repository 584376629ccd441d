"""Many scenes on real workers: the files of one machine, whatever fails meanwhile."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rsseg.prediction.outputs.records import read_record

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="processes as POSIX has them"),
]

Read = Callable[[str], dict[str, bytes]]


@pytest.fixture
def folder(make_scene: Any, tmp_path: Path) -> Path:
    """A folder of scenes, one of which has too few bands."""
    for number in range(4):
        make_scene(f"in/{number}.tif", 130 + 70 * number, 300, seed=number)
    make_scene("in/two.tif", bands=2)
    return tmp_path / "in"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """A function that reads the files of a folder, less those that hold times."""
    return lambda name: {
        path.name: path.read_bytes().replace(f"{name}_sure".encode(), b"sure")
        for path in (tmp_path / name).iterdir()
        if path.is_file() and path.suffix not in (".gpkg", ".parquet")
    }


def summary(process: Any) -> tuple[int, dict[str, Any], str]:
    out, errors = process.communicate(timeout=300)
    assert out, errors
    return process.returncode, json.loads(out), errors


def states(told: dict[str, Any]) -> dict[str, str]:
    return {Path(each["scene"]).stem: each["state"] for each in told["scenes"]}


def test_the_folder_is_that_of_one_machine(
    processes: Any, folder: Path, read: Read, tmp_path: Path
) -> None:
    done = {str(number): "done" for number in range(4)} | {"two": "failed"}

    def words(name: str) -> tuple[object, ...]:
        out, sure = tmp_path / name, tmp_path / f"{name}_sure"
        return ("--out", out, "--confidence", sure, "--polygons", out, "--vrt", "--json")

    status, told, _ = summary(processes.predict(folder, *words("one")))
    assert (status, states(told)) == (1, done)
    processes.scheduler()
    workers = [processes.worker() for _ in range(2)]
    on = ("--cluster", processes.address)
    status, told, errors = summary(processes.predict(folder, *words("two"), *on))
    assert (status, states(told)) == (1, done)
    assert "too few bands" in errors
    assert read("two") == read("one")
    assert read("two_sure") == read("one_sure")
    assert {"items.json", "index.vrt"} <= read("two").keys()
    assert {path.name for path in (tmp_path / "two").glob("*.gpkg")} == {
        f"{number}.gpkg" for number in range(4)
    }
    shares = told["totals"]["workers"]
    assert len(shares) == 2
    assert sum(share["pixels"] for share in shares) == 300 * sum(130 + 70 * n for n in range(4))
    assert all(0 < share["busy"] <= 1 for share in shares)

    # what one machine has made is skipped as well, and nothing is computed
    for name in ("one", "two"):
        status, told, _ = summary(processes.predict(folder, *words(name), *on))
        assert set(states(told).values()) == {"skipped", "failed"}
        assert "workers" not in told["totals"]
    assert [worker.poll() for worker in workers] == [None, None]


def test_a_killed_worker_and_a_killed_client(
    processes: Any, folder: Path, read: Read, slow: Any, finish: Any, tmp_path: Path
) -> None:
    (folder / "two.tif").unlink()
    assert finish(processes.predict(folder, "--out", tmp_path / "one"))[0] == 0
    processes.scheduler()
    first, _ = (processes.worker(slow(0.05)) for _ in range(2))
    processes.wait_for_workers()
    on = ("--out", tmp_path / "two", "--cluster", processes.address)
    client = processes.predict(folder, *on)
    while (record := read_record(tmp_path / "two" / "0.tif")) is None or not record.sizes:
        assert client.poll() is None, client.communicate()
        time.sleep(0.01)
    client.kill()
    client.wait()
    client = processes.predict(folder, *on, "--json")
    while not (tmp_path / "two" / ".rsseg" / "1.json").exists():
        assert client.poll() is None, client.communicate()
        time.sleep(0.01)
    first.kill()
    status, told, errors = summary(client)
    assert (status, errors) == (0, "")
    assert states(told)["0"] == "skipped"
    assert read("two") == read("one")
    assert not list((tmp_path / "two").glob("*.parts"))


def test_items_of_stac_on_processes_of_this_machine(
    processes: Any, folder: Path, read: Read, finish: Any, tmp_path: Path
) -> None:
    """Bands in a file each, which every worker lays together for itself."""
    pytest.importorskip("pystac")
    import rasterio

    assets = {}
    with rasterio.open(folder / "0.tif") as source:
        for band, name in enumerate(("red", "green", "blue"), 1):
            profile = source.profile | {"count": 1}
            with rasterio.open(folder / f"{name}.tif", "w", **profile) as target:
                target.write(source.read(band), 1)
            assets[name] = {"href": f"./{name}.tif", "type": "image/tiff", "roles": ["data"]}
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "bands",
        "properties": {"datetime": "2024-05-01T00:00:00Z"},
        "geometry": None,
        "links": [],
        "assets": assets,
    }
    (folder / "item.json").write_text(json.dumps(item))
    assert finish(processes.predict(folder / "item.json", "--out", tmp_path / "one")) == (0, "")
    on = ("--out", tmp_path / "two", "--cluster", "local:2")
    assert finish(processes.predict(folder / "item.json", *on)) == (0, "")
    assert read("two") == read("one")
