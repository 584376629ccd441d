import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rsseg.training.optimising import optimiser_of, rate_factor, schedule_of
from rsseg.training.sections import Optimiser, Schedule

STEPS = 90


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv2d(3, 4, 1)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, images):
        return self.head(self.encoder(images))


FORMULAS = {
    "constant": ({}, lambda t: 1.0),
    "poly": ({"power": 0.9, "final": 0}, lambda t: (1 - t / STEPS) ** 0.9),
    "cosine": ({"final": 0.1}, lambda t: 0.1 + 0.9 * (1 + math.cos(math.pi * t / STEPS)) / 2),
    "step": ({"every": 30, "factor": 0.1, "final": 0}, lambda t: 0.1 ** (t // 30)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_rates_follow_their_formula(name):
    options, formula = FORMULAS[name]
    factor = rate_factor(Schedule(name=name, **options), STEPS)
    assert [factor(t) for t in range(STEPS)] == pytest.approx([formula(t) for t in range(STEPS)])


@pytest.mark.parametrize("name", FORMULAS)
def test_a_warm_up_rises_evenly_and_then_the_schedule_begins(name):
    options, formula = FORMULAS[name]
    factor = rate_factor(Schedule(name=name, warm_up=10, **options), STEPS + 10)
    assert [factor(t) for t in range(10)] == pytest.approx([(t + 1) / 10 for t in range(10)])
    after = [factor(t + 10) for t in range(STEPS)]
    assert after == pytest.approx([formula(t) for t in range(STEPS)])


@given(
    name=st.sampled_from(["cosine", "poly", "step", "constant"]),
    steps=st.integers(1, 50),
    warm_up=st.integers(0, 60),
    final=st.floats(0, 1),
)
def test_rates_stay_within_their_bounds_and_fall_after_the_warm_up(name, steps, warm_up, final):
    every = 3 if name == "step" else None
    factor = rate_factor(Schedule(name=name, warm_up=warm_up, final=final, every=every), steps)
    rates = [factor(t) for t in range(steps + 5)]
    assert all(0 <= rate <= 1 + 1e-12 for rate in rates)
    after = rates[warm_up:]
    assert all(rate >= final - 1e-12 for rate in after)
    assert all(later <= earlier + 1e-12 for earlier, later in zip(after, after[1:], strict=False))


def test_the_encoder_has_its_part_of_the_rate_and_none_while_frozen():
    section = Optimiser(name="sgd", rate=0.5, encoder_factor=0.2)
    optimiser = optimiser_of(section, Network())
    schedule = schedule_of(optimiser, Schedule(name="poly", final=0), STEPS, frozen=7)
    for step in range(STEPS):
        encoder, rest = schedule.get_last_lr()
        expected = 0.5 * (1 - step / STEPS) ** 0.9
        assert rest == pytest.approx(expected)
        assert encoder == pytest.approx(0 if step < 7 else 0.2 * expected)
        optimiser.step()
        schedule.step()


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_every_parameter_is_in_one_group(name):
    section = Optimiser(name=name, weight_decay=0.1, momentum=0.3)
    for network in (Network(), nn.Conv2d(3, 2, 1)):
        optimiser = optimiser_of(section, network)
        groups = [{id(p) for p in group["params"]} for group in optimiser.param_groups]
        assert groups[0].isdisjoint(groups[1])
        assert groups[0] | groups[1] == {id(p) for p in network.parameters()}
        assert all(group["weight_decay"] == 0.1 for group in optimiser.param_groups)
        if name == "sgd":
            assert all(group["momentum"] == 0.3 for group in optimiser.param_groups)


def test_weight_decay_of_adamw_is_decoupled():
    """Without a gradient AdamW shrinks a weight by rate x decay, and Adam's moves by its rate."""
    moved = {}
    for name in ("adamw", "adam"):
        network = nn.Linear(1, 1, bias=False)
        nn.init.constant_(network.weight, 2.0)
        optimiser = optimiser_of(Optimiser(name=name, rate=0.1, weight_decay=0.5), network)
        network.weight.grad = torch.zeros_like(network.weight)
        optimiser.step()
        moved[name] = network.weight.item()
    assert moved == {"adamw": pytest.approx(2 * (1 - 0.05)), "adam": pytest.approx(2 - 0.1)}
