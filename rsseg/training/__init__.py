"""From a recipe to a trained model file.

- `sections`, `recipe`: what a recipe holds; `shipped`: those that come with rsseg
- `settling`: a recipe with what its data tell
- `samples`, `task`, `loop`, `validation`: one run
- `train`: the tool, and `record`: what it leaves

The names are loaded when first used, so that recipes can be listed without torch.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rsseg.lazy import names_from

if TYPE_CHECKING:
    from rsseg.training.recipe import Recipe, read_recipe
    from rsseg.training.train import TrainingResult, train

__all__ = ["Recipe", "TrainingResult", "read_recipe", "train"]

_HOMES = {
    "Recipe": "recipe",
    "TrainingResult": "train",
    "read_recipe": "recipe",
    "train": "train",
}

__getattr__ = names_from(__name__, _HOMES)


class _Package(ModuleType):
    """This package; ``train`` in it is the tool, also once the module of that name is loaded."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "train" or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
