"""The tool: show a map and what belongs to it in this machine's browser."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rsseg.errors import MissingExtra


@dataclass(frozen=True)
class Started:
    """A map that is shown: where, and what the user should know."""

    address: str
    port: int
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dicts."""
        return asdict(self) | {"notes": list(self.notes)}


def view(
    raster: str | Path,
    *,
    scene: str | Path | None = None,
    polygons: str | Path | None = None,
    confidence: str | Path | None = None,
    bands: Sequence[int | str] | None = None,
    port: int = 0,
    on_start: Callable[[Started], None] = lambda started: None,
    on_wait: Callable[[str], None] = lambda sentence: None,
) -> None:
    """Serve a map to this machine until interrupted, from the named files and nothing else.

    The address is of 127.0.0.1, which other machines do not reach. No file is changed; a raster
    without overviews gets temporary ones elsewhere.

    Args:
        raster: The class raster; without colours it is read once, and its classes get some.
        scene: The scene it is a map of.
        polygons: Its polygons, or any other layers of polygons.
        confidence: Its confidence, one band.
        bands: Numbers from 1 or names of the scene's bands drawn as red, green and blue, or of one
            drawn in grey; if None, those of these names, else the first three, else the first.
        port: Where to listen; 0 for any port that is free.
        on_start: Called once when the map can be looked at.
        on_wait: Called with a sentence before something that takes a while.

    Raises:
        SceneError: If a file cannot be read or is of another kind.
        BandError: If a band is not there.
        GridMismatch: If a file lies somewhere else than the map.
        LegendError: If the map's legend contradicts itself, or a value is no code.
        OptionError: If the port cannot be used, or bands are given without a scene.
        OutputError: If there is no room for temporary files.
        MissingExtra: If what serves it is not installed.
    """
    for module, package in (("rio_tiler", "rio-tiler"), ("starlette",) * 2, ("uvicorn",) * 2):
        if importlib.util.find_spec(module) is None:
            raise MissingExtra(package, "view")
    from rsseg.view.app import create_app
    from rsseg.view.serving import HOST, WORKERS, ending_softly, listening, serve
    from rsseg.view.viewed import ViewedMap

    with (
        ending_softly(),
        listening(port) as waiting,
        ViewedMap(
            raster,
            scene=scene,
            polygons=polygons,
            confidence=confidence,
            bands=bands,
            on_wait=on_wait,
        ) as viewed,
    ):
        port = int(waiting.getsockname()[1])
        on_start(Started(f"http://{HOST}:{port}/", port, tuple(viewed.notes)))
        serve(waiting, lambda workers: create_app(viewed, port, workers, WORKERS))
