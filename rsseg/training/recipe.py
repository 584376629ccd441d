"""Recipes: everything a training run needs, in one YAML file that refuses unknown keys."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError, model_validator

from rsseg.errors import RecipeError, RssegError
from rsseg.legend import Legend
from rsseg.normalise import Normalisation
from rsseg.training.sections import (
    Data,
    Loss,
    Model,
    Optimiser,
    Scaling,
    Schedule,
    Section,
    Trainer,
)
from rsseg.training.shipped import find_recipe, merged_values
from rsseg.training.yaml_text import from_text

__all__ = ["Recipe", "find_recipe", "read_recipe"]

_SHOULD = "Input should be "
_SAID = {
    "tuple_type": "a list, such as [a, b]",
    "path_type": "a path, in quotes where it is a number",
    "string_type": "a text, in quotes where it is a number",
    **dict.fromkeys(("dict_type", "model_type", "dataclass_type"), "keys and values, {key: value}"),
}
"""What pydantic says in Python's words, by its kind of mistake: what the value should be."""
_UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
_MEANT = {"color": "colour", "lr": "rate", "learning_rate": "rate", "max_epochs": "epochs"}
"""Other libraries' names for keys that are spelt otherwise."""


class Recipe(Section):
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
        scaling = self.data.normalisation
        try:
            if isinstance(scaling, Scaling) and len(self.normalisation) != len(self.data.bands):
                raise ValueError(
                    f"{len(self.data.bands)} bands, but {len(self.normalisation)} normalised ones"
                )
            if self.data.classes is not None:
                _ = self.legend
        except RssegError as error:
            raise ValueError(str(error)) from error
        if scaling == "imagenet" and len(self.data.bands) != 3:
            raise ValueError(f"normalisation 'imagenet' is of 3 bands, not {len(self.data.bands)}")
        if self.loss.aux is not None and not self.model.aux:
            raise ValueError("loss.aux is of the auxiliary head, which model.aux adds")
        return self

    @property
    def catalogue(self) -> Path:
        """The table of labelled scenes."""
        return self.data.root / self.data.catalogue

    @property
    def window(self) -> int:
        """Side of the windows in prediction, pixels."""
        return self.model.window or self.data.window

    @property
    def legend(self) -> Legend:
        """Classes of the labels, which must be given."""
        assert self.data.classes is not None
        return Legend.from_json([row.model_dump() for row in self.data.classes])

    @property
    def normalisation(self) -> Normalisation:
        """Scaling of raw values, which must be given in numbers."""
        assert isinstance(self.data.normalisation, Scaling)
        return Normalisation.from_json(self.data.normalisation.model_dump())


def read_recipe(name: str | Path, settings: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe, take a variant of it and change single values.

    Args:
        name: A YAML file, or the name of a recipe shipped with rsseg; with ``:VARIANT`` after it
            one of its variants.
        settings: Changes as ``section.key=value``, the value in YAML.

    Raises:
        RecipeError: If the file or variant is missing or not YAML, or a key or value is wrong.
    """
    values = merged_values(name)
    for setting in settings:
        _change(values, setting)
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{name}: {_first_problem(error)}") from error


def _change(values: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals:
        raise RecipeError("a setting is incomplete", expected="section.key=value", got=setting)
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise RecipeError(f"'{section}' in {key} is a value, not a section")
    try:
        values[last] = from_text(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"the value of the setting {setting} is not YAML: {error}") from error


def _first_problem(error: ValidationError) -> str:
    """One sentence about the first mistake, with the nearest valid name for a wrong key."""
    # an unknown key first: it may stand for one that is missing
    problems = sorted(error.errors(), key=lambda problem: problem["type"] not in _UNKNOWN)
    path = _place(problems[0])
    place = ".".join(map(str, path))
    if problems[0]["type"] not in _UNKNOWN:
        # a value that may be of several kinds has a problem for each
        said = _joined([each for each in problems if _place(each) == path])
        return f"{place}: {said}" if place else said
    near = _near(str(path[-1]), _keys(path[:-1]))
    meant = _MEANT.get(str(path[-1]), path[-1])
    near += [f"{name}.{key}" for name in _keys([]) for key in _keys([name]) if key == meant]
    if near:
        return f"unknown key {place}; did you mean {near[0]}?"
    return f"unknown key {place}, expected {', '.join(_keys(path[:-1]))}"


def _near(key: str, names: list[str]) -> list[str]:
    """The name most like a key, or those that have it as a part, as one text."""
    like = [_MEANT[key]] if _MEANT.get(key) in names else difflib.get_close_matches(key, names, n=1)
    holding = [name for name in names if key in name.split("_")]
    return like or ([" or ".join(holding)] if holding else [])


def _place(problem: Any) -> list[int | str]:
    return [part for part in problem["loc"] if not _is_kind(part)]


def _joined(problems: list[Any]) -> str:
    """What the value of one place should be, or else what is wrong with it."""
    texts = [_SHOULD + _SAID[p["type"]] if p["type"] in _SAID else p["msg"] for p in problems]
    wanted = [text.removeprefix(_SHOULD) for text in texts if text.startswith(_SHOULD)]
    if wanted:
        return f"it should be {', or '.join(dict.fromkeys(wanted))}"
    return str(texts[0]).removeprefix("Value error, ")


def _is_kind(part: int | str) -> bool:
    """Whether a part of a place is no key, but the kind of value that was tried there."""
    return isinstance(part, str) and (part in ("Scaling", "int", "str") or "[" in part)


def _keys(place: list[int | str]) -> list[str]:
    """The keys of a section; a number in its place is one of a list."""
    section: Any = Recipe
    for name in place:
        fields = getattr(section, "model_fields", {})
        if name in fields:
            section = _section_in(fields[name].annotation)
        elif isinstance(name, str):
            return []
    return [*getattr(section, "model_fields", getattr(section, "__dataclass_fields__", ()))]


def _section_in(kind: Any) -> Any:
    """The section that a type is, or is made of; None if there is none."""
    if hasattr(kind, "model_fields") or hasattr(kind, "__dataclass_fields__"):
        return kind
    return next(filter(None, map(_section_in, get_args(kind))), None)
