"""A prediction on real workers: the bytes of one machine, whatever happens to the workers."""

from __future__ import annotations

import json
import os
import pickle
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rsseg.cluster.connecting import local_workers
from rsseg.cluster.failing import Failed
from rsseg.cluster.watching import Patience
from rsseg.errors import OptionError
from rsseg.prediction import PredictOptions
from rsseg.prediction.cluster.job import Done, Job
from rsseg.prediction.cluster.result import shares_of
from rsseg_cli.main import main

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")

IMPATIENT = """
import rsseg.cluster.watching as watching
watching.Patience.__init__.__defaults__ = ({worker}, {workers})
"""


def wait_until(condition: Any, process: Any) -> None:
    """Until it holds, while the process lives."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


# Without processes


@pytest.mark.parametrize(
    ("text", "count"),
    [("local:3", 3), ("tcp://10.0.0.5:8786", None), ("tls://[fe80::1]:1", None), ("host:1", None)],
)
def test_clusters_by_their_names(text: str, count: int | None) -> None:
    assert local_workers(text) == count


@pytest.mark.parametrize("text", ["local:0", "local:", "local", "host", "", "local:-1", "a b:3"])
def test_names_that_are_none(text: str) -> None:
    with pytest.raises(OptionError, match="unusable cluster"):
        local_workers(text)


def test_without_dask_the_install_command_is_named(
    make_scene: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    one, other = (str(make_scene(f"{name}.tif")) for name in "ab")
    for words in ([one, "--out", str(tmp_path / "map.tif")], [one, other, "--out", str(tmp_path)]):
        result = CliRunner().invoke(main, ["predict", *words, "--cluster", "a:1"])
        assert result.exit_code == 1
        assert result.stderr == "Error: distributed is not installed; pip install 'rsseg[dask]'\n"


def test_what_goes_over_the_network_is_small(tmp_path: Path) -> None:
    job = Job("scene.tif", tmp_path / "map.tif", None, PredictOptions(bands=(3, 2, 1)), 4, {"a": 1})
    assert pickle.loads(pickle.dumps(job)) == job
    assert len(pickle.dumps(job)) < 2000


def test_the_shares_of_workers_add_up() -> None:
    done = [
        Done("tcp://b", "two", 2, 200, 20, 3.0, 2.0),
        Done("tcp://a", "one", 1, 100, 10, 1.0, 0.5),
        Done("tcp://b", "two", 1, 50, 5, 1.0, 1.0),
    ]
    one, two = shares_of(done, 5.0)
    assert (one.worker, one.tasks, one.shards, one.pixels, one.busy) == ("tcp://a", 1, 1, 100, 0.2)
    assert (two.tasks, two.shards, two.pixels, two.windows) == (2, 3, 250, 25)
    assert two.busy == pytest.approx(0.8)
    assert two.seconds == 4.0
    assert two.forward_seconds == 3.0


def test_times_to_wait_are_checked() -> None:
    with pytest.raises(OptionError):
        Patience(worker=0)
    assert Failed("a", "b", "c").reason == "c"


# Real schedulers and workers


@pytest.mark.slow
def test_two_workers_give_the_bytes_of_one_machine(
    processes: Any, scene: Path, whole: Any, contents: Any, finish: Any, tmp_path: Path
) -> None:
    processes.scheduler()
    workers = [processes.worker() for _ in range(2)]
    command = processes.predict(scene, "--cluster", processes.address, "--json")
    out, errors = command.communicate(timeout=240)
    assert (command.returncode, errors) == (0, "")
    assert contents() == whole
    told = json.loads(out)
    assert sum(each["pixels"] for each in told["workers"]) == 500 * 500
    assert sum(each["shards"] for each in told["workers"]) == told["shards"] == 33
    assert told["shards_before"] == 0
    assert all(0 < each["busy"] <= 1 for each in told["workers"])
    assert not (tmp_path / "map.tif.parts").exists()

    # a second run finds the engines loaded; one worker that comes to another precision is refused
    command = processes.predict(
        scene, "--cluster", processes.address, "--json", "--overwrite", "--precision", "fp32"
    )
    out, errors = command.communicate(timeout=240)
    assert (command.returncode, errors) == (0, "")
    odd = "import rsseg.prediction.engines.engine as e\ne._best_precision = lambda *_: 'fp32'"
    odd += "\nimport rsseg.prediction.engines.openvino_engine as o\no.has_bf16 = lambda: False"
    if told["precision"] == "bf16":
        workers.append(processes.worker(odd))
        wait_until(lambda: registered(tmp_path, len(processes.begun) - 1), workers[-1])
        before = contents()
        for words in ((), ("--precision", "auto")):
            command = processes.predict(
                scene, "--cluster", processes.address, "--overwrite", *words
            )
            status, errors = finish(command)
            assert status == 1
            assert len(errors.splitlines()) == 1
            assert "differs from the others in precision, expected precision" in errors
            assert contents() == before
    assert [worker.poll() for worker in workers] == [None] * len(workers)


def registered(folder: Path, number: int) -> bool:
    """Whether a Dask process has said that it is registered."""
    logs = sorted(folder.glob("dask*.log"), key=lambda path: int(path.stem[4:]))
    return "Registered to" in logs[-1].read_text()


@pytest.mark.slow
def test_a_killed_worker_is_replaced_by_the_other(
    processes: Any,
    scene: Path,
    whole: Any,
    contents: Any,
    finish: Any,
    slow: Any,
    parts: Any,
) -> None:
    processes.scheduler()
    first, _ = (processes.worker(slow(0.05)) for _ in range(2))
    processes.wait_for_workers()
    command = processes.predict(scene, "--cluster", processes.address)
    wait_until(lambda: len(parts()) >= 3, command)
    first.kill()
    assert finish(command) == (0, "")
    assert contents() == whole


@pytest.mark.slow
def test_the_task_of_a_worker_that_hangs_is_done_elsewhere(
    processes: Any,
    scene: Path,
    whole: Any,
    contents: Any,
    finish: Any,
    slow: Any,
    parts: Any,
) -> None:
    processes.scheduler()
    first, _ = (processes.worker(slow(0.05)) for _ in range(2))
    processes.wait_for_workers()
    impatient = IMPATIENT.format(worker=15.0, workers=60.0)
    command = processes.predict(scene, "--cluster", processes.address, "--json", more=impatient)
    wait_until(lambda: len(parts()) >= 3, command)
    first.send_signal(signal.SIGSTOP)
    out, errors = command.communicate(timeout=240)
    assert (command.returncode, errors) == (0, "")
    assert "1 workers hung and were taken out" in "".join(json.loads(out)["notes"])
    assert contents() == whole
    first.send_signal(signal.SIGCONT)
    time.sleep(1)
    assert contents() == whole


@pytest.mark.slow
def test_a_killed_scheduler_is_one_error_and_the_command_goes_on(
    processes: Any,
    scene: Path,
    whole: Any,
    contents: Any,
    finish: Any,
    slow: Any,
    parts: Any,
) -> None:
    scheduler = processes.scheduler()
    workers = [processes.worker(slow(0.05)) for _ in range(2)]
    command = processes.predict(scene, "--cluster", processes.address)
    wait_until(lambda: len(parts()) >= 3, command)
    scheduler.kill()
    status, errors = finish(command)
    assert status == 1
    assert len(errors.splitlines()) == 1
    assert "the scheduler of the cluster is gone" in errors
    assert "the same command goes on" in errors
    for worker in workers:
        worker.kill()
    before = parts()
    assert 3 <= len(before) < 33

    processes.scheduler()
    processes.worker()
    command = processes.predict(scene, "--cluster", processes.address, "--json")
    out, errors = command.communicate(timeout=240)
    assert (command.returncode, errors) == (0, "")
    told = json.loads(out)
    assert told["shards_before"] == len(before)
    assert sum(each["shards"] for each in told["workers"]) == 33 - len(before)
    assert contents() == whole


@pytest.mark.slow
def test_a_killed_client_leaves_shards_for_a_plain_run(
    processes: Any,
    scene: Path,
    whole: Any,
    contents: Any,
    finish: Any,
    slow: Any,
    parts: Any,
) -> None:
    processes.scheduler()
    processes.worker(slow(0.05))
    command = processes.predict(scene, "--cluster", processes.address)
    wait_until(lambda: len(parts()) >= 3, command)
    command.kill()
    assert finish(processes.predict(scene)) == (0, "")
    assert contents() == whole


@pytest.mark.slow
def test_processes_of_this_machine_and_what_cannot_be(
    processes: Any, scene: Path, whole: Any, contents: Any, finish: Any, tmp_path: Path
) -> None:
    status, errors = finish(processes.predict(scene, "--cluster", "127.0.0.1:9"))
    assert status == 1
    assert errors.startswith("Error: there is no Dask scheduler at 127.0.0.1:9; start one by")
    processes.scheduler()
    waiting = IMPATIENT.format(worker=60.0, workers=3.0)
    status, errors = finish(processes.predict(scene, "--cluster", processes.address, more=waiting))
    assert (status, errors.count("\n")) == (1, 1)
    assert "no worker is left in the cluster" in errors

    # a worker that does not see the scene says so
    blind = (
        "class Blind(planning.Scene):\n"
        "    def __init__(self, path, *more):\n"
        "        super().__init__(str(path).replace('scene.', 'none.'), *more)\n"
        "if planning.Scene.__name__ != 'Blind':  # Dask may run this twice\n"
        "    planning.Scene = Blind\n"
    )
    worker = processes.worker(blind)
    status, errors = finish(processes.predict(scene, "--cluster", processes.address))
    assert (status, errors.count("\n")) == (1, 1)
    assert "the worker tcp://127.0.0.1:" in errors
    assert "there is no file" in errors
    worker.kill()
    assert not (tmp_path / "map.tif.parts").exists()

    # the default of local workers: nothing said, the same bytes
    command = processes.predict(scene, "--cluster", "local:2")
    assert finish(command)[0] == 0
    assert contents() == whole


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["computing", "starting"])
def test_an_interrupt_ends_the_run_and_its_local_workers(
    processes: Any, scene: Path, finish: Any, slow: Any, tmp_path: Path, moment: str
) -> None:
    """At once, and not when the windows that are computed just then are done."""
    words, plan = ("--cluster", "local:2", "--overlap", "60"), tmp_path / "map.tif.parts/plan.json"
    command = processes.predict(scene, *words, more=slow(20.0, plan), session=True)
    if moment == "computing":
        wait_until(plan.exists, command)
        time.sleep(1)
    else:
        wait_until(lambda: len(in_session(command.pid)) > 2, command)
    began = time.monotonic()
    os.killpg(command.pid, signal.SIGINT)  # as Ctrl-C does
    status, errors = finish(command)
    assert time.monotonic() - began < 4, "about one second, on a machine at rest"
    assert (status, errors.splitlines()) == (1, ["Error: interrupted"])
    assert left_of(command.pid) == {}
    assert not (tmp_path / "map.tif").exists()
    assert not (tmp_path / "map.tif.parts").exists(), "no shard was whole"


def left_of(leader: int, patience: float = 3.0) -> dict[int, str]:
    """Command lines of processes that do not end: one that has closed its pipes takes a moment."""
    until = time.monotonic() + patience
    while in_session(leader) and time.monotonic() < until:
        time.sleep(0.02)
    return {process: command_line(process) for process in in_session(leader)}


def command_line(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return "it has just ended"


def in_session(leader: int) -> list[int]:
    """Processes that were begun by another one, or by theirs, and run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue  # it has ended
        if int(session) == leader and state != "Z":
            found.append(int(path.parent.name))
    return found


@pytest.mark.slow
def test_workers_stop_when_nobody_waits_for_them_any_more(
    processes: Any, scene: Path, slow: Any, parts: Any, finish: Any, tmp_path: Path
) -> None:
    processes.scheduler()
    processes.worker(slow(0.1))
    command = processes.predict(scene, "--cluster", processes.address, session=True)
    wait_until(lambda: len(parts()) >= 2, command)
    os.killpg(command.pid, signal.SIGINT)
    status, errors = finish(command)
    assert status == 1
    assert errors.startswith("Error: interrupted; finished shards are kept in")
    time.sleep(2)
    before = parts()
    time.sleep(3)  # 30 windows more, and several shards
    assert parts() == before
    assert len(before) < 20
    command = processes.predict(scene, "--cluster", processes.address)
    assert finish(command) == (0, "")
