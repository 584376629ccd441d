"""``rsseg predict`` of several scenes: one after the other into a folder, and a summary."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import click

from rsseg.errors import SceneError

from . import helpers


def run(
    sources: Sequence[str],
    out: str,
    model: str | None,
    polygons: str | None,
    options: Any,
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    """Map the scenes, print a line for each and the totals; fail at the end if one has failed.

    Raises:
        SceneError: If a scene has failed; the others are done.
    """
    from rsseg.geo.scene_list import find_scenes
    from rsseg.prediction.scenes import predict_scenes, totals

    began = time.perf_counter()
    scenes = find_scenes(sources)
    done = []
    with helpers.progress("predicting", quiet=quiet) as on_progress:
        for outcome in predict_scenes(
            scenes,
            out,
            bundle=model,
            options=options,
            polygons=polygons,
            on_progress=on_progress,
        ):
            done.append(outcome)
            if outcome.state == "failed":
                click.echo(f"failed: {outcome.scene}: {outcome.error}", err=True)
            else:
                notes = outcome.result["notes"] if outcome.state == "done" else ()
                helpers.note(_of_scene(outcome.scene, notes), quiet=quiet)
                if not (quiet or as_json):
                    click.echo(_line(outcome.state, outcome.to_json()))
    summary = totals(done, time.perf_counter() - began)
    data = {"out": out, "scenes": [each.to_json() for each in done], "totals": summary}
    helpers.report(_summary(out, summary), data, quiet=quiet, as_json=as_json)
    if summary["failed"]:
        raise SceneError(
            f"{summary['failed']} of {len(scenes)} scenes failed",
            remedy="once the reasons are gone, the same command does them and no others",
        )


def dry_run(tell: Any, sources: Sequence[str], out: str, *, quiet: bool, as_json: bool) -> None:
    """Print what each scene would take, and all together.

    Args:
        tell: Gives text and data of one scene, with a loader of engines.
        sources: Files, folders and lists.
        out: The folder.
        quiet: Print nothing but errors.
        as_json: Print one JSON object.
    """
    from rsseg.geo.scene_list import find_scenes
    from rsseg.prediction.scenes import LastEngine

    engines = LastEngine()
    told = [tell(scene, engines=engines) for scene in find_scenes(sources)]
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


def shares(classes: dict[str, int]) -> str:
    """Classes and their shares of a map, or that it has none."""
    return helpers.shares(classes) if any(classes.values()) else "no pixel has a class"


def _of_scene(scene: str, notes: Sequence[str]) -> tuple[str, ...]:
    """Notes that say of which scene they are."""
    return tuple(note if note.startswith(scene) else f"{scene}: {note}" for note in notes)


def _line(state: str, told: dict[str, Any]) -> str:
    if state == "skipped":
        return f"{told['out']}: done before"
    text = (
        f"{told['out']}: {told['width']} x {told['height']} pixels in {told['seconds']:.1f} s; "
        f"{shares(told['classes'])}"
    )
    if "polygons" in told:
        text += f"\n{told['polygons']}: {told['polygon_count']:,} polygons"
    return text


def _summary(out: str, sums: dict[str, Any]) -> str:
    states = ", ".join(f"{sums[state]} {state}" for state in ("done", "skipped", "failed"))
    return (
        f"{out}: {sums['scenes']} scenes, {states}, in {sums['seconds']:.1f} s; "
        f"{shares(sums['classes'])}"
    )
