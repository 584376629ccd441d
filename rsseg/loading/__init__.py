"""Windows of labelled scenes as torch samples, and their augmentation."""

from rsseg.loading.augmentation import Augmentation, augmenter
from rsseg.loading.dataset import WindowDataset

__all__ = ["Augmentation", "WindowDataset", "augmenter"]
