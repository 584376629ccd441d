"""``rsseg prepare``: a published dataset, or one's own folder, as scenes and a catalogue."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from . import helpers, prepare_gaofen1

if TYPE_CHECKING:
    from rsseg.data.datasets import Prepared

DATASETS = {
    "dubai": "Dubai, RGB, 5 classes (Humans in the Loop, CC0).",
    "vaihingen": "ISPRS Vaihingen, 9 cm, NIR-R-G, 6 classes.",
    "potsdam": "ISPRS Potsdam, 5 cm, RGB and NIR, 6 classes.",
    "gid": "Gaofen Image Dataset, 4 m, RGB and NIR, 5 classes.",
    "gid15": "Gaofen Image Dataset, 4 m, RGB and NIR, 15 classes.",
    "loveda": "LoveDA, 0.3 m, RGB, 7 classes.",
    "cityscapes": "Cityscapes, street scenes, RGB, 19 classes.",
}
"""Datasets that need no options, and what they are."""

MOST = 20
"""So many pictures at most are named that were left out."""


@click.group("prepare")
def command() -> None:
    """Turn a dataset, as published or one's own, into scenes, labels and a catalogue."""


def _add(name: str, about: str) -> None:
    @command.command(name, help=f"{about}\n\nSOURCE is the folder as published; TARGET is made.")
    @click.argument("source")
    @click.argument("target")
    @helpers.output_options
    def prepare(source: str, target: str, **output: bool) -> None:
        from rsseg.data.datasets import published

        _run(published(name).prepare, source, target, **output)


@command.command()
@click.argument("source")
@click.argument("target")
@click.option(
    "--splits",
    type=click.Choice(["published", "blocks"]),
    default="published",
    show_default=True,
    help="Its own lists, which part neighbours, or square kilometres kept together.",
)
@click.option(
    "--dominance",
    type=float,
    metavar="SHARE",
    help="Leave out training images of which grass, loose rocks or bed rocks cover more than this.",
)
@helpers.output_options
def alpine(source: str, target: str, splits: str, dominance: float | None, **output: bool) -> None:
    """Alpine land cover, Dents du Midi, RGB, 8 classes (swisstopo).

    SOURCE is the folder as published; TARGET is made. Damaged and black images are left out.
    """
    from rsseg.data.datasets.alpine import Alpine

    _run(Alpine(splits, dominance).prepare, source, target, **output)


@command.command()
@click.argument("source")
@click.argument("target")
@click.option(
    "--images",
    multiple=True,
    metavar="PATTERN",
    help="Images below SOURCE, e.g. 'sat/*.tif'; may be repeated.  [default: images/**/*]",
)
@click.option(
    "--masks",
    multiple=True,
    metavar="PATTERN",
    help="Masks, codes or colours, e.g. 'gt/*.png'; may be repeated.  [default: masks/**/*]",
)
@click.option("--polygons", metavar="FILE|PATTERN", help="Polygons with a class, instead of masks.")
@click.option("--class-field", metavar="FIELD", help="Field with their class.  [default: class]")
@click.option("--areas", metavar="FILE|PATTERN", help="Annotated areas; outside is unlabelled.")
@click.option("--background", metavar="NAME", help="Class of what lies in no polygon.")
@click.option(
    "--classes",
    metavar="FILE.csv|a,b,c",
    help="A table with the column name and maybe code, colour and value (in masks), or names.",
)
@click.option(
    "--unlabelled",
    multiple=True,
    metavar="CODE|COLOUR",
    help="What means no class in masks, e.g. 5 or '#ffffff'; may be repeated.",
)
@click.option(
    "--val-share",
    type=float,
    help="Share of the images to validate on, unless folders train, val tell.  [default: 0.2]",
)
@click.option(
    "--group", metavar="REGEX", help="Part of a name that stays in one split, 'tile\\d+'."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, other splits.")
@helpers.output_options
def folder(source: str, target: str, *, quiet: bool, as_json: bool, **options: Any) -> None:
    """Your own folder: images with masks, or scenes with polygons.

    Images and masks go together whose names agree where the patterns have wildcards (and a mask
    may end in _mask, _label or _gt). GeoTIFFs and polygons stay where they are, other images are
    copied into tiled GeoTIFFs; nothing is resampled. TARGET is made, with catalogue.csv and
    classes.csv.
    """
    from rsseg.data.datasets.folder import FolderOptions, prepare_folder

    given = {name: value for name, value in options.items() if value not in (None, ())}
    chosen = FolderOptions(**given)

    def prepare(source: str, target: str, **progress: Any) -> Prepared:
        return prepare_folder(source, target, chosen, **progress)

    _run(prepare, source, target, quiet=quiet, as_json=as_json)


@command.command()
@click.argument("name")
@click.argument("source")
@click.argument("target")
@click.option(
    "--classes",
    metavar="FILE.csv|a,b,c",
    help="A table of classes, or their names by value in masks.  [default: what torchgeo lists]",
)
@click.option(
    "--unlabelled", multiple=True, type=int, help="Value of masks that means no class; repeatable."
)
@click.option("--bands", help="Names of the bands, such as nir,red,green.")
@click.option("--dtype", help="Type of the pixels: uint8, uint16 or float32.  [default: what fits]")
@helpers.output_options
def torchgeo(
    name: str,
    source: str,
    target: str,
    classes: str | None,
    unlabelled: tuple[int, ...],
    bands: str | None,
    dtype: str | None,
    **output: bool,
) -> None:
    """Any dataset of torchgeo with images and masks, such as Vaihingen2D or LandCoverAI100.

    NAME is its class in torchgeo.datasets, SOURCE its root folder; TARGET is made, with
    catalogue.csv and classes.csv. Splits are torchgeo's. A dataset that has a command of its own
    here is best prepared by that: it keeps places on the ground and checks colours.
    """
    from rsseg.loading.torchgeo_preparation import TorchgeoOptions, prepare_torchgeo

    options = TorchgeoOptions(classes, unlabelled, tuple(helpers.names(bands) or ()), dtype)

    def prepare(source: str, target: str, **progress: Any) -> Prepared:
        return prepare_torchgeo(name, source, target, options, **progress)

    _run(prepare, source, target, **output)


def _run(
    prepare: Callable[..., Prepared], source: str, target: str, *, quiet: bool, as_json: bool
) -> None:
    """Prepare, and say what came of it."""
    with helpers.progress("preparing", quiet=quiet) as on_progress:
        prepared = prepare(source, target, on_progress=on_progress)
    left_out, notes = prepared.left_out, prepared.notes
    more = (f"{len(left_out) - MOST:,} more left out, --json lists all",) * (len(left_out) > MOST)
    helpers.note((*left_out[:MOST], *more, *notes), quiet=quiet)
    catalogue = prepared.catalogue
    splits = {split: len(catalogue.split(split)) for split in catalogue.splits}
    text = f"{target}/catalogue.csv: " + ", ".join(f"{n} {s}" for s, n in splits.items())
    data = {"target": target, "scenes": splits, "left_out": [*left_out], "notes": [*notes]}
    helpers.report(text, data, quiet=quiet, as_json=as_json)


for _name, _about in DATASETS.items():
    _add(_name, _about)

command.add_command(prepare_gaofen1.command)
