"""Shards in an object store: who finds them, who may still put some, what is left."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from rsseg.errors import OutputError, PlanChanged, SceneError
from rsseg.geo.grid import Grid
from rsseg.geo.objects import object_names, put_object, read_object, remove_objects
from rsseg.geo.shards import Shard
from rsseg.legend import LAND_COVER
from rsseg.prediction.outputs.finishing import finish
from rsseg.prediction.parts import store as part_store
from rsseg.prediction.parts.folder import Parts
from rsseg.prediction.parts.store import PartStore, unfinished_plans
from rsseg.prediction.parts.stored_parts import StoredParts
from rsseg.prediction.planning.manifest import Manifest

PLAN = {"window": 64, "stride": 48, "forward": 1}
SHARDS = [Shard(n, 4 * n, 4 * n + 4, 0, 8, range(1), range(1)) for n in range(3)]
LAYERS = np.arange(32, dtype=np.uint8).reshape(1, 4, 8) % 5


@pytest.fixture
def root() -> Iterator[str]:
    """A folder in memory, which GDAL takes for an object store's."""
    name = "/vsimem/rsseg-part-store/map.tif.parts"
    yield name
    for each in tree(name):
        remove_objects([each])


@pytest.fixture
def manifest(make_map: Any) -> Manifest:
    with rasterio.open(make_map("grid.tif", np.zeros((12, 8), np.uint8))) as dataset:
        grid = Grid(12, 8, dataset.transform, dataset.crs)
    places = tuple((shard.top, shard.bottom, shard.left, shard.right) for shard in SHARDS)
    return Manifest(grid, LAND_COVER, {}, places, (), ())


def tree(folder: str) -> list[str]:
    """Names of all objects below a folder."""
    put_object(b"1", f"{folder}/~")
    found = []
    for name in object_names(folder, "~"):
        below = f"{folder}/{name}"
        try:
            read_object(below)
        except SceneError:
            found += tree(below)
        else:
            found.append(below)
    remove_objects([f"{folder}/~"])
    return [name for name in found if not name.endswith("~")]


def never() -> bool:
    return False


def test_two_workers_and_two_clients_of_one_plan_meet_there(root: str) -> None:
    one, other = PartStore(root, PLAN), PartStore(root, dict(reversed(PLAN.items())))
    assert one.place == other.place
    assert one.begin() == set()
    one.write(SHARDS[0], LAYERS)
    assert other.begin() == {0}
    assert other.has(SHARDS[0])
    assert not other.has(SHARDS[1])
    before = one.read(0)
    other.write(SHARDS[0], LAYERS)
    assert one.read(0) == before, "the bytes are the same, whoever puts them"
    plan = json.loads(read_object(f"{one.place}/plan.json"))["plan"]
    assert plan == PLAN


def test_another_plan_lies_elsewhere(root: str) -> None:
    one, other = PartStore(root, PLAN), PartStore(root, PLAN | {"stride": 32})
    one.begin()
    other.begin()
    one.write(SHARDS[0], LAYERS)
    assert other.indices() == set()
    assert sorted(unfinished_plans(root), key=str) == sorted([PLAN, PLAN | {"stride": 32}], key=str)
    assert other.remove()
    assert unfinished_plans(root) == [PLAN]
    assert one.indices() == {0}
    assert one.remove()
    assert tree(root) == []


def test_a_worker_that_is_late_leaves_nothing(root: str) -> None:
    client, worker = PartStore(root, PLAN), PartStore(root, PLAN)
    client.begin()
    assert not worker.has(SHARDS[0])
    assert client.remove()
    with pytest.raises(OutputError, match=r"map\.tif\.parts/\w{16} was ended meanwhile"):
        worker.write(SHARDS[0], LAYERS)
    with pytest.raises(OutputError, match="was ended meanwhile"):
        PartStore(root, PLAN).has(SHARDS[0])
    assert client.indices() is None
    assert client.remove(), "there is nothing left to remove"
    assert tree(root) == []


def test_damaged_plans_are_no_plans(root: str) -> None:
    PartStore(root, PLAN).begin()
    put_object(b"{", f"{root}/0000/plan.json")
    put_object(b"7", f"{root}/1111/part_000000.tif")
    put_object(b"7", f"{root}/2222/plan.json")
    put_object(b'{"plan": 7}', f"{root}/3333/plan.json")
    assert unfinished_plans(root) == [PLAN]


def test_a_plan_that_cannot_be_read_is_not_taken_for_none(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run would begin anew by another plan, and leave the finished shards behind."""
    PartStore(root, PLAN).begin()

    def fail(name: str) -> bytes:
        raise SceneError(f"{name} cannot be read")

    monkeypatch.setattr(part_store, "read_object", fail)
    with pytest.raises(SceneError, match=r"plan\.json cannot be read"):
        unfinished_plans(root)


def test_a_new_beginning_finds_no_shard(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PartStore(root, PLAN)
    for cut_short in (False, True):
        store.begin()
        store.write(SHARDS[1], LAYERS)
        if cut_short:
            assert remove_objects([f"{store.place}/plan.json"])
        assert store.begin(restart=True) == set()
        assert store.indices() == set()
    store.write(SHARDS[1], LAYERS)
    with monkeypatch.context() as patch:
        patch.setattr(part_store, "remove_objects", lambda names: not names)
        with pytest.raises(OutputError, match="cannot be deleted; may the key that is set delete"):
            store.begin(restart=True)
    assert store.begin() == {1}


def test_a_shard_goes_there_packed_and_comes_back(root: str, tmp_path: Path) -> None:
    store = PartStore(root, PLAN)
    store.begin()
    layers = np.zeros((3, 300, 500), np.uint8)
    layers[1, 100:] = np.random.default_rng(0).integers(0, 255, (200, 500))
    store.write(SHARDS[2], layers)
    (tmp_path / "part.tif").write_bytes(store.read(2))
    with rasterio.open(tmp_path / "part.tif") as dataset:
        assert np.array_equal(dataset.read(), layers)
    assert (tmp_path / "part.tif").stat().st_size < 110_000


Make = Callable[..., StoredParts]


@pytest.fixture
def parts_in(root: str, tmp_path: Path) -> Make:
    """A function that gives the parts of a map on some machine."""

    def make(machine: str, **changed: Any) -> StoredParts:
        (tmp_path / machine).mkdir(exist_ok=True)
        return StoredParts(tmp_path / machine / "map.tif", root, PLAN | changed)

    return make


def test_the_map_is_that_of_a_folder_and_nothing_is_left(
    root: str, parts_in: Make, manifest: Manifest, tmp_path: Path
) -> None:
    near = Parts(tmp_path / "near.tif")
    near.open(PLAN, manifest, restart=False)
    far, worker = parts_in("far"), PartStore(root, PLAN)
    far.open(PLAN, manifest, restart=False)
    for number, shard in enumerate(SHARDS):
        assert far.missing(manifest) == list(range(number, 3))
        near.write(shard, (LAYERS + number) % 5)
        worker.write(shard, (LAYERS + number) % 5)
    assert far.missing(manifest) == []
    pixels = finish(near, manifest, tmp_path / "near.tif", never)
    assert finish(far, manifest, tmp_path / "far" / "map.tif", never) == pixels
    assert (tmp_path / "far/map.tif").read_bytes() == (tmp_path / "near.tif").read_bytes()
    assert tree(root) == []
    assert not far.folder.exists()


def test_what_is_there_is_known_and_kept(root: str, parts_in: Make, manifest: Manifest) -> None:
    one = parts_in("one")
    one.open(PLAN, manifest, restart=False)
    assert one.place == PartStore(root, PLAN).place
    assert not one.keep_if_useful(), "there is no shard"
    assert tree(root) == [f"{one.place}/plan.json"], "another machine may go by it"
    assert not one.folder.exists()
    one = parts_in("one")
    one.open(PLAN, manifest, restart=False)
    PartStore(root, PLAN).write(SHARDS[1], LAYERS)
    assert one.keep_if_useful()
    other = parts_in("other")
    other.open(PLAN, manifest, restart=False)
    assert [other.has(shard) for shard in SHARDS] == [False, True, False]
    other.leave()


def test_a_client_that_gives_up_does_not_end_another_one(
    root: str, parts_in: Make, manifest: Manifest
) -> None:
    """Of the same plan, on another machine, before there is any shard."""
    one, other, worker = parts_in("one"), parts_in("other"), PartStore(root, PLAN)
    one.open(PLAN, manifest, restart=False)
    other.open(PLAN, manifest, restart=False)
    assert not other.keep_if_useful()
    assert not worker.has(SHARDS[0])
    for shard in SHARDS:
        worker.write(shard, LAYERS)
    assert one.missing(manifest) == []
    one.remove()
    assert tree(root) == []


def test_nothing_is_asked_of_the_store_after_an_interrupt(
    root: str, parts_in: Make, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = parts_in("one")
    one.open(PLAN, manifest, restart=False)
    PartStore(root, PLAN).write(SHARDS[1], LAYERS)
    with monkeypatch.context() as patch:
        for name in ("object_names", "object_size", "read_object", "remove_objects"):
            patch.setattr(part_store, name, None)
        assert one.keep_at_once()
    one = parts_in("one")
    one.open(PLAN, manifest, restart=False)
    assert [one.has(shard) for shard in SHARDS] == [False, True, False]
    one.remove()
    assert not one.keep_at_once(), "all is removed"


def test_one_command_at_a_time_on_a_machine(parts_in: Make, manifest: Manifest) -> None:
    one = parts_in("one")
    one.open(PLAN, manifest, restart=False)
    with pytest.raises(OutputError, match="another process is at work"):
        parts_in("one").open(PLAN, manifest, restart=False)
    other = parts_in("other")
    other.open(PLAN, manifest, restart=False)
    for each in (one, other):
        each.leave()


def test_a_changed_plan_is_told_and_restart_forgets_both(
    root: str, parts_in: Make, manifest: Manifest
) -> None:
    one = parts_in("one")
    one.open(PLAN, manifest, restart=False)
    PartStore(root, PLAN).write(SHARDS[1], LAYERS)
    assert one.keep_if_useful()
    changed = PLAN | {"stride": 32}
    with pytest.raises(PlanChanged, match="differs in stride.*--restart"):
        parts_in("one", stride=32).open(changed, manifest, restart=False)
    assert PartStore(root, PLAN).indices() == {1}
    new = parts_in("one", stride=32)
    new.open(changed, manifest, restart=True)
    assert unfinished_plans(root) == [changed]
    PartStore(root, changed).write(SHARDS[0], LAYERS)
    new.leave()
    new.open(changed, manifest, restart=True)
    assert new.missing(manifest) == [0, 1, 2], "nor are its own shards kept"
    new.remove()
    assert tree(root) == []


def test_fetched_shards_are_not_fetched_again(
    root: str, parts_in: Make, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = parts_in("one")
    one.open(PLAN, manifest, restart=False)
    for shard in SHARDS:
        PartStore(root, PLAN).write(shard, LAYERS)
    fetched = []
    real = PartStore.read

    def read(store: PartStore, index: int) -> bytes:
        fetched.append(index)
        if len(fetched) > 2:
            raise OutputError("the network is gone")
        return real(store, index)

    monkeypatch.setattr(PartStore, "read", read)
    with pytest.raises(OutputError, match="the network is gone"):
        one.gather(manifest, never)
    fetched.clear()
    one.gather(manifest, never)
    assert len(fetched) == 1
    assert {path.name for path in one.folder.glob("part_*.tif")} == {
        f"part_{number:06d}.tif" for number in range(3)
    }
    (one.folder / "part_000000.tif").unlink()
    with pytest.raises(OutputError, match="not wanted any more"):
        one.gather(manifest, lambda: True)
    one.remove()


def test_a_store_that_does_not_answer_is_one_error(
    parts_in: Make, manifest: Manifest, tmp_path: Path, makers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store" / "maps").mkdir(parents=True)
    with makers("geo").storing(tmp_path / "store", monkeypatch) as server:
        place = "s3://maps/map.tif.parts"
        one = StoredParts(tmp_path / "map.tif", place, PLAN)
        server.refuse(500, times=-1)
        with pytest.raises(OutputError, match=rf"{place}/\w+/plan\.json cannot be written"):
            one.open(PLAN, manifest, restart=False)
        assert not one.folder.exists()
        server.refuse(500, times=0)
        one.open(PLAN, manifest, restart=False)
        PartStore(place, PLAN).write(SHARDS[0], LAYERS)
        server.tell(list_how=403)
        with pytest.raises(OutputError, match=rf"{place}/\w+ cannot be listed"):
            one.missing(manifest)
        assert one.keep_if_useful(), "what is there stays there"
        server.tell(list_how=None)
        one.open(PLAN, manifest, restart=False)
        assert one.has(SHARDS[0])
        one.remove()
