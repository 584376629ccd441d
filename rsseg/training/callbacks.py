"""What runs do beside their steps: progress, what is logged when, early end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback, EarlyStopping

from rsseg.loading.dataset import Sample
from rsseg.training.task import SCORE, SegmentationTask

EVERY = 20
"""Steps between entries in the log, into which the first, the last and validated ones come too."""


class Progress(Callback):
    """Tells the caller of each step."""

    def __init__(self, on_progress: Callable[[int, int], None]) -> None:
        self._on_progress, self._told = on_progress, -1

    def on_train_batch_end(self, trainer: lightning.Trainer, *rest: Any) -> None:
        """Report the step, once all batches of it are through."""
        if trainer.is_global_zero and trainer.global_step != self._told:
            self._told = trainer.global_step
            self._on_progress(trainer.global_step, int(trainer.max_steps))


class Losses(Callback):
    """Logs ``train_loss``, the mean over the steps since it was last logged.

    With NPALoss also ``npa_weight``, the mean weight of the labelled pixels of the last batch.
    It comes before the other callbacks that log: it tells Lightning which steps are logged. After
    validated ones the sum begins anew, so a run that goes on from there logs the same.
    """

    def __init__(self) -> None:
        self._sum: Any = 0.0
        self._since = self._step = 0

    def on_train_start(self, trainer: lightning.Trainer, *rest: Any) -> None:
        """Begin at the step that the run goes on from."""
        self._since = self._step = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        task: lightning.LightningModule,
        outputs: Any,
        batch: Sample,
        index: int,
    ) -> None:
        """Add the loss, which is divided by the batches of the step, and log what is due."""
        self._sum = self._sum + outputs["loss"].detach()  # not read: the device need not wait
        step = trainer.global_step
        if step == self._step:
            return  # more batches of it are to come
        self._step = step
        trainer.log_every_n_steps = 1 if _is_logged(trainer) else EVERY  # type: ignore[attr-defined]
        if _is_logged(trainer):
            mean = self._sum / (step - self._since)
            task.log("train_loss", mean, sync_dist=trainer.world_size > 1)
            assert isinstance(task, SegmentationTask)
            weight = task.mean_weight(batch)
            if weight is not None:
                task.log("npa_weight", weight, sync_dist=trainer.world_size > 1)
            self._sum, self._since = 0.0, step


class LastStep(Callback):
    """Lets the last step be validated and logged too, whatever the intervals."""

    def on_train_batch_end(self, trainer: lightning.Trainer, *rest: Any) -> None:
        """Ask for the end, before which Lightning does both."""
        if trainer.global_step >= trainer.max_steps:
            trainer.should_stop = True


class Patience(EarlyStopping):
    """Ends a run after so many validations without a better score, also one that is resumed."""

    def __init__(self, patience: int) -> None:
        super().__init__(SCORE, mode="max", patience=patience, check_on_train_epoch_end=False)

    def on_train_start(self, trainer: lightning.Trainer, *rest: Any) -> None:
        """Stop at once where the last checkpoint is that of the end."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class Waiting(Callback):
    """Logs ``data_wait``, the share of the time that steps wait for their batch."""

    def __init__(self) -> None:
        self._ended: float | None = None
        self._begun = 0.0
        self._waited = self._passed = 0.0
        self._logged = 0

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
        step = trainer.global_step
        if step > 1 and step != self._logged and _is_logged(trainer):
            self._logged = step
            task.log("data_wait", self._waited / self._passed)
            self._waited = self._passed = 0.0

    def on_validation_end(self, trainer: lightning.Trainer, *rest: Any) -> None:
        """Validation is no waiting."""
        self._ended = None


def _is_logged(trainer: lightning.Trainer) -> bool:
    """Whether the step just done comes into the log."""
    step = trainer.global_step
    validated = int(trainer.val_check_batch or 1) // trainer.accumulate_grad_batches
    return step in (1, trainer.max_steps) or step % EVERY == 0 or step % validated == 0
