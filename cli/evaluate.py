"""``rsseg evaluate``: scores of a class map against truth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from . import helpers

_NAMES = {"oa": "overall accuracy", "miou": "mean IoU", "f1": "mean F1", "fwiou": "weighted IoU"}
_OVERALL = (
    *("oa", "miou", "mean_accuracy", "kappa", "f1", "f1_of_means", "precision", "recall"),
    *("fwiou", "boundary_f1", "boundary_iou", "unpredicted"),
)


@click.command("evaluate")
@click.argument("prediction")
@click.argument("truth")
@click.option(
    "--erode",
    type=float,
    default=0,
    help="Leave out truth this near (pixels) a border; scores by all of it stand beside.",
)
@click.option("--ignore", help="Classes whose truth is left out: a,b.")
@click.option("--boundary", type=float, help="Score borders too, with this tolerance in pixels.")
@click.option("--classes", help="Classes that means are taken over: a,b.")
@click.option("--field", help="Field of a vector file with the class; class or class_id.")
@click.option("--layer", help="Layer of a vector file; the first with geometries.")
@click.option("--out", help="Report to write: .json or .csv.")
@click.option("--plot", help="Picture of the confusion matrix to write: .png, .pdf or .svg.")
@click.option("--errors", help="GeoTIFF to write: 0 right, 1 wrong, 255 not scored.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that are there.")
@helpers.output_options
def command(
    prediction: str,
    truth: str,
    erode: float,
    ignore: str | None,
    boundary: float | None,
    classes: str | None,
    field: str | None,
    layer: str | None,
    out: str | None,
    plot: str | None,
    errors: str | None,
    overwrite: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Score the class map PREDICTION against TRUTH: a raster, polygons or points.

    With --erode PX the scores leave out the truth within PX pixels of another class, as the ISPRS
    benchmark does with 3; the same scores by the full truth are printed beside them and are
    "full" in JSON. Distances reach 256 pixels.
    """
    from rsseg.evaluate import evaluate, plot_confusion, require_outputs, write_report

    require_outputs(out, plot, errors, inputs=(prediction, truth), overwrite=overwrite)
    with helpers.progress("evaluating", quiet=quiet) as on_progress:
        result = evaluate(
            prediction,
            truth,
            erode=erode,
            boundary=boundary,
            ignore=helpers.names(ignore) or (),
            classes=helpers.names(classes) or None,
            field=field,
            layer=layer,
            errors=errors,
            overwrite=overwrite,
            on_progress=on_progress,
        )
    helpers.note(result.notes, quiet=quiet)
    text = "\n\n".join(_tables(result.scores, result.unit))
    helpers.report(text, result.to_json(), quiet=quiet, as_json=as_json)
    if out:
        write_report(result.to_json(), out)
    if plot:
        plot_confusion(result.scores, plot)


def _tables(scores: dict[str, Any], unit: str) -> Iterator[str]:
    """Scores by class, of the whole, and what points estimate of the whole map.

    Beside an eroded truth the full one has a table and a column of its own; borders are its.
    """
    full = scores.get("full")
    if full is None:
        yield _by_class("class", scores["classes"], unit)
        yield _overall(["score"], [scores])
    else:
        borders = {key: value for key, value in scores.items() if key.startswith("boundary")}
        inner = {name: _without_borders(row) for name, row in scores["classes"].items()}
        whole = {name: scores["classes"][name] | row for name, row in full["classes"].items()}
        yield _by_class("class, eroded truth", inner, unit)
        yield _by_class("class, full truth", whole, unit)
        yield _overall(["eroded truth", "full truth"], [_without_borders(scores), full | borders])
    if "estimates" in scores:
        found = scores["estimates"]
        yield helpers.table(
            ["whole map, 95 %", "user's", "±", "producer's", "±", found["area_unit"], "±"],
            [
                [name, *_with_error(row["users_accuracy"]), *_with_error(row["producers_accuracy"])]
                + list(_with_error(row["area"], ",.0f"))
                for name, row in found["classes"].items()
            ],
        )
        yield "overall accuracy of the whole map: {} ± {}".format(*_with_error(found["oa"]))


def _by_class(heading: str, classes: dict[str, dict[str, Any]], unit: str) -> str:
    columns = [key for key in next(iter(classes.values())) if key != "pixels"]
    return helpers.table(
        [heading, *(key.replace("_", " ") for key in columns), unit],
        [
            [name, *(_share(row[key]) for key in columns), f"{row['pixels']:,}"]
            for name, row in classes.items()
        ],
    )


def _overall(headings: list[str], columns: list[dict[str, Any]]) -> str:
    return helpers.table(
        ["all", *headings],
        [
            [
                _NAMES.get(key, key.replace("_", " ")),
                *(_share(scores.get(key)) for scores in columns),
            ]
            for key in _OVERALL
            if key in columns[-1]
        ],
    )


def _without_borders(scores: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in scores.items() if not key.startswith("boundary")}


def _with_error(estimate: dict[str, Any], digits: str = ".3f") -> tuple[str, str]:
    value, error = estimate["estimate"], estimate["standard_error"]
    return _share(value, digits), _share(None if error is None else 1.96 * error, digits)


def _share(value: float | None, digits: str = ".3f") -> str:
    return "-" if value is None else format(value, digits)
