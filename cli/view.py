"""``rsseg view``: a map in the browser."""

from __future__ import annotations

import os
import sys
import threading

import click

from . import helpers


@click.command("view")
@click.argument("raster")
@click.option("--scene", help="The scene that RASTER is a map of, drawn below it.")
@click.option("--polygons", help="Its polygons, from rsseg vectorise, or others.")
@click.option("--confidence", help="Its confidence, from rsseg predict.")
@helpers.drawn_bands
@click.option("--port", type=click.IntRange(1, 65535), help="Where to serve it; else a free port.")
@click.option("--no-browser", is_flag=True, help="Print the address, and open no browser.")
@helpers.output_options
def command(
    raster: str,
    scene: str | None,
    polygons: str | None,
    confidence: str | None,
    bands: str | None,
    port: int | None,
    no_browser: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Look at the class map RASTER over its scene in the browser, until Ctrl-C.

    Classes can be hidden, the map made transparent or swiped over the scene; a click tells class,
    confidence and coordinates of a pixel. Only this machine reaches the map, only the named files
    are served, and nothing is asked of a network.
    """
    from rsseg.view import Started, view

    def begin(started: Started) -> None:
        helpers.note(started.notes, quiet=quiet)
        text = f"{raster}: {started.address} (Ctrl-C ends)"
        helpers.report(text, started.to_json(), quiet=quiet, as_json=as_json)
        sys.stdout.flush()
        if not no_browser:
            _open_browser(started.address)

    view(
        raster,
        scene=scene,
        polygons=polygons,
        confidence=confidence,
        bands=helpers.names(bands),
        port=port or 0,
        on_start=begin,
        on_wait=lambda sentence: helpers.note((sentence,), quiet=quiet),
    )


def _open_browser(address: str) -> None:
    """Open the browser of a desktop; without one, a browser of text would take the terminal."""
    import webbrowser

    desktop = os.name == "nt" or sys.platform == "darwin"
    if desktop or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
