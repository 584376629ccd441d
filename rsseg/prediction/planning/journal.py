"""What a prediction's bytes depend on, by which an unfinished run is known again."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from rsseg import __version__
from rsseg.geo.state import fingerprint

if TYPE_CHECKING:
    from rsseg.prediction.engines.engine import Placement
    from rsseg.prediction.planning.plan import Plan


def journal_of(work: Plan) -> dict[str, Any]:
    """All that decides the bytes of a plan's output, in plain types."""
    window, first = work.area.window, work.shards[0]
    rows, columns = first.bottom - first.top, first.right - first.left
    return {
        "rsseg": __version__,
        "library": f"{work.placement.engine} {version(work.placement.engine)}",
        "scene": fingerprint(work.scene),
        "grid": str(work.area.whole),
        "transform": list(work.area.whole.transform)[:6],
        "extent": [int(offset) for offset in window.flatten()],
        "aoi": work.area.identity,
        "model": work.identity,
        "calibrated": work.calibrated,
        "bands": list(work.bands),
        "window": work.side,
        "footprint": work.tiling.size,
        "stride": work.tiling.stride,
        "blend": work.options.blend,
        "shards": f"{len(work.shards)} of {rows} x {columns} pixels",
        "engine": work.placement.engine,
        "device": work.placement.device.split(":")[0],
        "precision": _precision(work.placement),
        "compiled": work.placement.compiled,
        "tta": work.options.tta,
        "layers": [len(work.layers), work.options.confidence_kind, work.layers.least],
        "stretch": work.options.stretch and work.bundle.normalisation.to_json(),
    }


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names of the entries in which two journals differ."""
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def _precision(placement: Placement) -> str:
    """What is computed in: bf16, and what int8 leaves, is fp32 on a CPU without bf16."""
    if placement.engine == "openvino" and placement.precision in ("bf16", "int8"):
        from rsseg.prediction.engines.openvino_engine import has_bf16

        if not has_bf16():
            return f"{placement.precision} without bf16"
    return placement.precision
