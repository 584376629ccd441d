"""One training run as Lightning sees it: steps, validation, optimiser."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from rsseg import losses, models
from rsseg.bundle import read_bundle
from rsseg.errors import BundleError, OptionError, TrainingError
from rsseg.legend import NODATA
from rsseg.loading.dataset import LabelTransform, Sample
from rsseg.metrics import ConfusionMatrix
from rsseg.models.start import COCO, IMAGENET
from rsseg.models.transfer import take_over
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL
from rsseg.training.optimising import optimiser_of, schedule_of
from rsseg.training.processes import rank
from rsseg.training.recipe import Recipe
from rsseg.training.sections import Loss
from rsseg.training.validation import Scorer, at_label_size

SCORE = "val_miou"
EMBEDDED = "embedded"


class SegmentationTask(lightning.LightningModule):
    """Trains a network by a recipe; validation logs the scores of the summed confusion matrix.

    Args:
        recipe: The whole run, with classes, normalisation and steps in numbers, see `settled`.

    Raises:
        OptionError: If an option of the network or the loss is wrong.
        BundleError: If the weights to start from cannot be had or do not fit.
    """

    gain: Tensor
    offset: Tensor

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.scorer: Scorer | None = None
        self.describe: Callable[[int], str] = str
        self.network = _network(recipe).to(memory_format=torch.channels_last)
        if recipe.trainer.compile:
            self.network.compile()
        self.loss = _loss(recipe)
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
        """Loss of one batch.

        Raises:
            TrainingError: If it is not finite.
        """
        labels = batch["label"].long()
        outputs = self(batch["image"])
        outputs = (
            at_label_size(outputs, labels)
            if isinstance(outputs, Tensor)
            else tuple(at_label_size(each, labels) for each in outputs)
        )
        given = [batch["affinity"]] if "affinity" in batch else []
        loss: Tensor = self.loss(outputs, labels, *given)
        if not torch.isfinite(loss.detach()):
            raise TrainingError(
                f"the loss is {loss.item():g} at step {self.global_step + 1}",
                remedy="lower optimiser.rate, add optimiser.clip=1, or look at the windows of this "
                f"batch: {self._windows(batch)}",
            )
        return loss

    def label_transform(self) -> LabelTransform | None:
        """What the loss takes of labels alone, for the loader's workers."""
        loss = self.loss.loss
        return loss.label_transform() if isinstance(loss, losses.NPALoss) else None

    def mean_weight(self, batch: Sample) -> Tensor | None:
        """Mean weight of a batch's labelled pixels by NPALoss; None by another loss."""
        loss = self.loss.loss
        if not isinstance(loss, losses.NPALoss):
            return None
        return loss.mean_weight(batch["label"].long(), batch.get("affinity"))

    def on_train_batch_start(self, batch: Sample, index: int) -> None:
        """Seed dropout by the step, so that a resumed run goes on as it would have.

        The encoder's statistics stay while it is frozen, and move again once it learns.
        """
        torch.manual_seed(hash((self.recipe.trainer.seeds[0], index, rank())))
        frozen = self.recipe.optimiser.freeze_encoder
        if self.global_step < frozen:
            self._encoder.eval()
        elif frozen and self.global_step == frozen:
            self.network.train()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave a frozen encoder out: of the optimiser's memory and of the gradient's norm too."""
        if self.global_step < self.recipe.optimiser.freeze_encoder:
            for parameter in self._encoder.parameters():
                parameter.grad = None

    def on_validation_epoch_start(self) -> None:
        """Count from zero."""
        self.confusion = ConfusionMatrix(self.recipe.legend.names)

    def validation_step(self, number: int, index: int) -> None:
        """Count the scene or window of this number; a number below 0 is none."""
        if number >= 0:
            assert self.scorer is not None
            self.confusion.add(self.scorer.count(self.network, number, str(self.device)))

    def on_validation_epoch_end(self) -> None:
        """Log the scores of all processes together."""
        counts = torch.from_numpy(self.confusion.matrix).to(self.device)
        summed: Any = self.trainer.strategy.reduce(counts, reduce_op="sum")
        total = ConfusionMatrix(self.confusion.names)
        total.add(summed.cpu().numpy())
        scores = total.scores()
        self.log(SCORE, scores["miou"] or 0.0)
        self.log("val_oa", scores["oa"] or 0.0)
        self.log("val_mf1", scores["f1"] or 0.0)
        for name, row in scores["classes"].items():
            if row["iou"] is not None:  # the class is somewhere in truth or prediction
                self.log(f"val_iou_{name}", row["iou"])

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The recipe's optimiser and schedule, by step."""
        recipe = self.recipe
        assert recipe.trainer.steps is not None
        optimiser = optimiser_of(recipe.optimiser, self.network)
        frozen = recipe.optimiser.freeze_encoder
        scheduler = schedule_of(optimiser, recipe.schedule, recipe.trainer.steps, frozen)
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    @property
    def _encoder(self) -> nn.Module:
        return _encoder(self.network)

    def _windows(self, batch: Sample) -> str:
        numbers: Any = batch.get("number", [])
        return "; ".join(self.describe(int(number)) for number in numbers)


def _network(recipe: Recipe) -> nn.Module:
    """The network of a recipe at its start."""
    model = recipe.model
    whole = model_file(model.weights)

    def build(classes: int, weights: str | None = None) -> nn.Module:
        return models.create(
            model.name,
            classes=classes,
            bands=len(recipe.data.bands),
            weights=weights,
            output_stride=model.output_stride,
            aux=model.aux,
            encoder=model.encoder,
            **model.options,
        )

    network = build(len(recipe.legend), None if whole else model.weights)
    if model.encoder_momentum is not None:
        for module in _encoder(network).modules():
            if isinstance(module, _BatchNorm):
                module.momentum = model.encoder_momentum
    if whole:
        other, bundle = models.load(whole)
        take_over(network, recipe.legend, other, bundle.legend, build)
    return network


def _encoder(network: nn.Module) -> nn.Module:
    encoder = network.encoder
    assert isinstance(encoder, nn.Module)  # every architecture has one
    return encoder


def model_file(weights: str | None) -> str | None:
    """The model file of rsseg that a recipe's weights are, if they are one.

    Raises:
        BundleError: If they are neither a file nor one of the names.
    """
    if weights == EMBEDDED:
        return str(EMBEDDED_MODEL)
    if weights in (None, IMAGENET, COCO):
        return None
    if not Path(weights).is_file():
        near = difflib.get_close_matches(weights, (EMBEDDED, IMAGENET, COCO), n=1)
        raise BundleError(
            f"there is no file {weights} to start from",
            expected=f"{EMBEDDED}, {IMAGENET}, null, or a file, by --set model.weights=FILE",
            remedy=f"did you mean {near[0]}?" if near else None,
        )
    if not weights.endswith(".safetensors"):
        return None
    try:
        read_bundle(weights)
    except BundleError:
        return None  # a file of an encoder
    return weights


def _loss(recipe: Recipe) -> losses.DeepSupervision:
    """The loss of a recipe."""
    section, classes = recipe.loss, len(recipe.legend)
    aux = None if section.aux is None else _tried_loss(section.aux, classes)
    return losses.DeepSupervision(_tried_loss(section, classes), section.aux_weight, aux)


def _tried_loss(section: Loss, classes: int) -> nn.Module:
    """A loss, tried on two pixels so that its options are refused at once."""
    try:
        loss = losses.create(section.name, **section.options)
        for part in loss.modules():
            if getattr(part, "ignore_index", NODATA) != NODATA:
                raise OptionError(
                    f"unusable ignore_index of the loss {section.name}",
                    expected=f"{NODATA}, which labels are read with",
                    got=part.ignore_index,
                )
        loss.eval()(torch.zeros(1, classes, 1, 2), torch.tensor([[[0, NODATA]]]))
    except OptionError:
        raise
    except (TypeError, ValueError) as error:  # a value of the wrong kind
        raise OptionError(
            f"the options of the loss {section.name} are not usable: {error}",
            got=", ".join(f"{key}={value!r}" for key, value in section.options.items()),
        ) from error
    return loss.train()
