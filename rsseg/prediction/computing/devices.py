"""Several devices of one machine that share a map.

This process has the first device, and begins one of its own for each further one
(`rsseg.prediction.computing.device_process`). Runs of neighbouring shards are given out one after
the other to whoever is free. All write their shards into the parts folder that this process holds.
Which device computes a shard changes no byte of it, as all are of one kind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from rsseg.errors import OptionError
from rsseg.geo.shards import Shard
from rsseg.prediction.computing import pipeline
from rsseg.prediction.computing.dealing import runs, windows_of_all
from rsseg.prediction.computing.device_process import Computed, Helper, Job, helping
from rsseg.prediction.computing.pipeline import Timing
from rsseg.prediction.engines.engine import Engine, place
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.parts.folder import Parts
from rsseg.prediction.planning.plan import Plan
from rsseg.prediction.workers import Workers

Progress = Callable[[int, int], None]
_LOOK = 0.2
"""Seconds between two looks at the other processes."""


@dataclass(frozen=True)
class Shared:
    """What came of sharing a map.

    Args:
        timing: Engines busy all together, and waiting in the mean.
        others: Further devices that had a part.
        memory: Highest resident memory of their processes, bytes.
    """

    timing: Timing
    others: tuple[str, ...] = ()
    memory: int = 0


def devices_of(
    options: PredictOptions, *, own_network: bool, graph: bool = False
) -> tuple[str, ...]:
    """The devices that are to share a map.

    Those that are named with commas between; all GPUs of one kind where ``cuda``, or ``auto`` on a
    machine with GPUs, leaves it open.

    Args:
        options: The user's choices.
        own_network: Whether the caller passes a network, which runs on one device.
        graph: Whether the model is a graph that only OpenVINO runs.

    Raises:
        OptionError: If a device is not there, or GPUs of several kinds are named, whose results
            differ in a few pixels.
        MissingExtra: If torch is needed and missing.
    """
    named = tuple(options.device.split(","))
    if len(named) > 1 and own_network:
        raise OptionError("a network of your own runs on one device", got=options.device)
    placed = place(replace(options, device=named[0]), own_network=own_network, graph=graph)
    if own_network or not placed.device.startswith("cuda"):
        return named
    from rsseg.prediction.engines.torch_device import gpus

    kinds = gpus()
    if placed.device == "cuda":
        first = next(iter(kinds.values()), None)
        alike = tuple(name for name, kind in kinds.items() if kind == first)
        return alike if len(alike) > 1 else named
    if unknown := [name for name in named if name not in kinds]:
        there = ", ".join(kinds)
        raise OptionError(f"the device {unknown[0]} is not there", expected=there)
    if len({kinds[name] for name in named}) > 1:
        raise OptionError(
            "GPUs of several kinds do not compute the same bytes",
            got=", ".join(f"{name} {kinds[name]}" for name in named),
            remedy="choose those of one kind",
        )
    return named


def on_one(options: PredictOptions, devices: Sequence[str]) -> PredictOptions:
    """The options of one of the processes: its device, and its part of the memory."""
    if len(devices) == 1:
        return replace(options, device=devices[0])
    return replace(options, device=devices[0], memory=options.memory_limit // len(devices))


def run(
    work: Plan,
    others: Sequence[str],
    engine: Engine,
    scoring: Workers,
    parts: Parts,
    journal: dict[str, Any],
    on_progress: Progress,
) -> Shared:
    """Compute every shard that is not there yet, on this process's device and on others.

    Args:
        work: What to do.
        others: Further devices; one is only used if there is work for it.
        engine: The network on this process's device.
        scoring: The thread that it was made in.
        parts: Where finished shards go; this process holds it.
        journal: What the parts folder was opened with.
        on_progress: Called with windows done and windows in all, repeated ones included.

    Raises:
        ClusterError: If another process dies.
        SceneError: If the scene cannot be read.
        OutputError: If a shard cannot be written.
        OptionError: If a further device is not there, or its memory does not hold a forward pass.
    """
    todo = [shard for shard in work.shards if not parts.has(shard)]
    tasks = _Tasks(runs(todo, 1 + len(others), work.block[1]))
    others = others[: max(0, len(tasks) - 1)]
    if not others:
        return Shared(pipeline.run(work, engine, scoring, parts, on_progress))
    began, out = time.perf_counter(), parts.folder.with_name(parts.folder.stem).absolute()
    counting = _Counting(max(work.passes, windows_of_all(tasks.all)), tasks.all, on_progress)
    timings = []
    with Workers(len(others), "rsseg-device") as serving, ExitStack() as stack:
        helpers: list[Helper] = []
        calls: list[Future[list[Computed]]] = []
        for device in others:
            placement = replace(work.placement, device=device, forward=engine.batch)
            job = Job(replace(work, placement=placement), out, journal)
            helpers.append(stack.enter_context(helping(job)))
            calls.append(serving.submit(helpers[-1].serve, tasks.take, counting.add))

        def look() -> None:
            counting.tell()
            for call in calls:
                if call.done():
                    call.result()  # or what went wrong, at once

        def computed(done: int, total: int) -> None:
            counting.add(1)
            look()

        while (task := tasks.take()) is not None:
            some = replace(work, shards=task)
            timings.append(pipeline.run(some, engine, scoring, parts, computed))
        for helper in helpers:
            helper.dismiss()
        while wait(calls, _LOOK).not_done:
            look()
        answers = [(device, call.result()) for device, call in zip(others, calls, strict=True)]
    counting.end()
    used = tuple((device, there) for device, there in answers if there)
    timings += [each.timing for _, there in used for each in there]
    timing = Timing(
        time.perf_counter() - began,
        sum(each.forward for each in timings),
        sum(each.waiting for each in timings) / (1 + len(used)),
    )
    memory = sum(max(each.peak for each in there) for _, there in used)
    return Shared(timing, tuple(device for device, _ in used), memory)


class _Tasks:
    """Runs of shards, each given out once, to any thread."""

    def __init__(self, tasks: Iterable[tuple[Shard, ...]]) -> None:
        self.all = tuple(tasks)
        self._left = iter(self.all)
        self._one = threading.Lock()

    def __len__(self) -> int:
        return len(self.all)

    def take(self) -> tuple[Shard, ...] | None:
        """The next one; None if there is none."""
        with self._one:
            return next(self._left, None)


class _Counting:
    """Windows that all processes have computed, told by the thread that asks for it.

    Args:
        total: Windows of the whole map.
        tasks: What is still to do of it.
        on_progress: Told windows done, and ``total``.
    """

    def __init__(self, total: int, tasks: Sequence[Sequence[Shard]], on_progress: Progress) -> None:
        self._total, self._on_progress = total, on_progress
        self._done = total - windows_of_all(tasks)
        self._told = self._done
        self._one = threading.Lock()

    def add(self, windows: int) -> None:
        """Count some more; any thread may."""
        with self._one:
            self._done += windows

    def tell(self) -> None:
        """Tell what is new."""
        done = min(self._done, self._total)  # between swaths some are computed twice
        if done > self._told:
            self._told = done
            self._on_progress(done, self._total)

    def end(self) -> None:
        """Tell that all is done."""
        self._done = self._total
        self.tell()
