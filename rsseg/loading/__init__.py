"""Windows of labelled scenes as torch samples, and their augmentation."""

from rsseg.loading.augmentation import Augmentation, Augmenter
from rsseg.loading.dataset import WindowDataset
from rsseg.loading.loader import Epochs, batches

__all__ = ["Augmentation", "Augmenter", "Epochs", "WindowDataset", "batches"]
