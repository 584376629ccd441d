"""Lightning's trainer as runs use it: averaged weights, loggers, early end, one-line errors."""

from __future__ import annotations

import logging
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback, Timer, WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from rsseg.errors import OptionError, TrainingError
from rsseg.training import callbacks
from rsseg.training.checkpoints import BEST, LAST, Checkpoints, WholeFiles
from rsseg.training.logs import Board, MetricsTable
from rsseg.training.processes import environments, machines, rank
from rsseg.training.recipe import Recipe
from rsseg.training.task import SCORE, SegmentationTask

_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def make_trainer(
    recipe: Recipe, out: Path, on_progress: Callable[[int, int], None]
) -> lightning.Trainer:
    """Lightning's trainer for a run; nothing is written yet.

    Args:
        recipe: The whole run, with its steps in numbers.
        out: Run folder.
        on_progress: Called in the first process with steps done and steps in all.

    Raises:
        OptionError: If the devices or processes are not there, or do not compute in the precision.
    """
    section, optimiser = recipe.trainer, recipe.optimiser
    assert section.steps is not None
    nodes = machines(section.devices)
    used: list[Callback] = [
        callbacks.Progress(on_progress),
        callbacks.Losses(),
        callbacks.Waiting(),
        callbacks.LastStep(),
        Timer(),
    ]
    if section.ema is not None:
        average = get_ema_multi_avg_fn(section.ema)  # type: ignore[no-untyped-call]
        used.append(WeightAveraging(use_buffers=True, multi_avg_fn=average))
    if section.patience is not None:
        used.append(callbacks.Patience(section.patience))
    try:
        with _quiet():
            trainer = lightning.Trainer(
                max_steps=section.steps,
                val_check_interval=min(section.validate_every, section.steps)
                * optimiser.accumulate,
                accumulate_grad_batches=optimiser.accumulate,
                gradient_clip_val=optimiser.clip,
                precision=_PRECISION[section.precision],  # type: ignore[arg-type]
                accelerator="gpu" if section.device == "cuda" else section.device,
                devices=section.devices // nodes,
                num_nodes=nodes,
                strategy="ddp" if section.devices > 1 else "auto",
                use_distributed_sampler=False,
                plugins=[WholeFiles(), *environments()],
                callbacks=[*used, Checkpoints(out, SCORE)],
                logger=[MetricsTable(out), Board(out, name="", version="")],
                default_root_dir=out,
                enable_model_summary=False,
                enable_progress_bar=False,
                num_sanity_val_steps=0,
                log_every_n_steps=callbacks.EVERY,
            )
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        raise OptionError(
            f"{section.devices} x {section.device} cannot be trained on: {error}",
            remedy="choose others by trainer.device and trainer.devices",
        ) from error
    if section.precision == "fp16" and isinstance(trainer.accelerator, CPUAccelerator):
        raise OptionError("CPUs do not train in fp16", expected="fp32 or bf16", got="fp16")
    return trainer


def fit(
    trainer: lightning.Trainer,
    task: SegmentationTask,
    training: DataLoader[Any],
    validation: DataLoader[Any],
    *,
    resume: bool,
    stay: bool,
) -> tuple[Path, float]:
    """Train a task to the end of its recipe.

    Args:
        trainer: Of `make_trainer`.
        task: What is trained.
        training: The batches to come.
        validation: What `SegmentationTask.validation_step` takes.
        resume: Go on from the last checkpoint.
        stay: Keep the processes together for another training: those that torchrun started cannot
            meet a second time, where they would find what is left of the first.

    Returns:
        The checkpoint of the best validation, and the seconds of the training.

    Raises:
        TrainingError: If the loss is not finite, memory runs out, or the run is interrupted.
        OSError: If a checkpoint or log cannot be written.
    """
    out = Path(trainer.default_root_dir)
    with _quiet(), _told(trainer), _same_environment():
        trainer.fit(
            task, training, validation, ckpt_path=out / LAST if resume else None,
            weights_only=True,
        )  # fmt: skip
        if torch.distributed.is_initialized() and not stay:
            torch.distributed.destroy_process_group()
    used: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    (timer,) = (each for each in used if isinstance(each, Timer))
    return out / BEST, timer.time_elapsed()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to ourselves what Lightning tells, which no one can use."""
    logs = [logging.getLogger(f"lightning{part}") for part in ("", ".pytorch", ".fabric")]
    levels = [log.level for log in logs]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            for log in logs:
                log.setLevel(logging.ERROR)
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)


@contextmanager
def _told(trainer: lightning.Trainer) -> Iterator[None]:
    """What can end a training, in one sentence each."""
    try:
        yield
    except SystemExit as error:  # Lightning's way to end on a signal
        if rank():
            raise
        raise TrainingError("the run was interrupted", remedy="go on with --resume") from error
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            "the device has too little memory for a step",
            remedy="lower data.batch_size and raise optimiser.accumulate, or lower data.window",
        ) from error
    except ValueError as error:
        if "more than 1 value per channel" in str(error):
            raise TrainingError(
                "batch normalisation needs more than one window",
                remedy="set data.batch_size to 2 or more",
            ) from error
        raise
    except RuntimeError as error:
        if trainer.world_size > 1 and _is_lost(error):
            if rank():
                raise SystemExit(1) from error
            raise TrainingError(
                "another process of the run has ended", remedy="go on with --resume"
            ) from error
        raise
    finally:
        launcher = trainer.strategy.launcher
        if trainer.interrupted and launcher is not None:
            launcher.kill(signal.SIGKILL)  # they would wait for this one


@contextmanager
def _same_environment() -> Iterator[None]:
    """Take back what Lightning sets for its processes, by which a next run would start none."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]


def _is_lost(error: RuntimeError) -> bool:
    """Whether the other processes cannot be reached any more."""
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)
