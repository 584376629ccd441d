"""``rsseg models``: the networks there are, what they cost, what their papers printed."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from . import helpers

if TYPE_CHECKING:
    from rsseg.catalog import Card

_PREDICTION = "operations are of prediction, without auxiliary heads; parameters are with them"


@click.group("models")
def group() -> None:
    """The networks that rsseg trains."""


@group.command("list")
@click.option("--complexity", is_flag=True, help="Also count operations (needs torch).")
@helpers.output_options
def list_models(complexity: bool, quiet: bool, as_json: bool) -> None:
    """List all networks beside their papers' figures."""
    from rsseg.catalog import CARDS

    rows = [_row(card) for card in CARDS.values()]
    if complexity:
        _require_torch()
        from rsseg.models.complexity import of_card

        for row, card in zip(rows, CARDS.values(), strict=True):
            cost = of_card(card)
            row |= {"gmacs": cost.macs / 1e9, "gflops": cost.operations / 1e9}
    text = "\n".join([helpers.table(*_columns(rows, complexity)), "", *_legend(complexity)])
    helpers.report(text, {"models": rows}, quiet=quiet, as_json=as_json)


@group.command("show")
@click.argument("name")
@helpers.output_options
def show(name: str, quiet: bool, as_json: bool) -> None:
    """Tell all about the network NAME: structure, options, counts, layers."""
    from rsseg.catalog import card

    shown = card(name)
    row = _row(shown)
    options: dict[str, dict[str, Any]] = {
        key: {"meaning": meaning} for key, meaning in shown.options.items()
    }
    layers: list[dict[str, Any]] | None = None
    if _lacks_torch() is None:
        from rsseg.models import defaults
        from rsseg.models.complexity import of_card

        for key, default in defaults(name).items():
            options[key]["default"] = default
        cost = of_card(shown)
        row |= {"gmacs": cost.macs / 1e9, "gflops": cost.operations / 1e9}
        layers = [dataclasses.asdict(layer) for layer in cost.layers]
    text = "\n".join(_page(row, options, layers))
    helpers.report(text, row | {"options": options, "layers": layers}, quiet=quiet, as_json=as_json)


def _page(
    row: dict[str, Any], options: dict[str, dict[str, Any]], layers: list[dict[str, Any]] | None
) -> list[str]:
    """What `show` prints; without layers where torch is not there to count them."""
    lines = [f"{row['name']}: {row['summary']}", f"from {row['reference']}", ""]
    for key, each in options.items():
        default = f" = {each['default']}" if "default" in each else ""
        lines.append(f"{key}{default}: {each['meaning']}")
    lines += ["", f"counted with {_setting(row)}:", helpers.table(*_columns([row], bool(layers)))]
    if layers and row["setting"].get("aux"):
        lines.append(_PREDICTION)
    if row["note"]:
        lines.append(f"note: {row['note']}")
    lines.append("")
    if layers is None:
        return [*lines, "pip install 'rsseg[torch]' adds defaults, operations and layers"]
    return [*lines, helpers.table(("part", "gives", "parameters", "GMACs"), map(_cells, layers))]


def _cells(layer: dict[str, Any]) -> Sequence[str]:
    shapes = ", ".join("x".join(map(str, shape)) for shape in layer["shapes"])
    return (
        layer["name"],
        shapes or "(training)",
        f"{layer['parameters']:,}",
        f"{layer['macs'] / 1e9:.3f}",
    )


def _row(card: Card) -> dict[str, Any]:
    from rsseg.catalog import PAPERS

    setting = card.setting
    return {
        "name": card.name,
        "paper": card.paper,
        "reference": PAPERS[card.paper],
        "summary": card.summary,
        "classes": setting.classes,
        "side": card.side,
        "setting": dict(setting.options),
        "parameters": setting.parameters,
        "megabytes": setting.parameters * 4 / 2**20,
        "gmacs": None,
        "gflops": None,
        "paper_parameters_m": card.published.parameters_m,
        "paper_megabytes": card.published.megabytes,
        "paper_gflops": card.published.gflops,
        "note": card.note,
    }


def _columns(
    rows: list[dict[str, Any]], complexity: bool
) -> tuple[tuple[str, ...], list[Sequence[str]]]:
    """Heading and cells of the table of networks."""
    heading = ("name", "paper", "parameters", "paper (M)", "MB", "paper (MB)")
    cells: list[Sequence[str]] = [
        (
            row["name"],
            row["paper"],
            f"{row['parameters']:,}",
            _number(row["paper_parameters_m"], 2),
            f"{row['megabytes']:.2f}",
            _number(row["paper_megabytes"], 2),
        )
        for row in rows
    ]
    if not complexity:
        return heading, cells
    more = [
        (
            f"{row['gmacs']:.3f}",
            f"{row['gflops']:.3f}",
            _number(row["paper_gflops"], 2),
            f"{row['side']}",
        )
        for row in rows
    ]
    return (*heading, "GMACs", "GFLOPs", "paper (G)", "side"), [
        (*a, *b) for a, b in zip(cells, more, strict=True)
    ]


def _legend(complexity: bool) -> list[str]:
    lines = ["MB are of 32-bit parameters; `rsseg models show NAME` tells the setting of a count."]
    if complexity:
        lines.append(
            "GMACs: multiply-accumulates of the convolutions for one image of side x side pixels; "
            "GFLOPs: as the LM paper counts, one for each of them and for biases, pooling and ReLU."
        )
        lines.append(f"{_PREDICTION[0].upper()}{_PREDICTION[1:]}.")
    return lines


def _setting(row: dict[str, Any]) -> str:
    options = "".join(f", {key} {value}" for key, value in row["setting"].items())
    return f"{row['classes']} classes{options}, {row['side']} x {row['side']} pixels"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _require_torch() -> None:
    from rsseg.errors import MissingExtra

    package = _lacks_torch()
    if package:
        raise MissingExtra(package, "torch")


def _lacks_torch() -> str | None:
    """The package of the extra that is not installed, if any."""
    missing = (name for name in ("torch", "timm") if importlib.util.find_spec(name) is None)
    return next(missing, None)
