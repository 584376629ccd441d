"""What becomes of each of several scenes, and the sums of all."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class SceneOutcome:
    """What became of one scene.

    Args:
        scene: Its name, without what may give access.
        state: ``done`` now, ``skipped`` as it was done before, or ``failed``.
        out: Its map.
        result: As `PredictResult.to_json` gives it; of a skipped one, as it was then. With
            ``polygons`` and ``polygon_count`` where polygons were asked for.
        error: Why it failed.
        item: What STAC tells of the map.
    """

    scene: str
    state: Literal["done", "skipped", "failed"]
    out: str
    result: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    item: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """State, scene and result in one flat object, without the item."""
        told = {key: value for key, value in asdict(self).items() if value is not None}
        told.pop("item", None)
        return {**told.pop("result"), **told}


class Totals:
    """The sums of scenes, taken one by one, so that none of them need be kept."""

    def __init__(self) -> None:
        self.scenes = 0
        self.states = {"done": 0, "skipped": 0, "failed": 0}
        self._classes: dict[str, int] = {}
        self._nodata_pixels = 0
        self._forward_seconds = 0.0
        self._megapixels = 0.0
        self._workers: dict[str, dict[str, Any]] = {}

    def add(self, outcome: SceneOutcome) -> None:
        """Take one more."""
        result = outcome.result
        self.scenes += 1
        self.states[outcome.state] += 1
        for name, pixels in result.get("classes", {}).items():
            self._classes[name] = self._classes.get(name, 0) + pixels
        self._nodata_pixels += result.get("nodata_pixels", 0)
        if outcome.state == "done":
            self._forward_seconds += result["forward_seconds"]
            self._megapixels += result["width"] * result["height"] / 1e6
            for share in result.get("workers", ()):
                self._add_worker(share)

    def to_json(self, seconds: float) -> dict[str, Any]:
        """States, pixels by class and in all, and the speed of a run of so many seconds.

        Of a run on a cluster also ``workers``, as `rsseg.prediction.cluster.WorkerShare`.
        """
        told = {
            "scenes": self.scenes,
            **self.states,
            "classes": dict(self._classes),
            "nodata_pixels": self._nodata_pixels,
            "seconds": seconds,
            "forward_seconds": self._forward_seconds,
            "mpx_per_s": self._megapixels / seconds,
        }
        if self._workers:
            told["workers"] = [
                share | {"busy": min(1.0, share["seconds"] / seconds)}
                for _, share in sorted(self._workers.items())
            ]
        return told

    def _add_worker(self, share: dict[str, Any]) -> None:
        sums = self._workers.setdefault(share["worker"], {})
        for key, value in share.items():
            known = sums.get(key, 0)
            sums[key] = value if isinstance(value, str) else known + value
