"""Several devices share a map: the same bytes, whoever computes what, and whoever dies."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from rsseg import models
from rsseg.errors import ClusterError, OptionError, PlanChanged, SceneError
from rsseg.prediction import PredictOptions, predict, predict_scenes
from rsseg.prediction.computing import device_process, devices
from rsseg.prediction.computing.dealing import Share
from rsseg.prediction.engines import engine, torch_device
from rsseg.prediction.parts.folder import Parts
from rsseg.prediction.planning import plan as planning
from rsseg.prediction.planning.manifest import manifest_of
from rsseg.prediction.predict import load_engine, plan
from rsseg.prediction.share import predict_share
from rsseg.replacing import lives

OUTPUTS = ("map.tif", "map.tif.aux.xml", "map.qml", "sure.tif")


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_SHARD_PIXELS", 1)
    monkeypatch.setattr(planning, "_SHARD_COLUMNS", 128)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that are begun for further devices."""
    found: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def begin(*arguments: Any, **more: Any) -> subprocess.Popen[bytes]:
        found.append(real(*arguments, **more))
        return found[-1]

    monkeypatch.setattr(device_process.subprocess, "Popen", begin)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return found


@pytest.fixture
def torch_model(tmp_path_factory: pytest.TempPathFactory, make_bundle: Any) -> Path:
    """A model file of a small network."""
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    bundle = replace(make_bundle(), architecture="unet", options={"widths": [4, 8]})
    models.save(path, models.create("unet", classes=4, widths=[4, 8]).eval(), bundle)
    return path


def mapped(
    scene: Path,
    model: Path,
    folder: Path,
    device: str,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    **options: Any,
) -> tuple[Any, list[bytes]]:
    """The result of a run and the bytes of its outputs."""
    folder.mkdir(exist_ok=True)
    chosen = PredictOptions(
        device=device, tile_size=64, memory=8 * 2**30, confidence=folder / "sure.tif", **options
    )
    out = folder / "map.tif"
    result = predict(scene, out, bundle=model, options=chosen, on_progress=on_progress)
    assert sorted(path.name for path in folder.iterdir()) == sorted(OUTPUTS)
    return result, [(folder / name).read_bytes() for name in OUTPUTS]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_the_bytes_are_those_of_one_device(
    scene: Path,
    torch_model: Path,
    cheap_model: Path,
    tmp_path: Path,
    small_shards: None,
    begun: list[Any],
    name: str,
) -> None:
    model = {"torch": torch_model, "openvino": cheap_model}[name]
    one, expected = mapped(scene, model, tmp_path / "one", "cpu", engine=name)
    told: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        if not told:
            wait_for_a_part(tmp_path / "two", begun[0])
        told.append((done, total))

    two, found = mapped(scene, model, tmp_path / "two", "cpu,cpu", progress, engine=name)
    assert found == expected
    assert (one.device, two.device, two.engine) == ("cpu", "cpu,cpu", name)
    assert (two.windows, two.classes) == (one.windows, one.classes)
    assert two.peak_rss_mb > one.peak_rss_mb
    assert [process.poll() for process in begun] == [0]
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] >= two.windows


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_the_bytes_are_those_of_one_gpu(
    scene: Path, torch_model: Path, tmp_path: Path, small_shards: None, begun: list[Any]
) -> None:
    def progress(done: int, total: int) -> None:
        wait_for_a_part(tmp_path / "two", begun[0])

    _, expected = mapped(scene, torch_model, tmp_path / "one", "cuda:0")
    two, found = mapped(scene, torch_model, tmp_path / "two", "cuda:0,cuda:1", progress)
    assert found == expected
    assert (two.device, two.precision) == ("cuda:0,cuda:1", "bf16")


@pytest.mark.slow
def test_they_share_each_of_several_scenes(
    scene: Path,
    cheap_model: Path,
    tmp_path: Path,
    small_shards: None,
    begun: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "pickle.py").write_text("raise ImportError('not the pickle that was meant')")
    monkeypatch.chdir(tmp_path)
    _, (expected, *_) = mapped(scene, cheap_model, tmp_path / "one", "cpu")
    told: list[int] = []

    def progress(done: int, total: int) -> None:
        if not told:
            while begun[0].poll() is None and not list(tmp_path.glob("maps/*.parts/part_*.tif")):
                time.sleep(0.02)
        told.append(done)

    options = PredictOptions(device="cpu,cpu", tile_size=64, memory=8 * 2**30)
    (outcome,) = predict_scenes(
        [scene], tmp_path / "maps", bundle=cheap_model, options=options, on_progress=progress
    )
    assert (outcome.state, outcome.result["device"]) == ("done", "cpu,cpu")
    assert (tmp_path / "maps" / "scene.tif").read_bytes() == expected


@pytest.mark.slow
def test_a_run_goes_on_when_a_process_died(
    scene: Path, cheap_model: Path, tmp_path: Path, small_shards: None, begun: list[Any]
) -> None:
    _, expected = mapped(scene, cheap_model, tmp_path / "one", "cpu")

    def kill(done: int, total: int) -> None:
        wait_for_a_part(tmp_path / "two", begun[0])
        begun[0].kill()

    with pytest.raises(ClusterError, match="process of the device cpu has ended.*-9") as caught:
        mapped(scene, cheap_model, tmp_path / "two", "cpu,cpu", kill)
    assert "the same command goes on" in caught.value.__notes__[0]
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["map.tif.parts"]
    assert list(tmp_path.glob("two/map.tif.parts/part_*.tif"))
    _, found = mapped(scene, cheap_model, tmp_path / "two", "cpu")
    assert found == expected


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt, SceneError("it is gone")])
def test_no_process_is_left_behind(
    scene: Path, cheap_model: Path, tmp_path: Path, small_shards: None, begun: list[Any], error: Any
) -> None:
    def fail(done: int, total: int) -> None:
        raise error

    with pytest.raises(type(error) if isinstance(error, Exception) else error):
        mapped(scene, cheap_model, tmp_path / "two", "cpu,cpu,cpu", fail)
    assert [process.poll() for process in begun] == [-9, -9]


@pytest.mark.slow
def test_what_a_process_says_is_what_the_user_reads(
    scene: Path, cheap_model: Path, tmp_path: Path, small_shards: None, begun: list[Any]
) -> None:
    """The scene is damaged when the other process comes to read it."""

    def damage(done: int, total: int) -> None:
        scene.write_bytes(b"no raster any more")
        begun[0].wait()

    with pytest.raises(SceneError, match="cannot be"):
        mapped(scene, cheap_model, tmp_path / "two", "cpu,cpu", damage)


def test_a_scene_of_one_shard_needs_one_process(
    make_scene: Any, cheap_model: Path, tmp_path: Path, begun: list[Any]
) -> None:
    result, _ = mapped(make_scene(height=90, width=70), cheap_model, tmp_path / "out", "cpu,cpu")
    assert begun == []
    assert result.device == "cpu"


def test_of_a_killed_process_the_signal_is_told(
    scene: Path,
    cheap_model: Path,
    tmp_path: Path,
    small_shards: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its last words need not be why: libraries warn of this and that."""
    killed = "import os; os.write(2, b'a warning'); os.kill(os.getpid(), 9)"
    failed = "raise SystemExit('no room')"
    job = device_process.Job(plan(scene, bundle=cheap_model), tmp_path / "map.tif", {})
    for program, told in ((killed, "got exit status -9"), (failed, "got no room")):
        monkeypatch.setattr(device_process, "_MAIN", program)
        with (
            device_process.helping(job) as helper,
            pytest.raises(ClusterError, match=told),
        ):
            helper.serve(lambda: None, lambda windows: None)


ORPHAN = """
from rsseg.prediction.computing.device_process import main
print("up", flush=True)
main(None)
"""
PARENT = f"""
import subprocess, sys
print(subprocess.Popen([sys.executable, "-c", {ORPHAN!r}], stdin=int(sys.argv[1])).pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_an_orphan_ends() -> None:
    """Whoever has begun the process of a device is killed, while that waits for a task."""
    reading, writing = os.pipe()
    command = [sys.executable, "-c", PARENT, str(reading)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(reading,)
    ) as parent:
        assert parent.stdout is not None
        orphan = int(parent.stdout.readline())
        assert parent.stdout.readline() == b"up\n"
        time.sleep(0.5)
        assert lives(orphan)
        parent.kill()
    until = time.monotonic() + 20
    while lives(orphan) and time.monotonic() < until:
        time.sleep(0.05)
    assert not lives(orphan)
    os.close(reading)
    os.close(writing)


def test_a_process_that_comes_too_late_is_not_waited_for(
    scene: Path,
    cheap_model: Path,
    tmp_path: Path,
    small_shards: None,
    begun: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device_process, "_MAIN", "import time; time.sleep(600)")
    result, _ = mapped(scene, cheap_model, tmp_path / "out", "cpu,cpu")
    assert result.device == "cpu"
    assert [process.poll() for process in begun] == [-9]


def answers_of(
    scene: Path, model: Path, out: Path, load: Callable[..., Any], more: list[object]
) -> list[Any]:
    """What the process of a device says to a job and to more messages."""
    work = plan(scene, bundle=model, options=PredictOptions(tile_size=64, device="cpu"))
    job = device_process.Job(
        replace(work, placement=replace(work.placement, forward=1)), out, {"forward": 1}
    )
    asked, answered = io.BytesIO(), io.BytesIO()
    for message in (job, *more):
        pickle.dump(message, asked)
    asked.seek(0)
    device_process._work(load, asked, answered)
    answered.seek(0)
    said = []
    while answered.tell() < len(answered.getvalue()):
        said.append(pickle.load(answered))
    return said


def test_a_device_of_less_memory_is_refused(
    make_scene: Any, cheap_model: Path, tmp_path: Path
) -> None:
    """Scores depend on the windows of a forward pass, so it cannot take fewer than the others."""
    small = SimpleNamespace(batch=8, device="cuda:1")
    (error,) = answers_of(make_scene(), cheap_model, tmp_path / "map.tif", lambda *_: small, [])
    assert isinstance(error, OptionError)
    assert "memory of cuda:1 does not hold a forward pass of the others" in str(error)


def test_shards_of_another_run_are_left_alone(
    make_scene: Any, cheap_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever began this process was killed, and another run has taken the folder since."""
    scene, out = make_scene(), tmp_path / "map.tif"
    work = plan(scene, bundle=cheap_model, options=PredictOptions(tile_size=64, device="cpu"))
    other = Parts(out)
    other.open({"forward": 2}, manifest_of(work, out), restart=False)
    other.leave()
    (error,) = answers_of(scene, cheap_model, out, load_engine, [work.shards])
    assert isinstance(error, PlanChanged)
    assert not list(tmp_path.glob("map.tif.parts/part_*"))


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that gives this machine GPUs of these kinds, as far as choosing them goes."""

    def have(*kinds: str) -> None:
        monkeypatch.setattr(engine, "_has_cuda", lambda: bool(kinds))
        monkeypatch.setattr(engine, "_best_precision", lambda *_: "bf16")
        there = {f"cuda:{number}": kind for number, kind in enumerate(kinds)}
        monkeypatch.setattr(torch_device, "gpus", lambda: there)

    return have


@pytest.mark.parametrize(
    ("kinds", "device", "expected"),
    [
        ((), "auto", ("auto",)),
        ((), "cpu", ("cpu",)),
        ((), "cpu,cpu", ("cpu", "cpu")),
        (("A",), "auto", ("auto",)),
        (("A",), "cuda", ("cuda",)),
        (("A", "A", "A"), "auto", ("cuda:0", "cuda:1", "cuda:2")),
        (("A", "A"), "cuda", ("cuda:0", "cuda:1")),
        (("A", "B", "A"), "cuda", ("cuda:0", "cuda:2")),
        (("A", "B"), "cuda", ("cuda",)),
        (("A", "A"), "cuda:1", ("cuda:1",)),
        (("A", "B", "A"), "cuda:2,cuda:0", ("cuda:2", "cuda:0")),
        (("A", "A"), "cpu", ("cpu",)),
    ],
)
def test_which_devices_share_a_map(
    gpus: Any, kinds: tuple[str, ...], device: str, expected: tuple[str, ...]
) -> None:
    gpus(*kinds)
    assert devices.devices_of(PredictOptions(device=device), own_network=False) == expected


def test_a_network_of_the_callers_runs_on_one(gpus: Any) -> None:
    gpus("A", "A")
    assert devices.devices_of(PredictOptions(), own_network=True) == ("auto",)
    with pytest.raises(OptionError, match="network of your own runs on one device"):
        devices.devices_of(PredictOptions(device="cuda:0,cuda:1"), own_network=True)


@pytest.mark.parametrize(
    ("kinds", "device", "reason"),
    [
        (("A", "B"), "cuda:0,cuda:1", "GPUs of several kinds.*cuda:0 A, cuda:1 B"),
        (("A", "A"), "cuda:0,cuda:7", "device cuda:7 is not there, expected cuda:0, cuda:1"),
        ((), "cuda:0,cuda:1", "device cuda:0 is not there"),
    ],
)
def test_devices_that_cannot_share_are_refused(
    gpus: Any, kinds: tuple[str, ...], device: str, reason: str
) -> None:
    gpus(*kinds)
    with pytest.raises(OptionError, match=reason):
        devices.devices_of(PredictOptions(device=device), own_network=False)


@pytest.mark.parametrize("device", ["cuda:0,", "cuda,cuda", "cpu,cuda:0", "mps,mps", "gpu"])
def test_no_such_devices(device: str) -> None:
    with pytest.raises(OptionError, match="no such device"):
        PredictOptions(device=device)


def test_memory_is_shared_out() -> None:
    options = PredictOptions(memory=9_000, device="cpu,cpu,cpu")
    one = devices.on_one(options, ("cpu", "cpu", "cpu"))
    assert (one.device, one.memory) == ("cpu", 3_000)
    assert devices.on_one(PredictOptions(), ("auto",)) == PredictOptions()


def test_one_share_of_several_runs_on_one_device(make_scene: Any, tmp_path: Path) -> None:
    options = PredictOptions(device="cpu,cpu")
    with pytest.raises(OptionError, match="this runs on one device, got cpu,cpu"):
        predict_share(make_scene(), tmp_path / "map.tif", Share(1, 2), options=options)


def wait_for_a_part(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Until a shard is there, or the process has ended."""
    while process.poll() is None and not list(folder.glob("map.tif.parts/part_*.tif")):
        time.sleep(0.02)
