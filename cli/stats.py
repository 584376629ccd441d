"""``rsseg stats``: bands and classes of a catalogue, and the images to leave out of training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from . import helpers

if TYPE_CHECKING:
    from rsseg.data.statistics import Statistics

_SHARE = click.FloatRange(0, 1, min_open=True)
_SHOWN = 10


@click.command("stats")
@click.argument("catalogue")
@click.option("--split", help="Only the scenes of this split, such as train; all if not given.")
@click.option("--bands", help="Bands by number or name, such as nir,red; all if not given.")
@click.option(
    "--classes",
    help="The classes: NAME,... or CODE:NAME,... or a table such as the classes.csv of rsseg"
    " prepare; if not given, what the label rasters tell, or for polygons classes.csv beside"
    " CATALOGUE.",
)
@click.option(
    "--label-stride",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Image pixels along a side of a label pixel.",
)
@click.option(
    "--black",
    type=_SHARE,
    default=0.99,
    show_default=True,
    help="Share of pixels 0 or invalid from which on an image is black.",
)
@click.option(
    "--dominant",
    type=_SHARE,
    default=0.95,
    show_default=True,
    help="Share of labelled pixels from which on a class dominates an image.",
)
@click.option("--dominant-classes", help="Only these classes dominate: a,b.")
@click.option("--drop-black", is_flag=True, help="Leave black images out of --out.")
@click.option("--drop-dominant", is_flag=True, help="Leave dominated images out of --out.")
@click.option("--out", help="Catalogue to write without the dropped images: .csv or .gpkg.")
@click.option("--overwrite", is_flag=True, help="Replace --out if it is there.")
@helpers.output_options
def command(
    catalogue: str,
    split: str | None,
    bands: str | None,
    classes: str | None,
    label_stride: int,
    black: float,
    dominant: float,
    dominant_classes: str | None,
    drop_black: bool,
    drop_dominant: bool,
    out: str | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Describe the bands and classes of CATALOGUE, and filter its images.

    Only the images of --split are looked at and dropped; other splits stay whole in --out.
    """
    if bool(out) != (drop_black or drop_dominant):
        raise click.UsageError("--out goes with --drop-black or --drop-dominant")
    from rsseg.data.agreement import parse_legend
    from rsseg.data.counting import catalogue_statistics
    from rsseg.data.statistics import without
    from rsseg.data.tables import read_catalogue, require_output, write_catalogue

    listed, dominating = helpers.names(classes), helpers.names(dominant_classes)
    whole = read_catalogue(catalogue)
    if out:
        require_output(out, catalogue, overwrite=overwrite)
    with helpers.progress("counting", quiet=quiet) as on_progress:
        found = catalogue_statistics(
            whole.split(split) if split else whole,
            bands=helpers.names(bands),
            legend=None if listed is None else parse_legend(listed),
            table=catalogue,
            label_stride=label_stride,
            on_progress=on_progress,
        )
    helpers.note(found.notes, quiet=quiet)
    blacks, dominated = found.black(black), found.dominated(dominant, dominating or ())
    data = _data(found) | {
        "catalogue": catalogue,
        "split": split,
        "black": [str(image.scene.image) for image in blacks],
        "dominated": [
            {"image": str(image.scene.image), "class": name, "share": share}
            for image, name, share in dominated
        ],
    }
    parts = [*_tables(found, split), *_filters(data, black, dominant)]
    if out:
        dropped = [image.scene for image in blacks] if drop_black else []
        dropped += [image.scene for image, _, _ in dominated] if drop_dominant else []
        kept = without(whole, dropped)
        write_catalogue(out, kept)
        data |= {"out": out, "kept": len(kept), "dropped": len(whole) - len(kept)}
        parts.append(f"{out}: {data['kept']:,} images, {data['dropped']:,} left out")
    helpers.report("\n\n".join(parts), data, quiet=quiet, as_json=as_json)


def _data(found: Statistics) -> dict[str, Any]:
    """The figures under their names."""
    counts, images, weights = found.counts, found.images_with, found.class_weights
    labelled = max(1, int(counts.sum()))
    bands = [asdict(band) for band in found.bands]
    return {
        "images": len(found.images),
        "pixels": sum(image.pixels for image in found.images),
        "valid_share": found.valid_share,
        "dtype": found.dtype,
        "bands": {band.pop("name"): band for band in bands},
        "normalisation": found.normalisation,
        "label_pixels": sum(image.label_pixels for image in found.images),
        "unlabelled_share": found.unlabelled_share,
        "classes": {
            land.name: {
                "code": land.code,
                "pixels": int(count),
                "share": int(count) / labelled,
                "images": int(number),
                "weight": weight,
            }
            for land, count, number, weight in zip(
                found.legend, counts, images, weights, strict=True
            )
        },
    }


def _tables(found: Statistics, split: str | None) -> Iterator[str]:
    data = _data(found)
    where = f"split {split}: " if split else ""
    valid, unlabelled = 100 * data["valid_share"], 100 * data["unlabelled_share"]
    yield (
        f"{where}{_images(data['images'])}, {data['pixels'] / 1e6:,.1f} Mpx of {data['dtype']}, "
        f"{valid:.2f} % valid, {unlabelled:.2f} % unlabelled"
    )
    columns = {"mean": "mean", "std": "std", "minimum": "min"}
    columns |= {"p2": "2 %", "p98": "98 %", "maximum": "max"}
    yield helpers.table(
        ["band", *columns.values()],
        [[name, *(f"{band[key]:.6g}" for key in columns)] for name, band in data["bands"].items()],
    )
    yield helpers.table(
        ["class", "code", "pixels", "share", "images", "weight"],
        [
            [name, str(c["code"]), f"{c['pixels']:,}", f"{c['share']:.4f}"]
            + [f"{c['images']:,}", f"{c['weight']:.4g}"]
            for name, c in data["classes"].items()
        ],
    )
    lines = [f"  {key}: {_numbers(values)}" for key, values in data["normalisation"].items()]
    weights = _numbers([c["weight"] for c in data["classes"].values()])
    yield "\n".join(
        ["for the section data of a recipe:", "normalisation:", *lines]
        + ["for the options of a weighted loss:", f"class_weights: {weights}"]
    )


def _filters(data: dict[str, Any], black: float, dominant: float) -> Iterator[str]:
    """The images that are black or of one class, the first by name."""
    rows = [
        (f"0 or invalid in {100 * black:g} % of the pixels or more", data["black"]),
        (
            f"of one class in {100 * dominant:g} % of the labelled pixels or more",
            [f"{each['image']} ({each['class']})" for each in data["dominated"]],
        ),
    ]
    for what, names in rows:
        listed = [f"  {name}" for name in names[:_SHOWN]]
        if len(names) > _SHOWN:
            listed.append(f"  and {len(names) - _SHOWN:,} more; --json lists all")
        yield "\n".join([f"{what}: {_images(len(names))}", *listed])


def _images(number: int) -> str:
    return f"{number:,} image" + ("" if number == 1 else "s")


def _numbers(values: Sequence[float]) -> str:
    """A YAML list; YAML takes 1e-07 for a text, so numbers have a point."""
    texts = [f"{value:.6g}" for value in values]
    return (
        "["
        + ", ".join(t.replace("e", ".0e") if "e" in t and "." not in t else t for t in texts)
        + "]"
    )
