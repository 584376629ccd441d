"""Cards say what the model file says, and call the rest unknown."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rsseg import models
from rsseg.bundle import Bundle, read_bundle
from rsseg.legend import LAND_COVER
from rsseg.model_card import UNKNOWN, model_card
from rsseg.normalise import Normalisation
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL

BARE = Bundle("a net | of mine", LAND_COVER, ("nir",), Normalisation((10_000.0,), (0.1,), (0.2,)))


@pytest.fixture
def card_of(tmp_path: Path):
    """A function that gives the card of a model described so."""

    def make(**changes):
        path = tmp_path / "mine.safetensors"
        models.save(path, torch.nn.Linear(1, 1), dataclasses.replace(BARE, **changes))
        return model_card(path)

    return make


def rows(card: str) -> dict[str, list[str]]:
    """Cells of all tables by their first."""
    lines = [line.strip("|").split(" | ") for line in card.splitlines() if line.startswith("|")]
    return {first.strip(): [cell.strip() for cell in cells] for first, *cells in lines}


def test_the_card_of_the_embedded_model_has_its_numbers():
    bundle, card = read_bundle(EMBEDDED_MODEL), model_card(EMBEDDED_MODEL)
    found = rows(card)
    for known in bundle.legend:
        scores = bundle.scores["classes"][known.name]
        _, colour, iou, _, _, _, pixels = found[str(known.code)]
        assert (colour, float(iou)) == (known.hex, round(scores["iou"], 3))
        assert pixels == f"{scores['pixels']:,}"
    assert found["Trained on"] == [", ".join(bundle.provenance["split"]["train"])]
    assert bundle.provenance["attribution"] in card
    assert f"{bundle.gsd:g} m" in card
    assert "Worst class: road" in card
    assert UNKNOWN not in card.replace("validated on is unknown", "")


def test_what_the_file_does_not_say_is_unknown(card_of):
    card = card_of()
    found = rows(card)
    for told in ("Described in", "Licence", "Mean IoU in validation", "Data", "Trained on", "Seed"):
        assert found[told] == [UNKNOWN], told
    assert found["0"][2:] == [UNKNOWN] * 5
    assert "ground sample distance it was trained at is unknown" in card
    assert "the file holds no scores" in card
    assert "Worst class" not in card


def test_limits_follow_from_the_scores(card_of):
    classes = {name: {"iou": 0.5, "pixels": 10**6} for name in LAND_COVER.names}
    classes["road"] = {"iou": None, "pixels": 0}
    classes["water"] = {"iou": 0.25, "pixels": 900}
    card = card_of(scores={"classes": classes, "miou": 0.4})
    assert "Worst class: water, IoU 0.250" in card
    assert "without a score: road" in card
    assert "fewer than 100,000 pixels: water." in card


def test_texts_cannot_break_the_tables(card_of):
    card = card_of(licence="as I | say,\nnot as I do")
    assert rows(card)["Licence"] == ["as I \\| say, not as I do"]
    assert card.startswith("# a net \\| of mine\n")


def test_tables_are_whole():
    widths, previous = set(), ""
    for line in model_card(EMBEDDED_MODEL).splitlines():
        if not line.startswith("|"):
            assert len(widths) <= 1, previous
            widths = set()
        else:
            widths.add(line.replace("\\|", "").count("|"))
        previous = line


def test_a_card_needs_no_torch():
    code = (
        "import sys; from rsseg.model_card import model_card\n"
        f"model_card({str(EMBEDDED_MODEL)!r})\n"
        "assert not {'torch', 'rasterio', 'safetensors'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
