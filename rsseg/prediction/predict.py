"""The prediction tool: a scene in, a georeferenced class map out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rsseg.bundle import Bundle, read_bundle
from rsseg.errors import OptionError, OutputError
from rsseg.geo.gis_sidecars import is_plain_style, sidecars
from rsseg.geo.opening import gdal_cache
from rsseg.geo.strips import assemble, assemble_shares
from rsseg.legend import NODATA
from rsseg.prediction import pipeline
from rsseg.prediction.engine import Engine, make_engine
from rsseg.prediction.memory import peak_memory
from rsseg.prediction.onnx_graph import EMBEDDED_MODEL
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.parts import Parts
from rsseg.prediction.plan import Plan, make_plan
from rsseg.prediction.symmetries import Symmetric

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class PredictResult:
    """A finished map, and how it came to be.

    Args:
        out: The class raster.
        width: Its columns.
        height: Its rows.
        classes: Pixels by class name.
        nodata_pixels: Pixels without a class.
        windows: Windows of the scene.
        seconds: Wall time of all.
        startup_seconds: Planning and loading the engine; on the command line imports as well.
        pipeline_seconds: From the first read to the last strip on disk.
        forward_seconds: The engine busy within that.
        finish_seconds: Joining the strips, overviews and sidecars.
        mpx_per_s: Scene megapixels over ``seconds``.
        peak_rss_mb: Highest resident memory of the process so far.
        engine: ``openvino`` or ``torch``.
        device: Where it ran.
        precision: What it computed in.
        notes: What the user should know, one sentence each.
    """

    out: str
    width: int
    height: int
    classes: dict[str, int]
    nodata_pixels: int
    windows: int
    seconds: float
    startup_seconds: float
    pipeline_seconds: float
    forward_seconds: float
    finish_seconds: float
    mpx_per_s: float
    peak_rss_mb: float
    engine: str
    device: str
    precision: str
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """All fields in plain types."""
        return asdict(self)

    def after(self, seconds: float) -> PredictResult:
        """The same with so many seconds of start-up before it, such as imports."""
        whole = self.seconds + seconds
        return replace(
            self,
            seconds=whole,
            startup_seconds=self.startup_seconds + seconds,
            mpx_per_s=self.mpx_per_s * self.seconds / whole,
        )


def plan(
    scene: str | Path,
    *,
    bundle: Bundle | str | Path | None = None,
    network: nn.Module | None = None,
    options: PredictOptions | None = None,
) -> Plan:
    """What `predict` would do with the same arguments."""
    described, model = _resolve(bundle, network)
    return make_plan(scene, described, model, network, options or PredictOptions())


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

    A run that fails or is killed leaves no output; finished strips stay in ``OUT.tif.parts`` and
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
    """
    began = time.perf_counter()
    options = options or PredictOptions()
    out = Path(out)
    _require_all_writable(out, scene, options)
    work = plan(scene, bundle=bundle, network=network, options=options)
    parts = Parts(out)
    engine = load_engine(work, network)
    parts.open(work.journal(), restart=options.restart)
    started = time.perf_counter()
    try:
        with gdal_cache(work.gdal_cache):
            timing = pipeline.run(work, engine, parts, on_progress)
            finishing = time.perf_counter()
            pixels = _finish(work, parts, out)
    except BaseException as error:
        if parts.keep_if_useful():
            error.add_note(f"finished strips are kept in {parts.folder}: the same command goes on")
        raise
    ended = time.perf_counter()
    return PredictResult(
        out=str(out),
        width=work.grid.width,
        height=work.grid.height,
        classes={known.name: pixels[known.code] for known in work.bundle.legend},
        nodata_pixels=pixels[NODATA],
        windows=len(work.tiling),
        seconds=ended - began,
        startup_seconds=started - began,
        pipeline_seconds=timing.pipeline,
        forward_seconds=timing.forward,
        finish_seconds=ended - finishing,
        mpx_per_s=work.grid.width * work.grid.height / 1e6 / (ended - began),
        peak_rss_mb=peak_memory() / 1e6,
        engine=engine.name,
        device=engine.device,
        precision=engine.precision,
        notes=work.notes,
    )


def load_engine(work: Plan, network: nn.Module | None = None) -> Engine:
    """The engine a plan asks for, loaded."""
    engine = make_engine(
        work.placement,
        work.bundle,
        work.side,
        work.dtype,
        footprint=work.tiling.size,
        model=work.model,
        network=network,
    )
    return engine if work.options.tta == "none" else Symmetric(engine, work.options.tta)


def expected_seconds(work: Plan, engine: Engine) -> float:
    """Time the forward passes will take, from two empty windows measured now."""
    shape = (1, len(work.bands), work.side, work.side)
    window = np.zeros(shape, work.dtype)
    engine(window)
    began = time.perf_counter()
    engine.to_host(engine(window))
    return (time.perf_counter() - began) * len(work.tiling)


def _finish(work: Plan, parts: Parts, out: Path) -> dict[int, int]:
    """Make the output of the finished strips, and remove them; pixels by file code."""
    parts.begin_finishing()
    counts = sum((parts.count(shard) for shard in work.shards), start=np.zeros(256, np.int64))
    pixels = {code: int(count) for code, count in enumerate(counts)}
    strips = [parts.strip(shard) for shard in work.shards]
    for path, bands in work.layers.outputs(work.options):
        assemble_shares(strips, path, work.grid, bands, work.tags())
    assemble(strips, out, work.grid, work.bundle.legend, pixels, work.tags())
    parts.remove()
    return pixels


def _resolve(
    bundle: Bundle | str | Path | None, network: nn.Module | None
) -> tuple[Bundle, Path | None]:
    """The Bundle, and the file that holds the weights unless a network is given."""
    if isinstance(bundle, Bundle):
        if network is None:
            raise OptionError("a Bundle has no weights", remedy="pass its file, or a network too")
        return bundle, None
    if network is not None:
        raise OptionError("a network needs a Bundle that describes it", got=bundle)
    model = EMBEDDED_MODEL if bundle is None else Path(bundle)
    return read_bundle(model), model


def _require_all_writable(out: Path, scene: str | Path, options: PredictOptions) -> None:
    _require_writable(out, scene, options.overwrite)
    beside = [Path(p) for p in (options.confidence, options.probabilities) if p is not None]
    names = [path.resolve() for path in (out, *beside)]
    if len(set(names)) < len(names):
        raise OutputError(f"two outputs are called {out}", remedy="give each a name of its own")
    own = options.overwrite or Parts(out).finishing()  # written by a run that was cut short
    for path in beside:
        _require_writable(path, scene, own)
    style = sidecars(out)[1]
    if not own and style.exists() and not is_plain_style(style):
        raise OutputError(
            f"{style} is a style that was saved for {out.name}",
            remedy="add --overwrite to replace it, or choose another name",
        )


def _require_writable(out: Path, scene: str | Path, overwrite: bool) -> None:
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise OutputError(f"{out} is not a GeoTIFF's name", expected="a name ending in .tif")
    if not out.parent.is_dir():
        raise OutputError(f"there is no folder {out.parent}", remedy="make it first")
    if not os.access(out.parent, os.W_OK):
        raise OutputError(f"nothing can be written to the folder {out.parent}")
    if out.is_dir():
        raise OutputError(f"{out} is a folder", expected="the name of a file")
    if out.exists() and Path(scene).exists() and out.samefile(scene):
        raise OutputError(f"{out} is the scene itself", remedy="choose another name")
    if out.exists() and not overwrite:
        raise OutputError(f"{out} is already there", remedy="add --overwrite to replace it")
