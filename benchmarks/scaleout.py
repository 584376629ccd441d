"""What it costs to spread a prediction over processes, and where a country would stop.

``python benchmarks/scaleout.py [--only workers,dealing,front,scenes,country] [--size N] ...``

- ``workers``: two one-thread workers of a cluster beside one, on the same scene; each worker is
  held to one core. Efficiency by the clock is the speed of two over twice the speed of one; by the
  processor it is what one computes over what two compute together, whose windows between two tasks
  are computed twice. Expected is what the dealing allows. On a machine with other work the clock
  suffers; runs alternate and the best of each counts.
- ``dealing``: windows computed twice when ``--shard I/N`` deals runs of neighbouring shards, beside
  every N-th shard. Arithmetic only.
- ``front``: seconds that the client and the scheduler spend on a task: tasks that do nothing, on
  one and two workers.
- ``scenes``: seconds of processor that the command spends on each of many scenes, beside those of
  two workers, with polygons and without.
- ``country``: a moving front of tasks that wait as long as a network would compute, its client's
  memory as it goes, and what follows for 100,000 scenes of 10,000 x 10,000 pixels.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from distributed import Client
from predict import DEMO, make_scene
from rasterio.windows import Window

from rsseg.cluster.front import moving_front
from rsseg.cluster.watching import Patience, Watch
from rsseg.geo.shards import Shard, shards
from rsseg.geo.tiling import Tiling
from rsseg.prediction.computing.dealing import deal, runs, windows_of, windows_of_all

PARTS = ("workers", "dealing", "front", "scenes", "country")
SHARD_PIXELS, SHARD_COLUMNS = 2_000_000, 4096
SIDE, SCENES = 10_000, 100_000
"""The country."""


def main() -> None:
    """Print each part's figures."""
    wanted = _arguments()
    with tempfile.TemporaryDirectory(prefix="rsseg-") as name:
        folder = Path(name)
        if "dealing" in wanted.only:
            dealing()
        if "workers" in wanted.only:
            workers(folder, wanted.scene, wanted.size, wanted.rounds)
        if "front" in wanted.only:
            front(folder, wanted.tasks)
        if "scenes" in wanted.only:
            scenes(folder, wanted.scene, wanted.sides, wanted.scenes)
        if "country" in wanted.only:
            country(folder, wanted.tasks, wanted.seconds)


def dealing() -> None:
    print("\nwindows computed by all processes together over those of one (512 pixels, stride 384)")
    print(f"{'scene':>16} {'shards':>7} {'N':>4} {'runs':>7} {'every N-th':>11}")
    for height, width in ((10_000, 10_000), (30_000, 30_000), (100_000, 100_000)):
        tiling = Tiling(height, width, 512, 384)
        whole = Window(0, 0, width, height)
        found = list(shards(tiling, whole, SHARD_PIXELS, SHARD_COLUMNS))
        for count in (2, 8, 32):
            if count > len(found):
                continue
            near = windows_of_all(deal(found, count)) / len(tiling)
            nth = windows_of_all([found[first::count] for first in range(count)]) / len(tiling)
            print(f"{height:>8} x {width:<6} {len(found):>6} {count:>4} {near:>7.3f} {nth:>11.3f}")


def workers(folder: Path, scene: Path, size: int, rounds: int) -> None:
    crop = folder / "scene.tif"
    make_scene(scene, size, crop)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    processor: dict[int, list[float]] = {1: [], 2: []}
    busy: dict[int, float] = {}
    for turn in range(rounds):
        for count in (1, 2) if turn % 2 == 0 else (2, 1):
            with cluster(folder, count) as address:
                # the first run loads the engines
                _predict(crop, folder, address, "--bbox", _corner(crop))
                before = _worked(address)
                told = _predict(crop, folder, address)
                processor[count].append(_worked(address) - before)
            seconds[count].append(told["pipeline_seconds"])
            busy[count] = sum(each["busy"] for each in told["workers"]) / count
    one, two = (min(seconds[count]) for count in (1, 2))
    print(f"\n{size} x {size} pixels, windows of 512: seconds from the first task to the last")
    print(f"one worker  {one:8.1f} s  busy {busy[1]:.3f}   all runs {_list(seconds[1])}")
    print(f"two workers {two:8.1f} s  busy {busy[2]:.3f}   all runs {_list(seconds[2])}")
    least = {count: min(each) for count, each in processor.items()}
    tiling = Tiling(size, size, 512, 384)
    found = list(shards(tiling, Window(0, 0, size, size), SHARD_PIXELS, SHARD_COLUMNS))
    print(
        f"efficiency of two: by the clock {one / two / 2:.3f}; by the processor "
        f"{least[1] / least[2]:.3f} ({least[1]:.1f} and {least[2]:.1f} s); "
        f"expected from the dealing {_longest(found, 1) / _longest(found, 2) / 2:.3f}"
    )


def _longest(found: Sequence[Shard], count: int) -> int:
    """Windows of the worker that has most of them, if all are equally fast."""
    busy = [0] * count
    for task in runs(found, count):
        busy[busy.index(min(busy))] += windows_of(task)
    return max(busy)


def front(folder: Path, count: int) -> None:
    print(f"\n{count} tasks that do nothing, through the moving front")
    for number in (1, 2):
        with cluster(folder, number) as address, Client(address, set_as_default=False) as client:
            client.wait_for_workers(number)
            watch = Watch(client, Patience())
            watch.look()
            began, before = time.perf_counter(), _processor(client)
            done = sum(1 for _ in moving_front(client, nothing, _calls(count, 0.0), watch))
            seconds, after = time.perf_counter() - began, _processor(client)
            assert done == count
            own, scheduler = (1000 * (b - a) / count for a, b in zip(before, after, strict=True))
            print(
                f"{number} workers: {count / seconds:6.0f} tasks/s; processor for each task: "
                f"client {own:.2f} ms, scheduler {scheduler:.2f} ms"
            )


def scenes(folder: Path, scene: Path, sides: Sequence[int], count: int) -> None:
    print(f"\nprocessor for each of {count} scenes but the first, two workers; wall time")
    print(f"{'pixels':>16} {'polygons':>9} {'command':>10} {'workers':>10} {'wall':>8}")
    with cluster(folder, 2) as address:
        for side in sides:
            many, one = folder / f"scenes{side}", folder / f"first{side}"
            many.mkdir()
            one.mkdir()
            for number in range(count):
                make_scene(scene, side, many / f"{number}.tif")
            shutil.copy(many / "0.tif", one)
            for words in ((), ("--polygons",)):
                _spent(one, folder / "first", address, words)  # loads the engines
                first = _spent(one, folder / "second", address, words)
                all_of_them = _spent(many, folder / "maps", address, words)
                own, their, wall = (
                    (b - a) / (count - 1) for a, b in zip(first, all_of_them, strict=True)
                )
                print(
                    f"{side:>8} x {side:<5} {'yes' if words else 'no':>9} {1000 * own:>7.0f} ms "
                    f"{1000 * their:>7.0f} ms {wall:>6.1f} s",
                    flush=True,
                )


def country(folder: Path, count: int, seconds: float) -> None:
    tiling = Tiling(SIDE, SIDE, 512, 384)
    found = list(shards(tiling, Window(0, 0, SIDE, SIDE), SHARD_PIXELS, SHARD_COLUMNS))
    each = 2 + len(runs(found, 1, even=False))  # where others follow; asked about, and joined
    print(
        f"\na scene of {SIDE} x {SIDE} has {len(found)} shards and {len(tiling)} windows; "
        f"tasks for it: {each}"
    )
    with cluster(folder, 2) as address, Client(address, set_as_default=False) as client:
        client.wait_for_workers(2)
        watch = Watch(client, Patience())
        watch.look()
        memory: list[float] = []
        began, before = time.perf_counter(), _processor(client)
        for done, _ in enumerate(moving_front(client, nothing, _calls(count, seconds), watch), 1):
            if done % max(1, count // 10) == 0:
                memory.append(_resident())
        took, after = time.perf_counter() - began, _processor(client)
        scheduler = client.run_on_scheduler(_scheduler_memory)
    rate = count / took
    print(
        f"{count} tasks that wait {1000 * seconds:.0f} ms, 2 workers: {rate:.0f} tasks/s of at "
        f"most {2 / seconds if seconds else float('inf'):.0f}; client's memory by tenths: "
        f"{', '.join(f'{value:.0f}' for value in memory)} MB; scheduler {scheduler:.0f} MB"
    )
    tasks, pixels = SCENES * each, SCENES * SIDE**2
    own, their = ((b - a) / count for a, b in zip(before, after, strict=True))
    slowest = max(own, their)
    print(
        f"processor for each task: client {1000 * own:.2f} ms, scheduler {1000 * their:.2f} ms, so "
        f"at most {1 / slowest:.0f} tasks/s whatever the workers"
    )
    print(
        f"the country: {SCENES:,} scenes x {each} tasks = {tasks:,} tasks, "
        f"{tasks * slowest / 3600:.1f} h of the busier of the two"
    )
    for speed in (7.5, 15.0, 100.0):
        one = pixels / (speed * 1e6)
        most = pixels / tasks / slowest / (speed * 1e6)
        print(
            f"workers of {speed:5.1f} Mpx/s: {one / 3600 / 24:6.1f} days of one; "
            f"{most:,.0f} keep the scheduler busy, {one / most / 3600:.1f} h for all"
        )


def nothing(number: int, seconds: float) -> int:
    """A network replaced by a clock."""
    time.sleep(seconds)
    return number


def _calls(count: int, seconds: float) -> Iterator[tuple[int, float]]:
    return ((number, seconds) for number in range(count))


@contextmanager
def cluster(folder: Path, count: int) -> Iterator[str]:
    """A scheduler and so many workers of one thread, each on a core of its own."""
    path = folder / "scheduler.json"
    path.unlink(missing_ok=True)
    cores = sorted(os.sched_getaffinity(0))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    local = ("--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(path))
    own = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    begun = [
        subprocess.Popen(
            [sys.executable, "-m", "dask", "scheduler", *local, "--port", "0", "--no-show"], **quiet
        )
    ]
    try:
        while not path.exists() or not path.read_text():
            time.sleep(0.05)
        for number in range(count):
            core = cores[number % len(cores)]
            line = ["taskset", "-c", str(core), sys.executable, "-m", "dask", "worker", *local]
            line += ["--nthreads", "1", "--no-nanny", "--memory-limit", "0"]
            line += ["--local-directory", str(folder)]
            begun.append(subprocess.Popen(line, env=os.environ | own, **quiet))
        yield json.loads(path.read_text())["address"]
    finally:
        for process in reversed(begun):
            process.kill()
            process.wait()


def _predict(scene: Path, folder: Path, address: str, *words: str) -> dict:
    line = [Path(sys.executable).with_name("rsseg"), "predict", scene, "--out", folder / "map.tif"]
    line += ["--cluster", address, "--overwrite", "--json", "--quiet", "--memory", "2GB", *words]
    told = subprocess.run(list(map(str, line)), check=True, capture_output=True, text=True)
    return json.loads(told.stdout)


def _spent(
    scenes: Path, out: Path, address: str, words: Sequence[str]
) -> tuple[float, float, float]:
    """Seconds of processor of the command and of the workers, and of the clock, for a folder."""
    line = [Path(sys.executable).with_name("rsseg"), "predict", scenes, "--out", out]
    line += ["--cluster", address, "--quiet", "--memory", "2GB", "--restart", "--overwrite"]
    line += [each for word in words for each in (word, out)]
    worked, used, began = _worked(address), _of_children(), time.perf_counter()
    subprocess.run(list(map(str, line)), check=True, capture_output=True)
    wall = time.perf_counter() - began
    return _of_children() - used, _worked(address) - worked, wall


def _of_children() -> float:
    """Seconds of processor of processes that were waited for."""
    import resource

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _corner(scene: Path) -> str:
    """A box of some windows."""
    with rasterio.open(scene) as dataset:
        left, top = dataset.transform @ (0, 0)
        right, bottom = dataset.transform @ (256, 256)
    return f"{left},{bottom},{right},{top}"


def _worked(address: str) -> float:
    """Seconds of processor that the workers have used."""
    with Client(address, set_as_default=False) as client:
        return sum(client.run(time.process_time).values())


def _processor(client: Client) -> tuple[float, float]:
    """Seconds of processor that this process and the scheduler have used."""

    def used(dask_scheduler: object) -> float:
        return time.process_time()

    return time.process_time(), client.run_on_scheduler(used)


def _scheduler_memory() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _list(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in np.round(values, 1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS))
    parser.add_argument("--scene", type=Path, default=DEMO)
    parser.add_argument("--size", type=int, default=8192, help="side of the scene, pixels")
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument(
        "--sides", type=lambda text: list(map(int, text.split(","))), default=[1024, 2048]
    )
    parser.add_argument("--rounds", type=int, default=2, help="runs of each number of workers")
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=0.02, help="a task of the country")
    return parser.parse_args()


if __name__ == "__main__":
    main()
