"""From a recipe to a trained model file."""

from rsseg.training.recipe import Recipe, read_recipe
from rsseg.training.train import TrainingResult, train

__all__ = ["Recipe", "TrainingResult", "read_recipe", "train"]
