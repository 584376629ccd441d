"""One training run as Lightning sees it: steps, validation, optimiser."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from rsseg import losses, models
from rsseg.errors import OptionError
from rsseg.legend import NODATA
from rsseg.loading.dataset import LabelTransform, Sample
from rsseg.metrics import ConfusionMatrix
from rsseg.training.recipe import Recipe

SCORE = "val_miou"


class SegmentationTask(lightning.LightningModule):
    """Trains a network by a recipe; validation logs the mIoU of the summed confusion matrix.

    Args:
        recipe: The whole run.
    """

    gain: Tensor
    offset: Tensor

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.network = models.create(
            recipe.model.name,
            classes=len(recipe.legend),
            bands=len(recipe.data.bands),
            weights=recipe.model.weights,
            **recipe.model.options,
        ).to(memory_format=torch.channels_last)
        self.loss = losses.DeepSupervision(_loss(recipe))
        self.confusion = ConfusionMatrix(recipe.legend.names)
        for name, values in (
            ("gain", recipe.normalisation.gain),
            ("offset", recipe.normalisation.offset),
        ):
            self.register_buffer(name, torch.from_numpy(values)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Logits of raw images ``(N, B, h, w)``; while training also an auxiliary head's."""
        normalised = images.float() * self.gain + self.offset
        outputs: Tensor | tuple[Tensor, Tensor] = self.network(
            normalised.contiguous(memory_format=torch.channels_last)
        )
        return outputs

    def training_step(self, batch: Sample, index: int) -> Tensor:
        """Loss of one batch."""
        given = [batch["affinity"]] if "affinity" in batch else []
        loss: Tensor = self.loss(self(batch["image"]), batch["label"], *given)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def label_transform(self) -> LabelTransform | None:
        """What the loss takes of labels alone, for the loader's workers."""
        loss = self.loss.loss
        return loss.label_transform() if isinstance(loss, losses.NPALoss) else None

    def on_validation_epoch_start(self) -> None:
        """Count from zero."""
        self.confusion = ConfusionMatrix(self.recipe.legend.names)

    def validation_step(self, batch: Sample, index: int) -> None:
        """Count the pixels of one batch."""
        prediction = self(batch["image"]).argmax(dim=1)
        self.confusion.update(batch["label"].cpu().numpy(), prediction.cpu().numpy())

    def on_validation_epoch_end(self) -> None:
        """Log the scores."""
        scores = self.confusion.scores()
        self.log(SCORE, scores["miou"] or 0.0, prog_bar=True)
        self.log("val_oa", scores["oa"] or 0.0)
        for name, row in scores["classes"].items():
            self.log(f"val_iou_{name}", row["iou"] or 0.0)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Two groups of parameters, the encoder's and the rest, on one schedule."""
        optimiser, schedule = self.recipe.optimiser, self.recipe.schedule
        encoder = {id(p) for p in self.network.encoder.parameters()}  # type: ignore[union-attr]
        groups: list[dict[str, Any]] = [
            {
                "params": [p for p in self.network.parameters() if id(p) in encoder],
                "lr": optimiser.rate * optimiser.encoder_factor,
            },
            {"params": [p for p in self.network.parameters() if id(p) not in encoder]},
        ]
        adam = torch.optim.AdamW(groups, lr=optimiser.rate, weight_decay=optimiser.weight_decay)
        steps = self.recipe.trainer.steps

        def factor(step: int) -> float:
            if step < schedule.warm_up:
                return (step + 1) / schedule.warm_up
            done = (step - schedule.warm_up) / max(1, steps - schedule.warm_up)
            return schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * done)) / 2

        return {
            "optimizer": adam,
            "lr_scheduler": {"scheduler": LambdaLR(adam, factor), "interval": "step"},
        }


def _loss(recipe: Recipe) -> torch.nn.Module:
    """The loss of a recipe, tried on two pixels so that its options are refused at once."""
    loss = losses.create(recipe.loss.name, **recipe.loss.options)
    for part in loss.modules():
        if getattr(part, "ignore_index", NODATA) != NODATA:
            raise OptionError(
                f"unusable ignore_index of the loss {recipe.loss.name}",
                expected=f"{NODATA}, which labels are read with",
                got=part.ignore_index,
            )
    logits = torch.zeros(1, len(recipe.legend), 1, 2)
    loss.eval()(logits, torch.tensor([[[0, NODATA]]]))
    return loss.train()
