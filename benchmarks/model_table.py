"""The table of networks in docs/networks.md: the papers' figures beside ours, in Markdown.

Parameters are those of training, with an auxiliary head where the last column says so; operations
are those of prediction, which leaves auxiliary heads out.
"""

from __future__ import annotations

from typing import Any

import torch

from rsseg.catalog import CARDS, Card
from rsseg.models import create
from rsseg.models.complexity import Complexity, complexity, of_card

SWITCHES = ("strip", "eca", "epsa")
HEADING = (
    *("network", "paper", "parameters", "paper, M", "MB", "paper, MB"),
    *("GMACs to predict", "GFLOPs to predict", "paper, G", "parameters counted with"),
)


def main() -> None:
    """Print the table and what its figures differ by."""
    print("\n".join(table()))


def table() -> list[str]:
    """Lines of the table, then one for each note."""
    lines = [_line(HEADING), _line("---" for _ in HEADING)]
    lines += [_line(_cells(card)) for card in CARDS.values()]
    notes: dict[str, list[str]] = {}
    for card in CARDS.values():
        if card.note:
            notes.setdefault(card.note, []).append(f"`{card.name}`")
    lines += ["", *(f"- {', '.join(names)}: {note}." for note, names in notes.items())]
    return [*lines, "", *_ablation()]


def _ablation() -> list[str]:
    """LM-DeepLabV3+ with single additions, at 19 classes."""
    lines = [_line(("LM-DeepLabV3+", "parameters", "GFLOPs at 1/8", "GFLOPs at 1/16"))]
    lines.append(_line("---" for _ in range(4)))
    for chosen in ((), ("strip",), ("eca",), ("epsa",), ("strip", "eca"), ("strip", "epsa"), None):
        switches = {} if chosen is None else {key: key in chosen for key in SWITCHES}
        costs = [_lm_cost(switches, output_stride) for output_stride in (8, 16)]
        name = "all" if chosen is None else " + ".join(chosen) or "none (DeepLabV3+)"
        figures = (f"{cost.operations / 1e9:.2f}" for cost in costs)
        lines.append(_line((name, f"{costs[0].parameters:,}", *figures)))
    return lines


def _lm_cost(switches: dict[str, bool], output_stride: int) -> Complexity:
    with torch.device("meta"):
        network = create(
            "lm-deeplabv3plus", classes=19, output_stride=output_stride, **dict[str, Any](switches)
        )
    return complexity(network, 3, 768, 768)


def _cells(card: Card) -> list[str]:
    cost, setting, paper = of_card(card), card.setting, card.published
    options = [f"{setting.classes} classes", f"{card.side} px"]
    if "output_stride" in setting.options:
        options.append(f"1/{setting.options['output_stride']}")
    if setting.options.get("aux"):
        options.append("auxiliary head")
    return [
        f"`{card.name}`",
        card.paper,
        f"{cost.parameters:,}",
        _printed(paper.parameters_m),
        f"{cost.megabytes:.2f}",
        _printed(paper.megabytes),
        f"{cost.macs / 1e9:.2f}",
        f"{cost.operations / 1e9:.2f}",
        _printed(paper.gflops),
        ", ".join(options),
    ]


def _printed(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.2f}"


def _line(cells: object) -> str:
    return f"| {' | '.join(cells)} |"  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
