"""The prediction tool: a scene in, a georeferenced class map out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rsseg.bundle import Bundle, is_graph, read_bundle
from rsseg.errors import OptionError
from rsseg.geo.opening import gdal_cache
from rsseg.legend import NODATA
from rsseg.prediction.computing import devices
from rsseg.prediction.engines.engine import Engine, make_engine
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL
from rsseg.prediction.engines.symmetries import Symmetric
from rsseg.prediction.memory import peak_memory
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.outputs.checks import require_all_writable
from rsseg.prediction.outputs.finishing import finish
from rsseg.prediction.parts.folder import Parts
from rsseg.prediction.planning.manifest import manifest_of
from rsseg.prediction.planning.plan import Plan, make_plan
from rsseg.prediction.result import PredictResult
from rsseg.prediction.workers import Workers

if TYPE_CHECKING:
    from torch import nn


def plan(
    scene: str | Path,
    *,
    bundle: Bundle | str | Path | None = None,
    network: nn.Module | None = None,
    options: PredictOptions | None = None,
) -> Plan:
    """What `predict` would do with the same arguments."""
    described, model = _resolve(bundle, network)
    # in another thread: a server may keep one waiting, which Ctrl-C then ends
    with Workers(1, "rsseg-plan") as planning:
        choices = options or PredictOptions()
        return planning.submit(make_plan, scene, described, model, network, choices).result()


def predict(
    scene: str | Path,
    out: str | Path,
    *,
    bundle: Bundle | str | Path | None = None,
    network: nn.Module | None = None,
    options: PredictOptions | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> PredictResult:
    """Write the class map of a scene, on the scene's own grid.

    A run that fails or is killed leaves no output; finished shards stay in ``OUT.tif.parts`` and
    the same call goes on from there.

    Args:
        scene: A raster of any size.
        out: GeoTIFF to write.
        bundle: A model file; None for the embedded model; a Bundle together with ``network``.
        network: A module of the caller's that maps normalised ``(N, B, h, w)`` float32 images
            to logits ``(N, K, h, w)``; it runs in fp32 unless the options say otherwise, and is
            put into evaluation mode and onto the device.
        options: Window, overlap, blending, engine and so on.
        on_progress: Called with windows done and windows in all.

    Raises:
        SceneError: If the scene cannot be read or its bands do not fit.
        BundleError: If the model cannot be used.
        OptionError: If choices exclude each other.
        OutputError: If the output is there already or cannot be written.
        ClusterError: If the process of a further device dies.
    """
    began = time.perf_counter()
    options = options or PredictOptions()
    out = Path(out)
    require_all_writable(out, scene, options)
    named = shared_by(options, bundle, network)
    work = plan(scene, bundle=bundle, network=network, options=devices.on_one(options, named))
    planned = time.perf_counter() - began

    def load(work: Plan, forward: int | None) -> Engine:
        return load_engine(work, network, forward)

    made = carry_out(work, out, load=load, others=named[1:], on_progress=on_progress)
    return made.after(planned)


def carry_out(
    work: Plan,
    out: Path,
    *,
    load: Callable[[Plan, int | None], Engine],
    others: Sequence[str] = (),
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    on_computed: Callable[[], None] = lambda: None,
) -> PredictResult:
    """Do what a plan says.

    Args:
        work: The plan.
        out: GeoTIFF to write; `require_all_writable` has been asked.
        load: Gives the engine of a plan, see `load_engine`; an engine may serve several plans.
        others: Devices that share the map with that of the plan.
        on_progress: Called with windows done and windows in all.
        on_computed: Called when all shards are there, before outputs are made of them.

    Raises:
        SceneError: If the scene cannot be read.
        OutputError: If the output cannot be written, or its parts are of another plan.
    """
    began = time.perf_counter()
    options, parts = work.options, Parts(out)
    # what takes long runs in other threads, so that this one can be interrupted at any moment
    with Workers(1, "rsseg-score") as scoring, Workers(1, "rsseg-finish") as finishing:
        forward = None if options.restart else parts.recorded("forward")
        engine = scoring.submit(load, work, forward).result()
        manifest = manifest_of(work, out)
        journal = work.journal | {"forward": engine.batch}
        parts.open(journal, manifest, restart=options.restart)
        started = time.perf_counter()
        try:
            with gdal_cache(work.gdal_cache):
                shared = devices.run(work, others, engine, scoring, parts, journal, on_progress)
                computed = time.perf_counter()
                on_computed()
                pixels = finishing.submit(
                    finish, parts, manifest, out, lambda: finishing.given_up
                ).result()
        except BaseException as error:
            if parts.keep_if_useful():
                error.add_note(
                    f"finished shards are kept in {parts.folder}: the same command goes on"
                )
            raise
    ended, timing = time.perf_counter(), shared.timing
    return PredictResult(
        out=str(out),
        width=work.grid.width,
        height=work.grid.height,
        classes={known.name: pixels[known.code] for known in work.bundle.legend},
        nodata_pixels=pixels[NODATA],
        windows=work.windows,
        seconds=ended - began,
        startup_seconds=started - began,
        pipeline_seconds=timing.pipeline,
        forward_seconds=timing.forward,
        waiting_seconds=timing.waiting,
        finish_seconds=ended - computed,
        mpx_per_s=work.grid.width * work.grid.height / 1e6 / (ended - began),
        peak_rss_mb=(peak_memory() + shared.memory) / 1e6,
        engine=engine.name,
        device=",".join((engine.device, *shared.others)),
        precision=engine.precision,
        notes=(*work.notes, *timing.notes),
    )


def shared_by(
    options: PredictOptions, bundle: Bundle | str | Path | None, network: nn.Module | None
) -> tuple[str, ...]:
    """The devices that are to share a map, see `rsseg.prediction.computing.devices`."""
    graph = isinstance(bundle, (str, Path)) and is_graph(Path(bundle))
    return devices.devices_of(options, own_network=network is not None, graph=graph)


def load_engine(work: Plan, network: nn.Module | None = None, forward: int | None = None) -> Engine:
    """The engine a plan asks for, loaded; with so many windows in a forward pass if given."""
    engine = make_engine(
        replace(work.placement, forward=forward),
        work.bundle,
        work.side,
        work.dtype,
        model=work.model,
        network=network,
        identity=work.identity,
        reserve=work.blending_bytes,
        streams=work.placement.streams,
    )
    return engine if work.options.tta == "none" else Symmetric(engine, work.options.tta)


def expected_seconds(work: Plan, engine: Engine) -> float:
    """Time the forward passes will take, from a few empty windows measured now."""
    shape = (1, len(work.bands), work.side, work.side)
    window = np.zeros(shape, work.dtype)

    def score(_: int = 0) -> None:
        engine.to_host(engine(window))

    # one call is made here, in the thread that a compiled network was made in
    others = range(1, engine.streams)
    with ThreadPoolExecutor(max(1, len(others))) as pool:
        for _ in range(2):  # the first call takes longer
            began = time.perf_counter()
            calls = pool.map(score, others)
            score()
            list(calls)
            seconds = time.perf_counter() - began
    return seconds * work.passes / engine.streams


def _resolve(
    bundle: Bundle | str | Path | None, network: nn.Module | None
) -> tuple[Bundle, Path | None]:
    """The Bundle, and the file that holds the weights unless a network is given."""
    if isinstance(bundle, Bundle):
        if network is None:
            raise OptionError("a Bundle has no weights", remedy="pass its file, or a network too")
        if bundle.output != "logits":
            raise OptionError(
                "the Bundle of an exported graph describes no network",
                expected="one with logits for output",
                got=bundle.output,
            )
        return bundle, None
    if network is not None:
        raise OptionError("a network needs a Bundle that describes it", got=bundle)
    model = EMBEDDED_MODEL if bundle is None else Path(bundle)
    return read_bundle(model), model
