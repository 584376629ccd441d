"""The journal of a run: what is left of it, and who may go on with it."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine

from rsseg.errors import OutputError, PlanChanged
from rsseg.geo.grid import Grid
from rsseg.geo.shards import Shard
from rsseg.legend import LAND_COVER
from rsseg.prediction.parts.folder import Parts
from rsseg.prediction.planning.manifest import Manifest

SHARD = Shard(0, 0, 4, 0, 8, range(1), range(1))
LAYERS = np.zeros((1, 4, 8), np.uint8)
MANIFEST = Manifest(
    Grid(8, 8, Affine.identity(), None), LAND_COVER, {}, ((0, 4, 0, 8), (4, 8, 0, 8)), (), ()
)
PLAN = {"window": 64, "stride": 48}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "map.tif"


def test_a_plan_that_cannot_be_written_leaves_no_folder(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **more: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    parts = Parts(out)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OutputError, match=r"plan\.json cannot be written: No space left"):
            parts.open(PLAN, MANIFEST, restart=False)
    assert not parts.folder.exists()
    parts.open(PLAN, MANIFEST, restart=False)
    assert parts.recorded("window") == 64
    assert parts.manifest() == MANIFEST
    parts.remove()


def test_another_plan_is_refused_and_lets_the_next_process_in(out: Path) -> None:
    first = Parts(out)
    first.open(PLAN, MANIFEST, restart=False)
    first.write(SHARD, LAYERS)
    assert first.keep_if_useful()
    with pytest.raises(PlanChanged, match="differs in stride") as caught:
        Parts(out).open(PLAN | {"stride": 32}, MANIFEST, restart=False)
    assert "--restart" in str(caught.value)
    again = Parts(out)
    again.open(PLAN | {"stride": 32}, MANIFEST, restart=True)
    assert not again.has(SHARD)
    assert again.recorded("stride") == 32
    again.remove()
    assert not any(out.parent.iterdir())


def test_those_who_share_keep_out_who_wants_it_alone(out: Path) -> None:
    one, other, alone = Parts(out), Parts(out), Parts(out)
    one.join(PLAN, MANIFEST)
    other.join(PLAN, MANIFEST)
    for restart in (False, True):
        with pytest.raises(OutputError, match="another process is at work"):
            alone.open(PLAN, MANIFEST, restart=restart)
    one.leave()
    with pytest.raises(OutputError, match="another process is at work"):
        alone.take()
    other.leave()
    alone.open(PLAN, MANIFEST, restart=False)
    with pytest.raises(OutputError, match="another process is at work"):
        one.join(PLAN, MANIFEST)
    alone.leave()


def test_those_who_share_have_one_plan_and_the_same_outputs(out: Path) -> None:
    one = Parts(out)
    one.join(PLAN, MANIFEST)
    with pytest.raises(PlanChanged, match="differs in stride.*remove that folder"):
        Parts(out).join(PLAN | {"stride": 32}, MANIFEST)
    more = Manifest(
        MANIFEST.grid, LAND_COVER, {}, MANIFEST.shards, ((out.with_name("c.tif"), {2: "c"}),), ()
    )
    with pytest.raises(PlanChanged, match=r"files beside the map, expected none, got .*c\.tif"):
        Parts(out).join(PLAN, more)
    one.leave()
    one = Parts(out)
    one.open(PLAN, more, restart=False)  # alone it may have other names
    one.leave()


def test_names_beside_the_map_may_be_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    relative = replace(MANIFEST, beside=((Path("sure.tif"), {2: "confidence"}),))
    absolute = replace(MANIFEST, beside=((tmp_path / "sure.tif", {2: "confidence"}),))
    one, other = Parts(Path("map.tif")), Parts(tmp_path / "map.tif")
    one.join(PLAN, relative)
    other.join(PLAN, absolute)
    assert other.manifest() == absolute
    one.leave()
    other.leave()


def test_a_shard_is_written_once_and_only_into_its_own_run(out: Path) -> None:
    worker, client = Parts(out), Parts(out)
    client.open(PLAN, MANIFEST, restart=False)
    worker.visit(PLAN)
    assert client.missing(MANIFEST) == [0, 1]
    worker.write(SHARD, LAYERS)
    assert client.missing(MANIFEST) == [1]
    before = (client.folder / "part_000000.tif").stat().st_mtime_ns
    worker.write(SHARD, LAYERS + 1)
    assert (client.folder / "part_000000.tif").stat().st_mtime_ns == before

    client.leave()
    client.open(PLAN | {"stride": 32}, MANIFEST, restart=True)
    with pytest.raises(PlanChanged):
        worker.write(SHARD, LAYERS)
    client.remove()
    with pytest.raises(OutputError, match="ended meanwhile"):
        worker.write(SHARD, LAYERS)
    assert not client.folder.exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"/none/map\.tif\.parts is not to be seen"):
        Parts(tmp_path / "none" / "map.tif").visit(PLAN)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"plan": 3}', '{"window": 64}'])
def test_a_damaged_plan_is_one_error(out: Path, text: str) -> None:
    parts = Parts(out)
    parts.folder.mkdir()
    (parts.folder / "plan.json").write_text(text)
    with pytest.raises(OutputError, match=r"plan\.json cannot be understood.*--restart"):
        parts.open(PLAN, MANIFEST, restart=False)
    parts.open(PLAN, MANIFEST, restart=True)
    parts.remove()
