"""Lightning's trainer as runs use it: checkpoints, loggers, averaged weights, processes."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    Timer,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from rsseg.errors import OutputError
from rsseg.training.recipe import Recipe
from rsseg.training.task import SCORE, SegmentationTask

LAST = "last.ckpt"
_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
_EVERY = 20


def rank() -> int:
    """Index of this process among those of the run; 0 where there is but one."""
    return int(getattr(rank_zero_only, "rank", 0) or 0)


def fit(
    task: SegmentationTask,
    training: DataLoader[Any],
    validation: DataLoader[Any],
    out: Path,
    *,
    resume: bool,
    on_progress: Callable[[int, int], None],
) -> tuple[Path, float]:
    """Train a task to the end of its recipe.

    Returns:
        The checkpoint of the best validation, and the seconds of the training.

    Raises:
        OutputError: If a checkpoint or log cannot be written.
        TrainingError: If the loss is not finite.
    """
    best = ModelCheckpoint(out, filename="best", monitor=SCORE, mode="max")
    last = ModelCheckpoint(out, filename="last", enable_version_counter=False)
    timer = Timer()
    callbacks = [best, last, timer, _Progress(on_progress), _Waiting()]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        trainer = _trainer(task.recipe, out, callbacks)
        try:
            trainer.fit(
                task, training, validation, ckpt_path=out / LAST if resume else None,
                weights_only=True,
            )  # fmt: skip
        except OSError as error:
            raise OutputError(
                f"the run in {out} cannot be written: {error}",
                remedy="free some space and go on with --resume",
            ) from error
    return Path(best.best_model_path), timer.time_elapsed()


def _trainer(recipe: Recipe, out: Path, callbacks: list[Callback]) -> lightning.Trainer:
    section, optimiser = recipe.trainer, recipe.optimiser
    assert section.steps is not None
    if section.ema is not None:
        callbacks = [*callbacks, EMAWeightAveraging(decay=section.ema, use_buffers=True)]
    if section.patience is not None:
        callbacks = [*callbacks, EarlyStopping(SCORE, mode="max", patience=section.patience)]
    return lightning.Trainer(
        max_steps=section.steps,
        val_check_interval=min(section.validate_every, section.steps) * optimiser.accumulate,
        accumulate_grad_batches=optimiser.accumulate,
        gradient_clip_val=optimiser.clip,
        precision=_PRECISION[section.precision],  # type: ignore[arg-type]
        accelerator="gpu" if section.device == "cuda" else section.device,
        devices=section.devices,
        strategy="ddp" if section.devices > 1 else "auto",
        use_distributed_sampler=False,
        callbacks=callbacks,
        logger=[CSVLogger(out, name="", version=""), TensorBoardLogger(out, name="", version="")],
        default_root_dir=out,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        log_every_n_steps=_EVERY,
    )


class _Progress(Callback):
    """Tells the caller of each step."""

    def __init__(self, on_progress: Callable[[int, int], None]) -> None:
        self._on_progress = on_progress

    def on_train_batch_end(self, trainer: lightning.Trainer, *rest: Any) -> None:
        """Report the step."""
        self._on_progress(trainer.global_step, int(trainer.max_steps))


class _Waiting(Callback):
    """Logs ``data_wait``, the share of the time that steps wait for their batch."""

    def __init__(self) -> None:
        self._ended: float | None = None
        self._begun = 0.0
        self._waited = self._passed = 0.0

    def on_train_batch_start(self, trainer: lightning.Trainer, *rest: Any) -> None:
        """Note how long the batch took to come."""
        self._begun = time.perf_counter()
        if self._ended is not None:
            self._waited += self._begun - self._ended
            self._passed += self._begun - self._ended

    def on_train_batch_end(
        self, trainer: lightning.Trainer, task: lightning.LightningModule, *rest: Any
    ) -> None:
        """Note how long the step took, and log the share now and then."""
        self._ended = time.perf_counter()
        self._passed += self._ended - self._begun
        if trainer.global_step % _EVERY == 0 and self._passed:
            task.log("data_wait", self._waited / self._passed)
            self._waited = self._passed = 0.0

    def on_validation_end(self, trainer: lightning.Trainer, *rest: Any) -> None:
        """Validation is no waiting."""
        self._ended = None
