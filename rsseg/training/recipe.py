"""Recipes: everything a training run needs, in one YAML file that refuses unknown keys."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rsseg.errors import RecipeError, RssegError
from rsseg.legend import Legend
from rsseg.loading import Augmentation
from rsseg.normalise import Normalisation


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LegendClass(_Section):
    """A class of the labels: file code, name and 8-bit RGB colour."""

    code: int
    name: str
    colour: tuple[int, int, int]


class Scaling(_Section):
    """Normalisation of raw values, one number for each band."""

    scale: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Data(_Section):
    """Where the samples come from and how they are cut.

    ``catalogue`` may be relative to the working directory; ``scale`` is the range of
    magnifications of training windows; ``gsd`` is the ground sample distance of the scenes in
    metres, by which they are validated at the model's; ``augment`` holds the fields of
    `Augmentation`.
    """

    catalogue: Path
    bands: tuple[str, ...] = ("red", "green", "blue")
    classes: tuple[LegendClass, ...]
    normalisation: Scaling
    window: int = Field(512, ge=1)
    scale: tuple[float, float] = (1.0, 1.0)
    gsd: float | None = Field(None, gt=0)
    batch_size: int = Field(8, ge=1)
    workers: int = Field(1, ge=0)
    augment: Augmentation = Augmentation()
    train: str = "train"
    validation: str = "val"
    licence: str = ""
    attribution: str = ""


class Model(_Section):
    """Architecture, start of the encoder, and the architecture's own options.

    ``window`` is what prediction will use, in pixels, and ``gsd`` the ground sample distance of the
    training scenes in metres.
    """

    name: str
    weights: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    window: int = Field(512, ge=1)
    gsd: float | None = Field(None, gt=0)


class Loss(_Section):
    """A loss of `rsseg.losses` and its options."""

    name: str = "cross-entropy"
    options: dict[str, Any] = Field(default_factory=dict)


class Optimiser(_Section):
    """Adam with decoupled weight decay; the encoder learns at ``encoder_factor`` of the rate."""

    rate: float = Field(5e-4, gt=0)
    encoder_factor: float = Field(1.0, ge=0)
    weight_decay: float = Field(0.0, ge=0)


class Schedule(_Section):
    """Linear warm-up, then a half cosine down to ``final`` of the rate."""

    warm_up: int = Field(0, ge=0)
    final: float = Field(0.01, ge=0, le=1)


class Trainer(_Section):
    """Length, precision and seed of the run; ``ema`` is the decay of averaged weights."""

    steps: int = Field(..., ge=1)
    validate_every: int = Field(500, ge=1)
    precision: Literal["fp32", "bf16"] = "fp32"
    ema: float | None = Field(None, gt=0, lt=1)
    seed: int = 0


class Recipe(_Section):
    """A whole training run."""

    title: str
    data: Data
    model: Model
    loss: Loss = Loss()
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    trainer: Trainer

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        try:
            normalised, _ = len(self.normalisation), self.legend
        except RssegError as error:
            raise ValueError(str(error)) from error
        if normalised != len(self.data.bands):
            raise ValueError(f"{len(self.data.bands)} bands, but {normalised} normalised ones")
        return self

    @property
    def legend(self) -> Legend:
        """Classes of the labels."""
        return Legend.from_json([row.model_dump() for row in self.data.classes])

    @property
    def normalisation(self) -> Normalisation:
        """Scaling of raw values."""
        return Normalisation.from_json(self.data.normalisation.model_dump())


def read_recipe(path: str | Path, settings: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe and change single values of it.

    Args:
        path: A YAML file, or the name of a recipe shipped with rsseg.
        settings: Changes as ``section.key=value``, the value in YAML.

    Raises:
        RecipeError: If the file is missing or not YAML, or a key or value is wrong.
    """
    file = Path(path)
    shipped = Path(__file__).parent / "recipes" / f"{path}.yaml"
    if not file.is_file() and shipped.is_file():
        file = shipped
    if not file.is_file():
        names = sorted(recipe.stem for recipe in shipped.parent.glob("*.yaml"))
        raise RecipeError(f"there is no recipe {path}", expected=f"a file or {', '.join(names)}")
    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise RecipeError(f"{path} is not a recipe", expected="sections of keys and values")
        for setting in settings:
            _change(values, setting)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not YAML: {error}") from error
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{path}: {_first_problem(error)}") from error


def _change(values: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals:
        raise RecipeError("a setting is incomplete", expected="section.key=value", got=setting)
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise RecipeError(f"'{section}' in {key} is a value, not a section")
    values[last] = yaml.safe_load(text)


def _first_problem(error: ValidationError) -> str:
    """One sentence about the first mistake, with the nearest valid name for a wrong key."""
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"])
    if problem["type"] not in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{place}: {problem['msg']}" if place else problem["msg"]
    near = difflib.get_close_matches(str(problem["loc"][-1]), _keys(problem["loc"][:-1]), n=1)
    return f"unknown key {place}" + (f"; did you mean {near[0]}?" if near else "")


def _keys(section: tuple[int | str, ...]) -> list[str]:
    model: Any = Recipe
    for name in section:
        fields = getattr(model, "model_fields", None)
        if not fields or name not in fields:
            return []
        model = fields[name].annotation
    if hasattr(model, "model_fields"):
        return list(model.model_fields)
    return list(getattr(model, "__dataclass_fields__", {}))
