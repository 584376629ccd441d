"""Checkpoints of a run: written whole or not at all, at each validation."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from rsseg.replacing import replacing

LAST = "last.ckpt"
BEST = "best.ckpt"
MODEL = "best.safetensors"
"""The model file that is made of `BEST` at the end."""


class Checkpoints(Checkpoint):
    """Writes ``best.ckpt`` where the score is the best so far, then ``last.ckpt``.

    It comes after all other callbacks, so that what they know of a validation is in the file.

    Args:
        out: Run folder.
        monitor: Name of the logged score, the larger the better.
    """

    def __init__(self, out: Path, monitor: str) -> None:
        self._out, self._monitor = out, monitor
        self._best = float("-inf")

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Write what there is to write."""
        score = float(trainer.callback_metrics[self._monitor])
        if score > self._best:
            self._best = score
            trainer.save_checkpoint(self._out / BEST)
        trainer.save_checkpoint(self._out / LAST)

    def state_dict(self) -> dict[str, Any]:
        """The best score so far."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the best score so far."""
        self._best = float(state_dict["best"])


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside its place, and then into it.

    Lightning's own way is a file in the system's temporary folder that is moved, which copies it
    onto the old one where that folder is on another disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint; on failure the one that stood there is untouched.

        Raises:
            OSError: If the disk is full.
        """
        buffer = io.BytesIO()  # torch tells a full disk by no error of its own kind
        torch.save(checkpoint, buffer)
        with replacing(path) as unfinished, unfinished.open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())  # whole after a power cut, too
