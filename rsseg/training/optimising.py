"""Optimisers and their learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from rsseg.training.sections import Optimiser, Schedule


def optimiser_of(section: Optimiser, network: nn.Module) -> torch.optim.Optimizer:
    """An optimiser with two groups of parameters: the encoder's, if there is one, and the rest."""
    encoder = getattr(network, "encoder", None)
    inner = {id(p) for p in encoder.parameters()} if isinstance(encoder, nn.Module) else set()
    parameters = list(network.parameters())
    groups: list[dict[str, Any]] = [
        {
            "params": [p for p in parameters if id(p) in inner],
            "lr": section.rate * section.encoder_factor,
        },
        {"params": [p for p in parameters if id(p) not in inner]},
    ]
    common: dict[str, Any] = {"lr": section.rate, "weight_decay": section.weight_decay}
    if section.name == "sgd":
        return torch.optim.SGD(groups, momentum=section.momentum, **common)
    kind = torch.optim.AdamW if section.name == "adamw" else torch.optim.Adam
    return kind(groups, **common)


def schedule_of(
    optimiser: torch.optim.Optimizer, section: Schedule, steps: int, frozen: int
) -> LambdaLR:
    """The learning rates of both groups by step.

    Args:
        optimiser: What `optimiser_of` gave.
        section: How the rate changes.
        steps: Steps of the run.
        frozen: Steps in which the encoder does not learn.
    """
    factor = rate_factor(section, steps)

    def encoder_factor(step: int) -> float:
        return 0.0 if step < frozen else factor(step)

    return LambdaLR(optimiser, [encoder_factor, factor])


def rate_factor(section: Schedule, steps: int) -> Callable[[int], float]:
    """The part of the full learning rate that each step, counted from 0, has."""

    def factor(step: int) -> float:
        if step < section.warm_up:
            return (step + 1) / section.warm_up
        since = step - section.warm_up
        done = min(since / max(1, steps - section.warm_up), 1.0)
        if section.name == "cosine":
            return section.final + (1 - section.final) * (1 + math.cos(math.pi * done)) / 2
        if section.name == "poly":
            return max(section.final, math.pow(1 - done, section.power))
        if section.name == "step":
            return max(section.final, math.pow(section.factor, since // (section.every or 1)))
        return 1.0

    return factor
