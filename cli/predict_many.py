"""``rsseg predict`` of several scenes: their maps into a folder, and a summary."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import click

from rsseg.errors import SceneError

from . import helpers


@dataclass(frozen=True)
class Choices:
    """What several scenes are mapped by.

    Args:
        sources: Files, folders, lists, STAC files and tables.
        out: The folder.
        model: The model file; None for the embedded one.
        options: `PredictOptions`.
        assets: Assets of STAC items, or the column of tables.
    """

    sources: Sequence[str]
    out: str
    model: str | None
    options: Any
    assets: tuple[str, ...]

    @property
    def scenes(self) -> list[Any]:
        """The scenes that the sources name."""
        from rsseg.geo.scene_list import find_scenes

        return find_scenes(self.sources, self.assets[0] if self.assets else None)


def run(
    predict_scenes: Callable[..., Generator[Any, None, None]],
    chosen: Choices,
    polygons: str | None,
    vrt: bool,
    scratch: str | None,
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    """Map the scenes, print a line for each and the totals; fail at the end if one has failed.

    Raises:
        SceneError: If a scene has failed; the others are done.
    """
    from rsseg.geo.objects import is_object
    from rsseg.geo.scene_list import output_names
    from rsseg.prediction.many_scenes.outcomes import Totals
    from rsseg.prediction.many_scenes.results_index import index_results, require_index
    from rsseg.prediction.outputs.staging import scratch_folder

    began = time.perf_counter()
    scenes, out = chosen.scenes, chosen.out
    require_index(out, inputs=chosen.sources, overwrite=chosen.options.overwrite)
    totals, told = Totals(), list[dict[str, Any]]()
    with helpers.progress("predicting", quiet=quiet) as on_progress:
        outcomes = predict_scenes(
            scenes,
            out,
            bundle=chosen.model,
            options=chosen.options,
            polygons=polygons,
            assets=chosen.assets,
            scratch=scratch,
            on_progress=on_progress,
        )
        with closing(outcomes):  # what may be raised here ends the work, not at some later time
            for outcome in outcomes:
                totals.add(outcome)
                _tell(outcome, quiet=quiet, as_json=as_json)
                if as_json:  # else nothing is kept of them: they may be a hundred thousand
                    told.append(outcome.to_json())
    # a folder is looked through, an object store is not
    names = output_names(scenes).values() if is_object(out) else None
    index = index_results(out, names=names, vrt=vrt, scratch=scratch_folder(scratch))
    helpers.note(index.notes, quiet=quiet)
    summary = totals.to_json(time.perf_counter() - began)
    data = {
        "out": out,
        "scenes": told,
        "totals": summary,
        "index": list(index.files),
        "notes": list(index.notes),
    }
    helpers.report(_summary(out, summary), data, quiet=quiet, as_json=as_json)
    if summary["failed"]:
        raise SceneError(
            f"{summary['failed']} of {len(scenes)} scenes failed",
            remedy="once the reasons are gone, the same command does them and no others",
        )


def dry_run(tell: Any, chosen: Choices, *, quiet: bool, as_json: bool) -> None:
    """Print what each scene would take, and all together.

    Args:
        tell: Gives text and data of one scene by its options, with a loader of engines.
        chosen: The scenes.
        quiet: Print nothing but errors.
        as_json: Print one JSON object.
    """
    from rsseg.geo.scene_list import told_name
    from rsseg.prediction.many_scenes.last_engine import LastEngine
    from rsseg.prediction.many_scenes.scenes import bands_of
    from rsseg.prediction.planning.locating import located

    engines, bands, out = LastEngine(), bands_of(chosen.model), chosen.out
    told = []
    for scene in chosen.scenes:
        with located(scene, chosen.options, bands, chosen.assets) as (path, options):
            text, data = tell(path, options=options, engines=engines)
            name, shown = data["scene"], told_name(scene)
            notes = [note.replace(name, shown) for note in data["notes"]]
            told.append((text.replace(name, shown), data | {"scene": shown, "notes": notes}))
    rows = [data for _, data in told]
    for data in rows:
        helpers.note(_of_scene(data["scene"], data["notes"]), quiet=quiet)
    sums = {
        "scenes": len(rows),
        "windows": sum(data["windows"] for data in rows),
        "expected_memory_mb": max(data["expected_memory_mb"] for data in rows),
        "expected_seconds": round(sum(data["expected_seconds"] for data in rows), 1),
    }
    text = "\n".join(
        [
            *(text for text, _ in told),
            f"{out}: {sums['scenes']} scenes, {sums['windows']} windows, at most "
            f"{sums['expected_memory_mb']} MB and about {sums['expected_seconds']} s",
        ]
    )
    data = {"out": out, "scenes": rows, "totals": sums}
    helpers.report(text, data, quiet=quiet, as_json=as_json)


def _tell(outcome: Any, *, quiet: bool, as_json: bool) -> None:
    """Print what became of a scene."""
    if outcome.state == "failed":
        click.echo(f"failed: {outcome.scene}: {outcome.error}", err=True)
        return
    notes = outcome.result["notes"] if outcome.state == "done" else ()
    helpers.note(_of_scene(outcome.scene, notes), quiet=quiet)
    if not (quiet or as_json):
        click.echo(_line(outcome.state, outcome.to_json()))


def _of_scene(scene: str, notes: Sequence[str]) -> tuple[str, ...]:
    """Notes that say of which scene they are."""
    return tuple(note if note.startswith(scene) else f"{scene}: {note}" for note in notes)


def _line(state: str, told: dict[str, Any]) -> str:
    if state == "skipped":
        return f"{told['out']}: done before"
    text = (
        f"{told['out']}: {told['width']} x {told['height']} pixels in {told['seconds']:.1f} s; "
        f"{helpers.shares(told['classes'])}"
    )
    if "polygons" in told:
        text += f"\n{told['polygons']}: {told['polygon_count']:,} polygons"
    return text


def _summary(out: str, sums: dict[str, Any]) -> str:
    states = ", ".join(f"{sums[state]} {state}" for state in ("done", "skipped", "failed"))
    return (
        f"{out}: {sums['scenes']} scenes, {states}, in {sums['seconds']:.1f} s; "
        f"{helpers.shares(sums['classes'])}"
    )
