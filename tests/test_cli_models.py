"""``rsseg models``: text for people, JSON for programs, no torch where none is needed."""

import importlib.util
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from rsseg.catalog import CARDS
from rsseg_cli.main import main

KEYS = {
    *("name", "paper", "parameters", "megabytes", "gmacs"),
    *("paper_parameters_m", "paper_gflops", "note"),
}


def _run(*arguments):
    result = CliRunner().invoke(main, ["models", *arguments])
    return result.exit_code, result.output


def test_the_list_names_every_network_with_its_count():
    code, text = _run("list")
    assert code == 0
    for name, card in CARDS.items():
        assert any(
            line.split()[0] == name and f"{card.setting.parameters:,}" in line
            for line in text.splitlines()
            if line
        )


def test_rows_have_the_papers_figures():
    code, text = _run("list", "--complexity", "--json")
    assert code == 0
    rows = {row["name"]: row for row in json.loads(text)["models"]}
    assert rows.keys() == CARDS.keys()
    assert all(row.keys() >= KEYS for row in rows.values())
    row = rows["deeplabv3plus-resnet50"]
    assert (row["paper_parameters_m"], row["paper_gflops"]) == (39.76, 389.88)
    assert row["gflops"] == pytest.approx(389.880, abs=5e-4)
    assert rows["mst-deeplabv3plus"]["megabytes"] == pytest.approx(22.9610, abs=5e-5)


def test_without_complexity_nothing_is_counted():
    _, text = _run("list", "--json")
    assert {row["gmacs"] for row in json.loads(text)["models"]} == {None}


def test_a_card_shows_options_counts_and_layers():
    code, text = _run("show", "lm-deeplabv3plus")
    assert code == 0
    for part in ("Hou, Chen and Gu", "strip = True: ", "7,202,349", "82.578", "aspp.branches.4"):
        assert part in text
    assert "padded expansion" in text
    _, text = _run("show", "lm-deeplabv3plus", "--json")
    data = json.loads(text)
    assert sum(layer["parameters"] for layer in data["layers"]) == data["parameters"]
    assert data["options"]["strip_gate"]["default"] is None


def test_list_and_show_mean_the_same_by_their_keys():
    rows = json.loads(_run("list", "--complexity", "--json")[1])["models"]
    row = next(row for row in rows if row["name"] == "fcn-dilated-resnet101")
    shown = json.loads(_run("show", "fcn-dilated-resnet101", "--json")[1])
    assert shown.keys() - row.keys() == {"options", "layers"}
    assert {key: shown[key] for key in row} == row
    assert row["paper"] == "NPALoss"
    assert row["reference"].startswith("Feng et al. 2020")


def test_operations_are_said_to_be_of_prediction():
    for arguments in (("list", "--complexity"), ("show", "fcn-dilated-resnet101")):
        assert "of prediction, without auxiliary heads" in _run(*arguments)[1]


def test_a_card_without_torch_says_what_adds_the_rest(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    code, text = _run("show", "lm-deeplabv3plus")
    assert code == 0
    for part in ("Hou, Chen and Gu", "strip: strip pooling", "7,202,349", "padded expansion"):
        assert part in text
    assert text.count("pip install 'rsseg[torch]' adds defaults") == 1
    data = json.loads(_run("show", "lm-deeplabv3plus", "--json")[1])
    assert data["layers"] is None
    code, text = _run("list", "--complexity")
    assert code == 1
    assert "torch is not installed" in text


def test_an_unknown_network_is_one_line():
    code, text = _run("show", "segnet")
    assert code == 2
    assert text.count("\n") == 1
    assert "no network 'segnet'" in text


def test_the_list_needs_no_torch():
    program = (
        "import sys; from click.testing import CliRunner; from rsseg_cli.main import main\n"
        "result = CliRunner().invoke(main, ['models', 'list'])\n"
        "assert result.exit_code == 0, result.output\n"
        "assert not {'torch', 'rasterio', 'timm'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
