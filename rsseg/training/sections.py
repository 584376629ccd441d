"""The sections of a recipe, each value with its meaning, default and limits."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from rsseg.loading import Augmentation

_FLAGS = tuple(each.name for each in fields(Augmentation) if isinstance(each.default, bool))


class Section(BaseModel):
    """A part of a recipe, which knows its keys and cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.field_name or ""
        if cls.model_fields[name].annotation is bool:
            return value
        parts = value if isinstance(value, list | tuple) else (value,)
        if isinstance(value, dict) and name in ("augment", "balance"):  # no sections of their own
            parts = [part for key, part in value.items() if key not in _FLAGS]
        if any(isinstance(part, bool) for part in parts):
            raise ValueError(
                "it cannot be true or false (or yes, no, on, off); null turns it off, quotes make "
                "a text"
            )
        return value


class LegendClass(Section):
    """A class of the labels: file code, name and 8-bit RGB colour."""

    code: int
    name: str
    colour: tuple[int, int, int]


class Scaling(Section):
    """Normalisation of raw values, one number for each band."""

    scale: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Repeat(Section):
    """Images that are drawn more often.

    Attributes:
        classes: Those that hold a pixel of one of these classes.
        times: As if the catalogue listed them so many times.
    """

    classes: tuple[str, ...] = Field(min_length=1)
    times: int = Field(ge=2)


class Data(Section):
    """Where the samples come from and how they are cut.

    Attributes:
        root: Folder of the prepared data, which ``catalogue`` is relative to.
        catalogue: Its table, CSV or GeoPackage.
        bands: Bands the network gets, by name or number.
        classes: The classes; those that the label rasters tell if None.
        normalisation: Numbers by band; ``imagenet`` for the usual ones of RGB bytes; ``train`` for
            mean and standard deviation of the training split.
        window: Side of the training windows, pixels.
        scale: Smallest and largest magnification of theirs.
        aspect: Largest ratio of magnification down to that across, and the reverse.
        read_gsd: Ground sample distance in metres that all scenes are read at; their own if None.
        gsd: Ground sample distance of the scenes where their files do not tell it, by which they
            are validated at the model's.
        label_stride: Image pixels along a side of a label pixel.
        balance: Draw windows by class: shares by name, or ``equal``; None draws places evenly.
        repeat: Draw images with certain classes more often; without ``balance``, which has its own
            way. It does not lengthen epochs.
        batch_size: Windows in a batch, of each device.
        workers: Threads that read and augment.
        augment: Fields of `Augmentation`.
        train: Name of the training split.
        validation: Name of the validation split.
        licence: Of the weights to come, as an SPDX identifier where there is one.
        attribution: Whom to thank for the data.
    """

    root: Path = Path()
    catalogue: Path = Path("catalogue.csv")
    bands: tuple[int | str, ...] = ("red", "green", "blue")
    classes: tuple[LegendClass, ...] | None = None
    normalisation: Scaling | Literal["imagenet", "train"] = "train"
    window: int = Field(512, ge=1)
    scale: tuple[float, float] = (1.0, 1.0)
    aspect: float = Field(1.0, ge=1)
    read_gsd: float | None = Field(None, gt=0)
    gsd: float | None = Field(None, gt=0)
    label_stride: int = Field(1, ge=1)
    balance: dict[str, float] | Literal["equal"] | None = None
    repeat: Repeat | None = None
    batch_size: int = Field(8, ge=1)
    workers: int = Field(1, ge=0)
    augment: Augmentation = Augmentation()
    train: str = "train"
    validation: str = "val"
    licence: str = ""
    attribution: str = ""

    @model_validator(mode="after")
    def _one_way_to_draw(self) -> Data:
        if self.balance is not None and self.repeat is not None:
            raise ValueError("windows are drawn either by 'balance' or with 'repeat'")
        return self

    @field_validator("scale")
    @classmethod
    def _from_small_to_large(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1] < math.inf:
            raise ValueError("it should be [SMALLEST, LARGEST], both above 0")
        return scale

    @model_validator(mode="after")
    def _windows_hold_whole_label_pixels(self) -> Data:
        if self.window % self.label_stride:
            raise ValueError(
                f"windows of {self.window} pixels cannot have labels of stride {self.label_stride}"
            )
        return self


class Model(Section):
    """Architecture, its start, and its own options.

    Attributes:
        name: Architecture, see ``rsseg models list``.
        weights: Start of the encoder: ``imagenet``, ``coco`` or a file in timm's layout; or of the
            whole network: ``embedded`` or a model file of rsseg, whose classes are taken over by
            name.
        output_stride: Input pixels per pixel of the deepest feature; the architecture's if None.
        aux: Whether to train an auxiliary head too.
        encoder: A timm encoder in place of the architecture's own.
        options: Further options of the architecture.
        window: Side of the windows in prediction, pixels; those of training if None.
        gsd: Ground sample distance of the training scenes in metres.
        encoder_momentum: Of the batch normalisation in the encoder: the share of each batch in its
            running statistics; the usual 0.1 if None.
    """

    name: str
    weights: str | None = None
    output_stride: int | None = None
    aux: bool = False
    encoder: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    window: int | None = Field(None, ge=1)
    gsd: float | None = Field(None, gt=0)
    encoder_momentum: float | None = Field(None, gt=0, le=1)


class Loss(Section):
    """What is minimised.

    Attributes:
        name: A loss of `rsseg.losses`.
        options: Its options.
        class_weights: ``median-frequency`` weighs the classes by the training split's frequencies.
        rare: Classes that are left out of that median and get the least of the other weights.
        aux_weight: Share of the auxiliary head's loss.
        aux: Loss of the auxiliary head, one like the main one if None.
    """

    name: str = "cross-entropy"
    options: dict[str, Any] = Field(default_factory=dict)
    class_weights: Literal["median-frequency"] | None = None
    rare: tuple[str, ...] = ()
    aux_weight: float = Field(0.4, ge=0)
    aux: Loss | None = None

    @model_validator(mode="after")
    def _rare_ones_are_weighted(self) -> Loss:
        if self.rare and self.class_weights is None:
            raise ValueError("'rare' is of class_weights, which is not given")
        return self


class Optimiser(Section):
    """How weights change.

    Attributes:
        name: ``adamw`` (decoupled weight decay), ``adam`` or ``sgd``.
        rate: Learning rate of all but the encoder.
        encoder_factor: The encoder learns at this part of the rate.
        weight_decay: Weight decay.
        momentum: Of SGD.
        freeze_encoder: Steps in which the encoder stays as it is, its statistics too.
        clip: Largest norm of the gradient; None does not clip.
        accumulate: Batches whose gradients make a step.
    """

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    rate: float = Field(5e-4, gt=0)
    encoder_factor: float = Field(1.0, ge=0)
    weight_decay: float = Field(0.0, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    freeze_encoder: int = Field(0, ge=0)
    clip: float | None = Field(None, gt=0)
    accumulate: int = Field(1, ge=1)


class Schedule(Section):
    """The learning rate by step: a linear warm-up, then one of four ways down.

    Attributes:
        name: ``cosine`` (half a wave), ``poly`` (``(1 - done) ** power``), ``step`` (times
            ``factor`` every ``every`` steps) or ``constant``.
        warm_up: Steps of the warm-up.
        final: Least part of the rate.
        power: Of ``poly``.
        every: Steps between drops of ``step``.
        factor: Of each drop.
    """

    name: Literal["cosine", "poly", "step", "constant"] = "cosine"
    warm_up: int = Field(0, ge=0)
    final: float = Field(0.01, ge=0, le=1)
    power: float = Field(0.9, gt=0)
    every: int | None = Field(None, ge=1)
    factor: float = Field(0.1, gt=0, le=1)

    @model_validator(mode="after")
    def _has_steps(self) -> Schedule:
        if (self.name == "step") != (self.every is not None):
            raise ValueError("'every' is of the schedule 'step', which needs it")
        return self


class Trainer(Section):
    """Length, precision and seeds of the run.

    Attributes:
        steps: Optimiser steps; or
        epochs: passes over the area of the training split, in windows that do not overlap.
        validate_every: Steps between validations, each of which writes a checkpoint.
        validation: ``tiles`` predicts whole scenes as ``rsseg predict`` does; ``windows`` scores
            windows side by side, which is faster.
        patience: Validations without a better score after which the run ends; None goes on.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        ema: Decay of averaged weights, which are validated and kept in place of the last ones.
        compile: Whether to use ``torch.compile``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        devices: Processes, one for each device.
        seeds: One run for each; the median of their scores is reported.
    """

    steps: int | None = Field(None, ge=1)
    epochs: int | None = Field(None, ge=1)
    validate_every: int = Field(500, ge=1)
    validation: Literal["tiles", "windows"] = "tiles"
    patience: int | None = Field(None, ge=1)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    ema: float | None = Field(None, gt=0, lt=1)
    compile: bool = False
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = Field(1, ge=1)
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = Field((0,), min_length=1)

    @model_validator(mode="after")
    def _one_length(self) -> Trainer:
        if self.steps is None and self.epochs is None:
            raise ValueError("a run needs either 'steps' or 'epochs'")
        if self.steps is not None and self.epochs is not None:
            raise ValueError("'steps' and 'epochs' are both given; make one of them null")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed is there twice")
        return self
