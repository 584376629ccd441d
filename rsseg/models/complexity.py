"""What a network costs: parameters, multiply-accumulates, operations as the papers count them.

Parameters are those of training, with an auxiliary head where there is one. Multiply-accumulates
and operations are those of prediction, which leaves auxiliary heads out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from timm.models.resnet import Bottleneck
from torch import Tensor, nn

from rsseg.catalog import Card
from rsseg.models import create
from rsseg.models.backbones import Backbone


@dataclass(frozen=True)
class Layer:
    """One part of a network.

    Args:
        name: Dotted path in the network.
        shapes: Shapes ``(C, h, w)`` of what it gives for one image; none for an auxiliary head.
        parameters: Trainable numbers.
        macs: Multiply-accumulates of its convolutions for one image, none for an auxiliary head.
    """

    name: str
    shapes: tuple[tuple[int, ...], ...]
    parameters: int
    macs: int


@dataclass(frozen=True)
class Complexity:
    """Cost of a network for one image.

    Args:
        parameters: Trainable numbers, auxiliary heads' too; running statistics do not count.
        macs: Multiply-accumulates of convolutions in prediction, so without auxiliary heads.
        operations: The "FLOPs" of the LM-DeepLabV3+ paper, which are the rules of its tool
            (torchstat): multiply-accumulates of convolutions and one for each biased output, two
            for each value normalised, one for each through a ReLU module, one for each input of a
            pooling with a kernel; nothing for the rest. A module called twice counts its last call,
            hence a ResNet bottleneck, where the tool's network shares one ReLU, counts one.
            Of prediction too.
        layers: The parts that have parameters.
    """

    parameters: int
    macs: int
    operations: int
    layers: tuple[Layer, ...]

    @property
    def megabytes(self) -> float:
        """Size of the parameters in 32 bits, in MiB as the papers have it."""
        return self.parameters * 4 / 2**20


def complexity(network: nn.Module, bands: int, height: int, width: int) -> Complexity:
    """Count a network's cost for one image of a size, in evaluation mode: no auxiliary head runs.

    It takes no time on a network made under ``torch.device("meta")``.
    """
    macs: dict[nn.Module, int] = {}
    operations: dict[nn.Module, int] = {}
    shapes: dict[nn.Module, tuple[tuple[int, ...], ...]] = {}
    uncounted = {
        act
        for block in network.modules()
        if isinstance(block, Bottleneck)
        for act in (block.act1, block.act2)
    }

    def see(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        outputs = [output] if isinstance(output, Tensor) else list(output)
        shapes.pop(module, None)  # parts stand in the order of their last call
        shapes[module] = tuple(tuple(each.shape[1:]) for each in outputs)
        if isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
            macs[module] = _macs(module, inputs[0], output)
            if module not in uncounted:
                operations[module] = _operations(module, inputs[0], output)

    hooks = [module.register_forward_hook(see) for module in network.modules()]
    was_training = network.training
    device = next(network.parameters()).device
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, bands, height, width, device=device))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return Complexity(
        parameters=_parameters(network),
        macs=sum(macs.values()),
        operations=sum(operations.values()),
        layers=tuple(
            Layer(
                name,
                shapes.get(part, ()),
                _parameters(part),
                sum(macs.get(each, 0) for each in part.modules()),
            )
            for name, part in _parts(network)
            if _parameters(part)
        ),
    )


def of_card(card: Card) -> Complexity:
    """The cost of a card's network in the setting of its paper's count."""
    setting = card.setting
    with torch.device("meta"):
        network = create(card.name, classes=setting.classes, **dict(setting.options))
    return complexity(network, 3, card.side, card.side)


def _macs(module: nn.Module, inputs: Tensor, output: Tensor) -> int:
    if isinstance(module, nn.ConvTranspose2d):
        return inputs.numel() * math.prod(module.weight.shape[1:])
    if isinstance(module, nn.Conv2d):
        return output.numel() * math.prod(module.weight.shape[1:])
    return 0


def _operations(module: nn.Module, inputs: Tensor, output: Tensor) -> int:
    match module:
        case nn.Conv2d() | nn.ConvTranspose2d():
            biased = output.numel() if module.bias is not None else 0
            return _macs(module, inputs, output) + biased
        case nn.BatchNorm2d():
            return 2 * inputs.numel()
        case nn.ReLU() | nn.ReLU6():
            return output.numel()
        case nn.MaxPool2d() | nn.AvgPool2d():
            return inputs.numel()
    return 0


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def _parts(network: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The parts a card lists, two levels deep; an encoder from timm is one."""
    for name, part in network.named_children():
        path = f"{prefix}{name}"
        opened = isinstance(part, nn.ModuleList) or not (prefix or _is_one(part))
        if opened:
            yield from _parts(part, f"{path}.")
        else:
            yield path, part


def _is_one(part: nn.Module) -> bool:
    """Whether a part is an encoder, a convolution with what follows it, or a single layer."""
    unit = isinstance(part, nn.Sequential) and isinstance(part[0], nn.Conv2d)
    return unit or isinstance(part, Backbone) or not list(part.children())
