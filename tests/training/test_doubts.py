"""Values of a recipe that do not go together."""

from __future__ import annotations

from typing import Any

import pytest

from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL
from rsseg.training import Recipe, read_recipe
from rsseg.training.doubts import doubts

PLAIN = {"model.weights": None, "trainer.steps": 1800}


def recipe(**changes: Any) -> Recipe:
    """The embedded model's, from a random start, with changes by dotted key."""
    given = PLAIN | {key.replace("__", "."): value for key, value in changes.items()}
    settings = (f"{key}={'null' if value is None else value}" for key, value in given.items())
    return read_recipe("landcover", tuple(settings))


def test_the_recipe_as_it_stands_raises_none() -> None:
    assert list(doubts(recipe())) == []
    assert list(doubts(recipe(model__weights="embedded"))) == []


CL = {"loss__name": "cl", "loss__options": "{warm_up: 1800}"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"optimiser__freeze_encoder": 1800}, "encoder never learns: freeze_encoder is 1,800, the"),
        ({"optimiser__freeze_encoder": 1799}, None),
        ({"schedule__warm_up": 1801}, "the learning rate is never reached"),
        ({"schedule__warm_up": 1800}, None),
        ({"schedule__name": "step", "schedule__every": 1700}, "the learning rate never drops"),
        ({"schedule__name": "step", "schedule__every": 1699}, None),
        (CL, "the loss stays the cross-entropy: its warm_up is 1,800 batches"),
        (CL | {"optimiser__accumulate": 2}, None),
        ({"data__train": "val"}, "'val' is trained and validated on"),
        (
            {
                "model__weights": EMBEDDED_MODEL,
                "data__normalisation": "{scale: [9, 9, 9], mean: [0, 0, 0], std: [1, 1, 1]}",
            },
            "another mean and deviation",
        ),
        (
            {
                "model__weights": "embedded",
                "data__normalisation": "{scale: [504, 681, 449], mean: [0.5, 0.5, 0.5], "
                "std: [0.5, 0.5, 0.5]}",
            },
            None,
        ),
    ],
)
def test_what_is_likely_not_meant_is_told(changes: dict[str, Any], told: str | None) -> None:
    found = list(doubts(recipe(**changes)))
    assert len(found) == (told is not None)
    assert told is None or told in found[0]


def test_the_auxiliary_loss_may_be_meant_as_well() -> None:
    aux = {"model__aux": "true", "loss__aux": "{name: cl, options: {warm_up: 2000}}"}
    assert ["stays the cross-entropy" in each for each in doubts(recipe(**aux))] == [True]
