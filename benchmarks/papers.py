"""The papers' comparisons on real Gaofen-2 patches: MST-DeepLabV3+'s parts, and eight losses.

Trains what is missing of the table into run folders, then writes ``papers.md`` from those that are
there. Broken off, the same command goes on from the last checkpoint. All rows have one budget.

    python benchmarks/papers.py RUNS --gid GID_MTL5 --weights ENCODER.safetensors --reduced  # a CPU
    python benchmarks/papers.py RUNS --gid GID_MTL5 --weights ENCODER.safetensors            # a GPU
    python benchmarks/papers.py RUNS --table --reduced      # the table alone, from what is there

``--gid`` is the folder ``GID-MTL5`` of https://github.com/XiangtaoZheng/GID-MTL (for research),
``--weights`` the encoder's ImageNet weights in timm's layout, that take ``x / 127.5 - 1``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from papers_tables import BASE, PRETRAINED, ROWS, write
from run_tables import SPLITS, Budget, complete, parser_of

from rsseg.data.catalogue import Catalogue
from rsseg.data.datasets.class_tables import write_classes
from rsseg.data.datasets.folder import FolderOptions, prepare_folder
from rsseg.data.datasets.gid import Gid
from rsseg.data.splits import assign_splits
from rsseg.data.tables import write_catalogue
from rsseg.errors import RssegError
from rsseg.training.recipe import Recipe, read_recipe

OUT = Path(__file__).with_name("papers.md")
SHARES = {SPLITS[0]: 0.75, SPLITS[1]: 0.05, SPLITS[2]: 0.2}

FULL = Budget(steps=6000, batch=8, seeds=(0, 1, 2), device="auto", workers=8)
"""100 passes over some 480 patches, the MST paper's; the NPALoss paper has 5,000 steps."""
REDUCED = Budget(steps=600, batch=4, seeds=(0,), device="cpu", workers=0)

LOSSES: Mapping[str, dict[str, Any]] = {
    "weighted": {"name": "cross-entropy", "class_weights": "median-frequency"},
    "focal": {"name": "focal", "options": {"gamma": 2.0}},
    "dice": {"name": "dice"},
    "iou": {"name": "iou"},
    "lovasz": {"name": "lovasz-softmax"},
    "cl": {"name": "cl"},
    "npa": {
        "name": "npa",
        "options": {"search_region": 32, "transform": "log10", "offset": 0.5},
    },
}


def main() -> None:
    """Train what is missing, then write the table."""
    parser = parser_of(__doc__, OUT)
    parser.add_argument("--gid", type=Path, help="folder GID-MTL5 as published")
    options = parser.parse_args()
    budget, folder = (REDUCED, "reduced") if options.reduced else (FULL, "full")
    data, folder = options.runs / "gid", options.runs / folder
    if not options.table:
        if options.weights is None:
            parser.error("training needs --weights")
        if not (data / "catalogue.csv").exists():
            if options.gid is None:
                parser.error(f"preparing {data} needs --gid")
            prepare(options.gid, data)
        for seed in budget.seeds:
            for row in ROWS:
                recipe = recipe_of(row, budget, seed, data, options.weights)
                out = folder / row / f"seed_{seed}"
                complete(recipe, out, f"{row}, seed {seed}")
                write(options.out, folder, budget, reduced=options.reduced)
    write(options.out, folder, budget, reduced=options.reduced)


def prepare(source: Path, target: Path) -> None:
    """The patches as a catalogue, with splits that keep neighbours by number together.

    Which Gaofen-2 scene a patch is of is not told, but patches of near numbers look alike.
    """
    target.mkdir(parents=True, exist_ok=True)
    legend = target / "legend.csv"
    write_classes(legend, Gid.legend)
    options = FolderOptions(
        images=("image/*/*.tif",),
        masks=("label_gray/*/*.tif",),
        classes=str(legend),
        unlabelled=("5",),
        val_share=0.0,
    )
    prepared = prepare_folder(source, target, options)
    write_catalogue(target / "catalogue.csv", with_splits(prepared.catalogue))


def with_splits(catalogue: Catalogue) -> Catalogue:
    """Rows with splits by groups of neighbours, in the same shares of each folder of patches."""
    groups = {}
    for row in catalogue:
        kind, number = row.image.stem.rsplit("_", 1)
        groups[row] = (kind, f"{kind} {int(number) // 10}")
    splits: dict[str, str] = {}
    for kind in sorted({kind for kind, _ in groups.values()}):
        splits |= assign_splits([g for k, g in groups.values() if k == kind], SHARES)
    rows = (replace(row, group=g, split=splits[g]) for row, (_, g) in groups.items())
    return Catalogue(tuple(rows))


def recipe_of(row: str, budget: Budget, seed: int, data: Path, weights: Path) -> Recipe:
    """The run of a row: the shipped recipe of GID with the budget, the start and the loss.

    As in the MST paper's code an encoder that starts from ImageNet is frozen for half of the steps.
    """
    variant = BASE if row in LOSSES else row
    pretrained = variant in PRETRAINED
    sections: dict[str, Any] = {
        "data.root": str(data),
        "data.classes": Gid.legend.to_json(),
        # of the weights; the paper's code leaves 0 to 1
        "data.normalisation": {"scale": [255] * 3, "mean": [0.5] * 3, "std": [0.5] * 3},
        "data.window": 224,  # the patches' side
        "data.batch_size": budget.batch,
        "data.workers": budget.workers,
        "model.weights": str(weights) if pretrained else None,
        "optimiser.freeze_encoder": budget.steps // 2 if pretrained else 0,
        "trainer.steps": budget.steps,
        "trainer.validate_every": budget.steps // 4,
        "trainer.validation": "windows",
        "trainer.precision": "bf16",
        "trainer.device": budget.device,
        "trainer.seeds": [seed],
    }
    if row in LOSSES:
        sections["loss"] = LOSSES[row]
    settings = tuple(f"{key}={json.dumps(value)}" for key, value in sections.items())
    return read_recipe(f"mst-gid:{variant}", settings)


if __name__ == "__main__":
    try:
        main()
    except RssegError as error:  # such as a run that is broken off
        sys.exit(f"Error: {error}")
