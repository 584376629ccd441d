"""``--shard I/N`` and ``rsseg assemble``: any shares in any order give the bytes of a plain run."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import rsseg.prediction.planning.plan as planning
from rsseg.errors import OptionError, OutputError, PlanChanged
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.computing.dealing import Share
from rsseg.prediction.outputs.finishing import assemble_parts
from rsseg.prediction.parts.folder import Parts
from rsseg.prediction.share import predict_share
from rsseg_cli.main import main

COMMAND = """
import sys
import rsseg.prediction.planning.plan as planning
planning._SHARD_PIXELS, planning._SHARD_COLUMNS = 1, 96
{more}
from rsseg_cli.main import main
main(sys.argv[1:])
"""
SLOW = """
import time
import rsseg.prediction.engines.openvino_engine as engines
forward = engines.OpenVINOEngine.__call__
def slow(self, windows):
    time.sleep(0.02)
    return forward(self, windows)
engines.OpenVINOEngine.__call__ = slow
"""
WORDS = ("--engine", "openvino", "--tile-size", "64", "--memory", "4GB")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small shards."""
    monkeypatch.setattr(planning, "_SHARD_PIXELS", 1)
    monkeypatch.setattr(planning, "_SHARD_COLUMNS", 96)


@pytest.fixture
def scene(make_scene: Any) -> Path:
    valid = np.ones((200, 240), bool)
    valid[:60, 100:] = False
    made: Path = make_scene(valid=valid, validity="mask")
    return made


@pytest.fixture
def options(tmp_path: Path) -> PredictOptions:
    return PredictOptions(engine="openvino", tile_size=64, confidence=tmp_path / "sure.tif")


def outputs(folder: Path) -> dict[str, bytes]:
    """All files but scenes, and parts folders by name only."""
    found = {}
    for path in folder.iterdir():
        if path.name.endswith(".parts"):
            found[path.name] = b""
        elif path.is_file() and not path.name.startswith("scene"):
            found[path.name] = path.read_bytes()
    return found


def taken_away(folder: Path) -> dict[str, bytes]:
    found = outputs(folder)
    for name in found:
        (folder / name).unlink()
    return found


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("order", [(1,), (3, 1, 2), tuple(range(20, 0, -1))], ids=len)
def test_any_shares_in_any_order_give_the_same_bytes(
    scene: Path, cheap_model: Path, options: PredictOptions, tmp_path: Path, order: tuple[int, ...]
) -> None:
    out = tmp_path / "map.tif"
    predict(scene, out, bundle=cheap_model, options=options)
    whole = taken_away(tmp_path)
    missing = None
    for number in order:
        done = predict_share(
            scene, out, Share(number, len(order)), bundle=cheap_model, options=options
        )
        assert done.computed == done.shards
        assert done.elsewhere == 0
        if missing is not None:
            assert done.missing == missing - done.computed
        missing = done.missing
        if number == 1:
            again = predict_share(
                scene, out, Share(number, len(order)), bundle=cheap_model, options=options
            )
            assert (again.computed, again.windows) == (0, 0)
        assert set(outputs(tmp_path)) == {"map.tif.parts"}
    assert missing == 0
    made = assemble_parts(out)
    assert outputs(tmp_path) == whole
    assert sum(made.classes.values()) + made.nodata_pixels == 200 * 240
    assert made.beside == (str(tmp_path / "sure.tif"),)


@pytest.mark.usefixtures("small")
def test_other_numbers_of_shares_and_a_plain_run_go_on(
    scene: Path, cheap_model: Path, options: PredictOptions, tmp_path: Path
) -> None:
    out = tmp_path / "map.tif"
    predict(scene, out, bundle=cheap_model, options=options)
    whole = taken_away(tmp_path)
    first = predict_share(scene, out, Share(1, 2), bundle=cheap_model, options=options)
    other = predict_share(scene, out, Share(2, 3), bundle=cheap_model, options=options)
    assert 0 < other.computed < other.shards, "some of it was in the first share"
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "map.tif.parts").glob("part*")}
    assert len(before) == first.computed + other.computed
    result = predict(scene, out, bundle=cheap_model, options=options)
    assert outputs(tmp_path) == whole
    assert result.windows > 0


@pytest.mark.usefixtures("small")
def test_assemble_names_what_is_missing_and_the_commands(
    scene: Path, cheap_model: Path, options: PredictOptions, tmp_path: Path
) -> None:
    out = tmp_path / "map.tif"
    predict_share(scene, out, Share(2, 4), bundle=cheap_model, options=options)
    before = outputs(tmp_path)
    with pytest.raises(OutputError, match=r"shards are missing in .*map\.tif\.parts \(") as caught:
        assemble_parts(out)
    assert outputs(tmp_path) == before
    said = str(caught.value)
    command = shlex.split(re.search(r"they come by (.*) and the same with (.*)$", said)[1])
    assert re.search(r"with 3/4, 4/4$", said)
    # the commands that it names do it
    for words in (command, [*command[:-1], "3/4"], [*command[:-1], "4/4"]):
        assert CliRunner().invoke(main, [*words[1:], "--engine", "openvino"]).exit_code == 0
    result = CliRunner().invoke(main, ["assemble", str(out), "--json"])
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert told["beside"] == [str(tmp_path / "sure.tif")]
    assert not (tmp_path / "map.tif.parts").exists()


@pytest.mark.usefixtures("small")
def test_what_does_not_go_together_is_refused(
    scene: Path, cheap_model: Path, options: PredictOptions, tmp_path: Path
) -> None:
    out = tmp_path / "map.tif"
    with pytest.raises(OutputError, match="there is no unfinished run in"):
        assemble_parts(out)
    predict_share(scene, out, Share(1, 2), bundle=cheap_model, options=options)
    with pytest.raises(OptionError, match="--restart would forget"):
        predict_share(scene, out, Share(2, 2), options=PredictOptions(restart=True))
    with pytest.raises(PlanChanged, match="differs in blend"):
        predict_share(
            scene,
            out,
            Share(2, 2),
            bundle=cheap_model,
            options=PredictOptions(
                engine="openvino",
                tile_size=64,
                blend="uniform",
                overlap=16,
                confidence=options.confidence,
            ),
        )
    predict_share(scene, out, Share(2, 2), bundle=cheap_model, options=options)
    out.write_bytes(b"precious")
    with pytest.raises(OutputError, match="--overwrite"):
        assemble_parts(out)
    assert out.read_bytes() == b"precious"
    alone = Parts(out)
    alone.take()
    with pytest.raises(OutputError, match="another process is at work"):
        assemble_parts(out, overwrite=True)
    alone.leave()
    assemble_parts(out, overwrite=True)
    assert out.read_bytes() != b"precious"
    with pytest.raises(OutputError, match=r"map\.tif is there.* nothing is left to assemble"):
        assemble_parts(out)


@pytest.mark.usefixtures("small")
def test_the_commands_for_what_is_missing_can_be_repeated_as_they_are(
    scene: Path, cheap_model: Path, options: PredictOptions, tmp_path: Path
) -> None:
    """Also where an older map is there, which only --overwrite replaces."""
    out = tmp_path / "map.tif"
    out.write_bytes(b"old")
    again = replace(options, overwrite=True)
    predict_share(scene, out, Share(1, 2), bundle=cheap_model, options=again)
    with pytest.raises(OutputError, match="they come by") as caught:
        assemble_parts(out, overwrite=True)
    words = shlex.split(re.search(r"they come by (.*)$", str(caught.value))[1])
    assert "--overwrite" in words
    result = CliRunner().invoke(main, words[1:])
    assert result.exit_code == 0, result.output
    assert out.read_bytes() == b"old"
    assert assemble_parts(out, overwrite=True).shards > 2


@pytest.mark.usefixtures("small")
def test_what_differs_is_told_in_words_of_the_command_line(
    scene: Path, cheap_model: Path, options: PredictOptions, tmp_path: Path
) -> None:
    out = tmp_path / "map.tif"
    predict_share(scene, out, Share(1, 2), bundle=cheap_model, options=options)
    other = replace(options, confidence=None)
    with pytest.raises(PlanChanged, match=r"\(--confidence, --probabilities, .*got 1 bands"):
        predict_share(scene, out, Share(2, 2), bundle=cheap_model, options=other)


def test_another_library_is_another_plan(
    scene: Path,
    cheap_model: Path,
    options: PredictOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After an upgrade of the engine's library its scores may differ in the last bit."""
    out = tmp_path / "map.tif"
    predict_share(scene, out, Share(1, 1), bundle=cheap_model, options=options)
    monkeypatch.setattr("rsseg.prediction.planning.journal.version", lambda package: "1.0")
    with pytest.raises(PlanChanged, match="differs in library, expected library openvino 20"):
        predict(scene, out, bundle=cheap_model, options=options)


def test_a_cpu_without_bf16_is_another_plan(
    scene: Path,
    cheap_model: Path,
    options: PredictOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It computes in fp32 what is asked for in bf16."""
    low = replace(options, precision="bf16")
    for has, out in ((True, tmp_path / "one.tif"), (False, tmp_path / "other.tif")):
        monkeypatch.setattr(
            "rsseg.prediction.engines.openvino_engine.has_bf16", lambda has=has: has
        )
        predict_share(scene, out, Share(1, 1), bundle=cheap_model, options=low)
    with pytest.raises(PlanChanged, match="precision bf16, got bf16 without bf16"):
        predict(scene, tmp_path / "one.tif", bundle=cheap_model, options=low)


def test_the_model_file_is_hashed_once(
    make_scene: Any, cheap_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rsseg.prediction.engines.onnx_graph as graphs
    import rsseg.prediction.planning.identity as identity

    hashed = []
    real = graphs.file_hash

    def counted(path: Path) -> str:
        hashed.append(path)
        return real(path)

    monkeypatch.setattr(identity, "file_hash", counted)
    monkeypatch.setattr(graphs, "file_hash", counted)
    options = PredictOptions(engine="openvino", tile_size=64)
    predict(make_scene(), tmp_path / "map.tif", bundle=cheap_model, options=options)
    assert hashed.count(cheap_model) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("--shard", "1/2", "--cluster", "local:1"),
        ("--shard", "1/2", "--dry-run"),
        ("--shard", "1/2", "--polygons", "map.gpkg"),
        ("--shard", "3/2"),
        ("--shard", "one"),
        ("--shard", "1/2", "--as-one"),
        ("--cluster", "local:2", "--as-one"),
        ("--cluster", "local:0"),
        ("--cluster", "somewhere"),
        ("--cluster", "local:2", "--dry-run"),
    ],
)
def test_wrong_usage(make_scene: Any, tmp_path: Path, words: tuple[str, ...]) -> None:
    scene, out = make_scene(), tmp_path / "map.tif"
    result = CliRunner().invoke(main, ["predict", str(scene), "--out", str(out), *words])
    assert (result.exit_code, result.stdout) == (2, "")
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_what_to_do_with_many_scenes_and_shares_is_told(make_scene: Any, tmp_path: Path) -> None:
    line = ["predict", str(make_scene("in/a.tif")), str(make_scene("in/b.tif"))]
    line += ["--out", str(tmp_path / "maps"), "--shard", "1/2"]
    told = CliRunner().invoke(main, line).stderr
    assert "--shard takes one scene; of several, give each process some of them" in told
    told = CliRunner().invoke(main, [*line, "--as-one"]).stderr
    assert "--shard takes no --as-one; make one file of them" in told


# Real processes


@pytest.fixture
def start(
    scene: Path, cheap_model: Path, tmp_path: Path
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that starts ``rsseg predict`` of small shards."""
    begun = []

    def run(*words: object, more: str = "") -> subprocess.Popen[str]:
        line = ["predict", scene, "--out", tmp_path / "map.tif", "--model", cheap_model, *WORDS]
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND.format(more=more), *map(str, [*line, *words])],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        return process

    yield run
    for process in begun:
        process.kill()
        process.communicate()


def results(processes: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    told = []
    for process in processes:
        out, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
        told.append(json.loads(out))
    return told


def assembled(tmp_path: Path) -> Result:
    return CliRunner().invoke(main, ["assemble", str(tmp_path / "map.tif")])


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_processes_at_once_compute_each_shard_once(start: Any, tmp_path: Path) -> None:
    results([start("--json")])
    whole = taken_away(tmp_path)
    shares = ["1/3", "2/3", "3/3", "1/2", "2/2"]
    done = results([start("--json", "--shard", share, more=SLOW) for share in shares])
    shards = len(list((tmp_path / "map.tif.parts").glob("part_*.tif")))
    assert sum(each["computed"] for each in done) == shards
    result = assembled(tmp_path)
    assert result.exit_code == 0, result.stderr
    assert outputs(tmp_path) == whole


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_the_shards_of_a_killed_process_are_free_at_once(start: Any, tmp_path: Path) -> None:
    results([start("--json")])
    whole = taken_away(tmp_path)
    victim = start("--json", "--shard", "1/2", more=SLOW)
    folder = tmp_path / "map.tif.parts"
    while len(list(folder.glob("part_*.tif"))) < 2:
        assert victim.poll() is None
        time.sleep(0.01)
    victim.send_signal(signal.SIGSTOP)  # it lives, and holds what it has
    for words in ((), ("--restart",)):
        process = start("--quiet", *words)
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 1
        assert "another process is at work in" in errors
    other = start("--json", "--shard", "1/1")
    (done,) = results([start("--json", "--shard", "2/2")])
    held = done["missing"]
    assert held > 0
    assert other.poll() is None, "it waits for what the victim has"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("part_*.tif")}
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    (taken,) = results([other])
    assert taken["missing"] == 0
    assert taken["computed"] >= held
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert assembled(tmp_path).exit_code == 0
    assert outputs(tmp_path) == whole
