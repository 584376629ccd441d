"""Weights of whole networks from torchvision: trained on COCO with the 21 classes of VOC.

The alpine paper starts DeepLabV3 from them and replaces the last layer.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.error import URLError

import torch
from timm.models import adapt_input_conv
from torch import Tensor, nn
from torchvision.models import get_weight

from rsseg.errors import BundleError, OptionError

COCO = "coco"
_ENTRIES = {
    ("deeplabv3", "resnet50"): "DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1",
    ("deeplabv3", "resnet101"): "DeepLabV3_ResNet101_Weights.COCO_WITH_VOC_LABELS_V1",
    ("fcn", "resnet50"): "FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1",
    ("fcn", "resnet101"): "FCN_ResNet101_Weights.COCO_WITH_VOC_LABELS_V1",
}
_NAMES = {
    "deeplabv3": [
        (r"backbone\.", r"encoder.body."),
        (r"classifier\.0\.convs\.4\.1\.", r"head.aspp.branches.4.project.0."),
        (r"classifier\.0\.convs\.4\.2\.", r"head.aspp.branches.4.project.1."),
        (r"classifier\.0\.convs\.", r"head.aspp.branches."),
        (r"classifier\.0\.project\.", r"head.merge."),
        (r"classifier\.1\.", r"head.fuse.0."),
        (r"classifier\.2\.", r"head.fuse.1."),
        (r"classifier\.4\.", r"head.classify."),
    ],
    "fcn": [
        (r"backbone\.", r"encoder.body."),
        (r"classifier\.([01])\.", r"head.reduce.\1."),
        (r"classifier\.4\.", r"head.classify."),
    ],
}
_AUX_NAMES = [
    (r"aux_classifier\.([01])\.", r"aux.reduce.\1."),
    (r"aux_classifier\.4\.", r"aux.classify."),
]
_LAST = ("head.classify.", "aux.classify.")
"""Layers with one channel for each class."""
_OPTIONAL = (*_LAST, "aux.")


def is_whole_network(weights: str | None) -> bool:
    """Whether weights are of a whole network: ``"coco"``, or a file in torchvision's layout."""
    if weights == COCO:
        return True
    if weights is None or Path(weights).suffix != ".pth" or not Path(weights).is_file():
        return False
    return any(name.startswith("backbone.") for name in _read(weights))


def load_whole_network(network: nn.Module, kind: str, encoder: str, weights: str) -> None:
    """Start a network from torchvision's, its last layers aside unless they have as many classes.

    Args:
        network: From `rsseg.models.heads.deeplabv3` or `fcn`.
        kind: ``deeplabv3`` or ``fcn``.
        encoder: timm name of its encoder.
        weights: ``"coco"`` for the hub's, or the path of the hub's file.

    Raises:
        OptionError: If torchvision has no such network.
        BundleError: If the weights cannot be had or do not fit.
    """
    if (kind, encoder) not in _ENTRIES:
        raise OptionError(
            f"there are no whole-network weights for {kind} on {encoder}",
            expected=" or ".join(f"{kind} on {name}" for each, name in _ENTRIES if each == kind),
        )
    found = _from_hub(_ENTRIES[kind, encoder]) if weights == COCO else _read(weights)
    wanted = network.state_dict()
    start = {}
    for theirs, tensor in found.items():
        name = _renamed(theirs, kind)
        if name == "encoder.body.conv1.weight":
            tensor = adapt_input_conv(wanted[name].shape[1], tensor)
        if name not in wanted:
            continue
        if wanted[name].shape == tensor.shape or not name.startswith(_LAST):
            start[name] = tensor
    missing = [name for name in wanted.keys() - start.keys() if not name.startswith(_OPTIONAL)]
    try:
        if missing:
            raise RuntimeError(f"{min(missing)} is missing")
        network.load_state_dict(start, strict=False)
    except RuntimeError as error:
        raise BundleError(
            f"the weights {weights} do not fit {kind} on {encoder}: {error}"
        ) from error


def _renamed(name: str, kind: str) -> str:
    for pattern, ours in (*_NAMES[kind], *_AUX_NAMES):
        renamed, count = re.subn(f"^{pattern}", ours, name)
        if count:
            return renamed
    return name


def _read(path: str) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling fails in many ways
        raise BundleError(f"{path} is no file of weights: {error}") from error
    return tensors


def _from_hub(entry: str) -> dict[str, Tensor]:
    weights = get_weight(entry)
    try:
        tensors: dict[str, Tensor] = dict(weights.get_state_dict(progress=False, check_hash=True))
    except (URLError, OSError) as error:
        raise BundleError(
            f"the weights {entry} cannot be downloaded: {error}",
            remedy=f"download {weights.url} elsewhere and pass the file's path",
        ) from error
    return tensors
