"""Many scenes one after the other, each resumable by itself, sharing an engine where they can."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rsseg.bundle import Bundle, read_bundle
from rsseg.errors import BundleError, MissingExtra
from rsseg.geo.scene_list import Named
from rsseg.prediction.computing.devices import on_one
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL
from rsseg.prediction.many_scenes.last_engine import LastEngine
from rsseg.prediction.many_scenes.outcomes import SceneOutcome
from rsseg.prediction.many_scenes.scene_entries import SceneEntries, SceneEntry
from rsseg.prediction.many_scenes.scene_run import Finished, Mapped, SceneRun
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.outputs.staging import Place, Stage
from rsseg.prediction.planning.locating import located
from rsseg.prediction.planning.plan import Plan
from rsseg.prediction.planning.prospect import Prospect
from rsseg.prediction.predict import carry_out, plan, shared_by

if TYPE_CHECKING:
    from torch import nn

Progress = Callable[[int, int], None]

STEPS = 1000
"""Progress counts so many steps for each scene."""


def predict_scenes(
    scenes: Sequence[Path | Named],
    out: Place,
    *,
    bundle: Bundle | str | Path | None = None,
    network: nn.Module | None = None,
    options: PredictOptions | None = None,
    polygons: Place | None = None,
    assets: Sequence[str] = (),
    scratch: str | Path | None = None,
    on_progress: Progress = lambda done, total: None,
) -> Iterator[SceneOutcome]:
    """Write the class maps of scenes into a folder, and tell of each when it is ready.

    A scene whose map is there and of the same plan is skipped, also with ``overwrite``, so that a
    killed run goes on; ``restart`` does it again. A map of another plan is only replaced with
    ``overwrite``. A scene that fails does not stop the others. `index_results` tells other software
    what the folder holds.

    Args:
        scenes: Rasters and items of STAC, see `find_scenes`.
        out: Folder of the maps, each called as its scene; made if missing. It may be one of an
            object store (``s3://bucket/maps``): each file is put there when it is whole.
        bundle: As in `predict`.
        network: As in `predict`.
        options: As in `predict`, of each scene; ``confidence`` and ``probabilities`` are folders.
        polygons: Folder of GeoPackages with the polygons of the maps; it may be that of the maps.
        assets: Which assets of items are the scene, by key or role; those that have the model's
            bands if none.
        scratch: Where outputs for object stores are made, a folder kept between runs; one in the
            cache if None.
        on_progress: Called with steps done and steps in all.

    Raises:
        OptionError: If folders or choices contradict each other.
        BundleError: If the model cannot be used.
        MissingExtra: If a library is missing.
        OutputError: If a folder cannot be made, or an object store takes no file.
    """
    options = options or PredictOptions()
    devices = shared_by(options, bundle, network)
    options = on_one(options, devices)
    entries = SceneEntries(scenes, out, options, polygons, Stage(scratch))
    bands, engines = bands_of(bundle), LastEngine(network)

    def mapped(entry: SceneEntry, advance: Progress) -> SceneOutcome:
        with located(entry.scene, entry.options, bands, assets) as (path, chosen):
            work = plan(path, bundle=bundle, network=network, options=chosen)
            run = entry.run(Prospect.of(work))
            return entry.outcome(_mapped(run, work, engines, advance, devices[1:]))

    for number, entry in enumerate(entries):

        def advance(done: int, total: int, before: int = STEPS * number) -> None:
            on_progress(before + STEPS * done // max(total, 1), STEPS * len(entries))

        try:
            yield mapped(entry, advance)
        except (BundleError, MissingExtra):
            raise  # of all scenes alike
        except Exception as error:  # one odd file must not end the night's run
            yield entry.failure(error)
        advance(1, 1)


def bands_of(bundle: Bundle | str | Path | None) -> tuple[str, ...]:
    """Names of the bands that a model wants."""
    described = bundle if isinstance(bundle, Bundle) else read_bundle(bundle or EMBEDDED_MODEL)
    return described.bands


def _mapped(
    run: SceneRun,
    work: Plan,
    engines: LastEngine,
    on_progress: Progress,
    others: Sequence[str] = (),
) -> Finished:
    """What was still to do of a scene, done in this process.

    Args:
        run: The scene.
        work: Its plan.
        engines: Gives engines.
        on_progress: Called with steps done and steps in all.
        others: Devices that share the map with that of the plan.

    Raises:
        OutputError: If an output is of another plan, or cannot be written.
        SceneError: If the scene cannot be read.
    """
    there = run.before()
    if there is None:
        run = run.allowed()
        try:
            made = carry_out(
                work,
                run.out,
                load=engines,
                others=others,
                on_progress=on_progress,
                on_computed=run.begun,
            )
        except Exception:
            run.given_up()
            raise
        there = run.finished(made)
    return there.vectorised() if isinstance(there, Mapped) else there
