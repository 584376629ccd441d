"""Where the shards of a job lie, and that an object store serves as a folder does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import rsseg.prediction.planning.plan as planning
from rsseg.errors import OptionError, OutputError
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.cluster.job import Job, job_of
from rsseg.prediction.cluster.places import parts_of, require_place, settled, store_of
from rsseg.prediction.cluster.predictor import Predictor, joined
from rsseg.prediction.outputs.staging import Stage
from rsseg.prediction.parts.folder import Parts
from rsseg.prediction.parts.store import PartStore, unfinished_plans

OPTIONS = PredictOptions(engine="openvino", tile_size=64)
ADDRESS = "tcp://10.0.0.5:8786"


@pytest.fixture
def root() -> Iterator[str]:
    """A place in memory, which GDAL takes for an object store's."""
    name = "/vsimem/rsseg-places/map.tif.parts"
    yield name
    for plan in unfinished_plans(name):
        PartStore(name, plan).remove()


@pytest.fixture
def job(make_scene: Any, cheap_model: Path, root: str, tmp_path: Path) -> Job:
    """A job of many small shards."""
    scene = make_scene(height=200, width=150)
    return job_of(str(scene), tmp_path / "far.tif", cheap_model, OPTIONS, store=root)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_SHARD_PIXELS", 1)
    monkeypatch.setattr(planning, "_SHARD_COLUMNS", 96)


@pytest.mark.parametrize(
    ("out", "cluster", "scratch", "store"),
    [
        ("s3://maps/a.tif", ADDRESS, None, "s3://maps/a.tif.parts"),
        ("s3://maps/a.tif", ADDRESS, "/fast/disk", None),
        ("s3://maps/a.tif", "local:2", None, None),
        ("a.tif", ADDRESS, None, None),
        ("a.tif", ADDRESS, "here", None),
    ],
)
def test_shards_lie_beside_the_map_unless_told_otherwise(
    out: str, cluster: str, scratch: str | None, store: str | None
) -> None:
    assert store_of(out, cluster, scratch) == store


def test_shards_lie_below_a_scratch_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [
        store_of(out, ADDRESS, "s3://tmp/x/")
        for out in ("a.tif", tmp_path / "a.tif", "b/a.tif", "s3://m/a.tif", "s3://m/b.tif")
    ]
    assert all(name and name.startswith("s3://tmp/x/") for name in names)
    assert names[0] == names[1]
    assert len(set(names)) == 4
    assert str(names[3]).endswith("/a.tif.parts")
    with pytest.raises(OptionError, match="give --scratch a folder"):
        store_of("s3://m/a.tif", "local:2", "s3://tmp/x")
    with pytest.raises(OptionError, match="is made in a folder"):
        Stage("s3://tmp/x")


def test_a_store_serves_as_a_folder_does(
    job: Job, cheap_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(job.scene, tmp_path / "near.tif", bundle=cheap_model, options=OPTIONS)
    first, second = Predictor(), Predictor()
    report = first.report(job, "a")
    agreed = job.agreed(settled(job, report))
    assert second.report(agreed, "b").plan == report.plan
    parts = parts_of(agreed)
    parts.open(report.plan, report.manifest, restart=False)
    with monkeypatch.context() as patch:
        patch.setattr(Parts, "visit", None)  # a worker opens no folder
        indices = range(len(report.shards))
        assert first.compute(agreed, indices[:3], lambda: False)[0] == 3
        assert second.compute(agreed, indices, lambda: False)[0] == len(indices) - 3
        assert first.compute(agreed, indices, lambda: False)[:3] == (0, 0, 0)
    joined(parts, report.manifest, agreed.out, lambda: False)
    assert (tmp_path / "far.tif").read_bytes() == (tmp_path / "near.tif").read_bytes()
    assert parts.missing(report.manifest) == [], "they stay until there is a record"
    parts.remove()
    assert not parts.folder.exists()
    with pytest.raises(OutputError, match="was ended meanwhile"):
        first.compute(agreed, indices, lambda: False)


def test_an_unfinished_run_tells_how_many_windows_a_pass_has(job: Job, root: str) -> None:
    report = Predictor().report(job, "a")
    assert settled(job, report) == report
    PartStore(root, report.plan | {"stride": 1, "forward": 3}).begin()
    assert settled(job, report) == report, "another plan has nothing to tell"
    PartStore(root, report.plan | {"forward": 7}).begin()
    found = settled(job, report)
    assert found.plan == report.plan | {"forward": 7}
    assert replace(found, plan=report.plan) == report
    PartStore(root, report.plan).begin()
    assert settled(job, report) == report, "its own run is there as well"
    assert settled(replace(job, store=None), report) == report


def test_a_worker_tries_where_it_writes(
    tmp_path: Path, root: str, makers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (tmp_path, root):
        require_place(place)
    assert unfinished_plans(root) == []
    assert not any(tmp_path.iterdir())
    with pytest.raises(OutputError, match="there is no folder"):
        require_place(tmp_path / "none")
    (tmp_path / "store" / "maps").mkdir(parents=True)
    with makers("geo").storing(tmp_path / "store", monkeypatch) as server:
        require_place("s3://maps/made")
        server.refuse(403, times=-1)
        with pytest.raises(
            OutputError, match=r"s3://maps/made/\S+ cannot be written, tried 3 times"
        ):
            require_place("s3://maps/made")
