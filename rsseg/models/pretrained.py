"""Weights of whole networks from torchvision: trained on COCO with the 21 classes of VOC.

The alpine paper starts DeepLabV3 from them and replaces the last layer.
"""

from __future__ import annotations

import re
from urllib.error import URLError

from timm.models import adapt_input_conv
from torch import nn
from torchvision.models import get_weight

from rsseg.errors import BundleError, OptionError
from rsseg.models.start import COCO, Start, misfit, opened

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
_STEM = "encoder.body.conv1.weight"
_LAST = ("head.classify.", "aux.classify.")
"""Layers with one channel for each class."""


def open_weights(
    weights: str | None, kind: str, encoder: str
) -> tuple[str | Start | None, Start | None]:
    """What the encoder starts from, and what the whole network does; one of them is None.

    Args:
        weights: See `rsseg.models.create`.
        kind: ``deeplabv3`` or ``fcn``.
        encoder: timm name of its encoder.

    Raises:
        OptionError: If torchvision has no such network.
        BundleError: If the weights cannot be had.
    """
    start = None if weights == COCO else opened(weights)
    torchvisions = isinstance(start, Start) and any(
        name.startswith("backbone.") for name in start.tensors
    )
    if weights != COCO and not torchvisions:
        return start, None
    if (kind, encoder) not in _ENTRIES:
        raise OptionError(
            f"there are no whole-network weights for {kind} on {encoder}",
            expected=" or ".join(f"{kind} on {name}" for each, name in _ENTRIES if each == kind),
        )
    return None, start if isinstance(start, Start) else _from_hub(_ENTRIES[kind, encoder])


def load_whole_network(network: nn.Module, kind: str, encoder: str, start: Start) -> None:
    """Start a network from torchvision's, its last layers aside unless they have as many classes.

    Args:
        network: From `rsseg.models.heads.deeplabv3` or `fcn`.
        kind: ``deeplabv3`` or ``fcn``.
        encoder: timm name of its encoder.
        start: Tensors in torchvision's layout.

    Raises:
        BundleError: If they do not fit.
    """
    wanted = {name: value.shape for name, value in network.state_dict().items()}
    tensors = {_renamed(name, kind): tensor for name, tensor in start.tensors.items()}
    stem = tensors.get(_STEM)
    if stem is not None and stem.ndim == 4 and stem.shape[1] == 3:
        tensors[_STEM] = adapt_input_conv(wanted[_STEM][1], stem)
    auxiliary = [name for name in tensors if name.startswith("aux.")]
    for name in (*wanted, *auxiliary):
        last = name.startswith(_LAST) and name in tensors
        if last and tensors[name].shape != wanted.get(name):
            del tensors[name]
    needed = {
        name: shape
        for name, shape in wanted.items()
        if name in tensors or not name.startswith((*_LAST, "aux."))
    }
    reason = misfit(Start(start.source, tensors), needed, auxiliary)
    if reason:
        raise BundleError(f"the weights in {start.source} do not fit {kind} on {encoder}: {reason}")
    network.load_state_dict(
        {name: tensor for name, tensor in tensors.items() if name in wanted}, strict=False
    )


def _renamed(name: str, kind: str) -> str:
    for pattern, ours in (*_NAMES[kind], *_AUX_NAMES):
        renamed, count = re.subn(f"^{pattern}", ours, name)
        if count:
            return renamed
    return name


def _from_hub(entry: str) -> Start:
    weights = get_weight(entry)
    try:
        return Start(entry, dict(weights.get_state_dict(progress=False, check_hash=True)))
    except (URLError, OSError) as error:
        raise BundleError(
            f"the weights {entry} cannot be downloaded: {error}",
            remedy=f"download {weights.url} elsewhere and pass the file's path",
        ) from error
