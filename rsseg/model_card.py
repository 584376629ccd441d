"""Cards of model files in Markdown: what people should know who take a model from others.

A card says what the file says. What the file does not say, the card calls unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rsseg.bundle import GRAPH_SCALE, Bundle, read_bundle
from rsseg.catalog import CARDS, PAPERS

UNKNOWN = "unknown"
_FEW = 100_000
"""Pixels of a class that validation saw, below which its scores say little."""


def model_card(path: str | Path) -> str:
    """The card of a model file, as Markdown.

    Args:
        path: ``.safetensors`` or ``.onnx``.

    Raises:
        BundleError: If it is no model file of rsseg.
    """
    bundle, name = read_bundle(path), Path(path).name
    sections = {
        "": _summary(bundle, name),
        "Input": _input(bundle),
        "Classes and scores": _classes(bundle),
        "Training": _training(bundle),
        "Known limits": [f"- {limit}" for limit in _limits(bundle)],
        "Use": _use(bundle, name),
        "Licence": _licence(bundle),
    }
    title = _cell(bundle.provenance.get("title") or bundle.architecture)
    lines = [f"# {title}"]
    for heading, body in sections.items():
        lines += ["", *([f"## {heading}", ""] if heading else []), *body]
    return "\n".join(lines) + "\n"


def _summary(bundle: Bundle, name: str) -> list[str]:
    card = CARDS.get(bundle.architecture)
    network = f"{bundle.architecture}: {card.summary}" if card else bundle.architecture
    rows = [
        ("Maps", ", ".join(bundle.legend.names)),
        ("Network", network),
        ("Described in", PAPERS[card.paper] if card else UNKNOWN),
        ("Mean IoU in validation", _number(bundle.scores.get("miou"))),
        ("Licence", bundle.licence or UNKNOWN),
    ]
    return [
        f"`{name}` is a network that gives each pixel of an aerial or satellite scene a class.",
        "",
        *_table(("", ""), rows),
    ]


def _input(bundle: Bundle) -> list[str]:
    scaling = bundle.normalisation
    bands = _table(
        ("band", "raw value that counts as 1", "mean", "standard deviation"),
        [
            (name, f"{scale:g}", f"{mean:.4g}", f"{std:.4g}")
            for name, scale, mean, std in zip(
                bundle.bands, scaling.scale, scaling.mean, scaling.std, strict=True
            )
        ],
    )
    gsd = UNKNOWN if bundle.gsd is None else f"{bundle.gsd:g} m per pixel"
    return [
        *bands,
        "",
        "Raw values are divided by the first number, less the mean, divided by the standard "
        "deviation.",
        *_inside(bundle),
        "",
        f"- Ground sample distance: {gsd}",
        f"- Windows: {bundle.window} x {bundle.window} pixels",
    ]


def _inside(bundle: Bundle) -> list[str]:
    if bundle.output == "logits":
        return []
    return [
        "The graph of this file does that itself: it takes raw values divided by "
        f"{GRAPH_SCALE:g} and gives probabilities.",
    ]


def _classes(bundle: Bundle) -> list[str]:
    scores = bundle.scores.get("classes", {})
    columns = ("iou", "f1", "precision", "recall")
    rows = []
    for known in bundle.legend:
        row = scores.get(known.name, {})
        pixels = row.get("pixels")
        seen = UNKNOWN if pixels is None else f"{pixels:,}"
        told = [_number(row.get(column)) for column in columns]
        rows.append((str(known.code), known.name, known.hex, *told, seen))
    names = ("code", "class", "colour", "IoU", "F1", "precision", "recall", "pixels")
    whole = [
        f"{title} {_number(bundle.scores.get(key))}"
        for key, title in (
            ("miou", "mean IoU"),
            ("oa", "overall accuracy"),
            ("f1", "mean F1"),
            ("kappa", "kappa"),
        )
    ]
    return [
        *_table(names, rows),
        "",
        f"All classes: {', '.join(whole)}. Measured on the validation scenes, 0-1; pixels are "
        "those of the labels.",
    ]


def _training(bundle: Bundle) -> list[str]:
    told = bundle.provenance
    split = told.get("split") or {}
    recipe = told.get("recipe") or {}
    seconds = told.get("training_seconds")
    rows = [
        ("Data", told.get("attribution") or UNKNOWN),
        ("Trained on", _groups(split.get("train"))),
        ("Validated on", _groups(split.get("validation"))),
        ("Loss", (recipe.get("loss") or {}).get("name") or UNKNOWN),
        ("Steps", (recipe.get("trainer") or {}).get("steps") or UNKNOWN),
        ("Windows in a step", (recipe.get("data") or {}).get("batch_size") or UNKNOWN),
        ("Seed", told.get("seed", UNKNOWN)),
        ("Time", UNKNOWN if seconds is None else f"{float(seconds) / 60:.0f} minutes"),
        ("By", f"rsseg {told['rsseg']}" if told.get("rsseg") else UNKNOWN),
    ]
    return _table(("", ""), [(key, str(value)) for key, value in rows])


def _limits(bundle: Bundle) -> Iterator[str]:
    """What follows from the numbers in the file, and no more."""
    scores = bundle.scores.get("classes", {})
    known = {name: row["iou"] for name, row in scores.items() if row.get("iou") is not None}
    if known:
        worst = min(known, key=lambda name: known[name])
        yield f"Worst class: {worst}, IoU {known[worst]:.3f} in validation."
        yield "Weights chosen by their validation scores do a little better there than elsewhere."
    unseen = [name for name in bundle.legend.names if known and name not in known]
    if unseen:
        yield f"Not in the validation scenes, so without a score: {', '.join(unseen)}."
    few = [name for name, row in scores.items() if 0 < (row.get("pixels") or 0) < _FEW]
    if few:
        yield f"Scored on fewer than {_FEW:,} pixels: {', '.join(few)}."
    yield (
        "How it does on places, seasons and sensors other than those it was validated on is "
        "unknown."
        if known
        else "How well it does is unknown: the file holds no scores."
    )
    if bundle.gsd is None:
        yield "The ground sample distance it was trained at is unknown."
    else:
        yield (
            f"Scenes of another ground sample distance than {bundle.gsd:g} m show objects in "
            "another size; `--rescale` predicts at its own."
        )
    scales = sorted({f"{scale:g}" for scale in bundle.normalisation.scale}, key=float)
    yield (
        f"Scenes have to come in values up to about {' or '.join(scales)}; "
        "`--stretch p2,p98` fits others."
    )


def _use(bundle: Bundle, name: str) -> list[str]:
    bands = ", ".join(bundle.bands)
    return [
        "```",
        "pip install rsseg" if bundle.output == "probabilities" else "pip install 'rsseg[torch]'",
        f"rsseg predict scene.tif --model {name} --out landcover.tif",
        "```",
        "",
        f"The scene needs the bands {bands}; they are found by name, or named by `--bands`.",
    ]


def _licence(bundle: Bundle) -> list[str]:
    attribution = bundle.provenance.get("attribution")
    return [
        f"Weights: {bundle.licence or UNKNOWN}",
        "",
        f"Attribution: {_cell(attribution) if attribution else UNKNOWN}",
    ]


def _groups(names: Sequence[str] | None) -> str:
    if not names:
        return UNKNOWN
    some = ", ".join(map(str, names[:12]))
    return some if len(names) <= 12 else f"{some} and {len(names) - 12} more"


def _number(value: Any) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [heading, ["---"] * len(heading), *rows]
    return [f"| {' | '.join(map(_cell, line))} |" for line in lines]


def _cell(text: str) -> str:
    """The text in one line that does not end its cell."""
    return " ".join(str(text).split()).replace("|", "\\|")
