"""Windows of labelled scenes as torch samples, and their augmentation."""

from rsseg.loading.augmentation import Augmentation, Augmenter
from rsseg.loading.dataset import WindowDataset

__all__ = ["Augmentation", "Augmenter", "WindowDataset"]
