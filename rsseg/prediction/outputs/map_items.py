"""What STAC tells of a finished map: one item with its files, place, classes and origin.

STAC 1.1 with the extensions projection 2.0, raster 1.1, classification 2.0 and processing 1.1:
https://stac-extensions.github.io.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rsseg import __version__
from rsseg.errors import RssegError
from rsseg.geo.grid import Grid
from rsseg.geo.lon_lat import as_geojson, lon_lat_box, lon_lat_outline
from rsseg.geo.objects import is_object
from rsseg.geo.projection import projection_of
from rsseg.geo.remote import is_remote, public_name
from rsseg.geo.scene import Scene
from rsseg.geo.stac import Item
from rsseg.geo.strips import ONE
from rsseg.legend import NODATA, Colour, LandClass, Legend
from rsseg.prediction.outputs.staging import MAP, Place
from rsseg.prediction.planning.prospect import Prospect

_EXTENSIONS = ("projection/v2.0.0", "raster/v1.1.0", "classification/v2.0.0", "processing/v1.1.0")
KINDS = (MAP, "confidence", "probabilities", "polygons")
"""Outputs of a scene, which are the assets of its item."""

CLASSES = "classification:classes"
_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_POLYGONS = "application/geopackage+sqlite3"


def map_item(
    name: str,
    work: Prospect,
    places: Mapping[str, Place],
    counts: Mapping[str, int],
    source: Item | None,
) -> dict[str, Any]:
    """The item of a map, as JSON.

    Its time is that of the source item, else what the scene's tags tell, else the time stamp of its
    file, else now.

    Args:
        name: Its id.
        work: What it was made by.
        places: Its outputs by kind.
        counts: Pixels by class name.
        source: What STAC tells of the scene.
    """
    grid, legend = work.grid, work.legend
    outline = lon_lat_outline(grid)
    folder = _folder(places[MAP])
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [
            f"https://stac-extensions.github.io/{each}/schema.json" for each in _EXTENSIONS
        ],
        "id": name,
        "geometry": None if outline is None else as_geojson(outline),
        "properties": {
            **_times(work.scene, source),
            **projection_of(grid),
            **({} if grid.gsd is None else {"gsd": round(grid.gsd, 6)}),
            "processing:software": {"rsseg": __version__},
        },
        "links": _links(source, folder),
        "assets": {
            kind: {"href": _seen_from(folder, place)} | _asset(kind, grid, legend, counts)
            for kind, place in places.items()
        },
    }
    if outline is not None:
        item["bbox"] = lon_lat_box(outline)
    return item


def legend_of_item(item: Mapping[str, Any]) -> Legend:
    """The classes that an item of `map_item` tells of."""
    classes = [known for known in item["assets"][MAP][CLASSES] if not known.get("nodata")]
    return Legend(
        tuple(
            LandClass(known["value"], known["title"], _bytes(known["color_hint"]))
            for known in classes
        )
    )


def _asset(kind: str, grid: Grid, legend: Legend, counts: Mapping[str, int]) -> dict[str, Any]:
    if kind == "polygons":
        return {"type": _POLYGONS, "title": "Polygons of the classes", "roles": ["data"]}
    band: dict[str, Any] = {"data_type": "uint8", "nodata": NODATA}
    if grid.gsd is not None:
        band["spatial_resolution"] = round(grid.gsd, 6)
    if kind == MAP:
        share = 100 * sum(counts.values()) / max(1, grid.width * grid.height)
        return {
            "type": _COG,
            "title": "Land cover",
            "roles": ["data"],
            "raster:bands": [band | {"statistics": {"valid_percent": round(share, 4)}}],
            CLASSES: _classes(legend, counts),
        }
    band |= {"scale": 1 / ONE, "offset": 0}
    sure = kind == "confidence"
    bands = [band] if sure else [{"name": known.name} | band for known in legend]
    title = "Confidence of the class" if sure else "Probability of each class"
    return {"type": _COG, "title": title, "roles": ["data"], "raster:bands": bands}


def _classes(legend: Legend, counts: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "value": known.code,
            "name": re.sub(r"[^\w-]+", "_", known.name, flags=re.ASCII).strip("_")
            or f"class_{known.code}",
            "title": known.name,
            "color_hint": known.hex.lstrip("#").upper(),
            "count": counts.get(known.name, 0),
        }
        for known in legend
    ] + [{"value": NODATA, "name": "nodata", "title": "no class", "nodata": True}]


def _bytes(hint: str) -> Colour:
    red, green, blue = bytes.fromhex(hint)
    return red, green, blue


def _times(scene: str, source: Item | None) -> dict[str, str | None]:
    if source is not None and source.times:
        return {"datetime": None} | dict(source.times)
    taken = None
    try:
        with Scene(scene) as opened:
            taken = opened.taken
    except RssegError:
        pass  # it has been mapped: that it does not tell its time now is no failure
    if taken is None:
        path = Path(scene)
        when = datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.is_file() else None
        taken = (when or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"datetime": taken}


def _links(source: Item | None, folder: str) -> list[dict[str, str]]:
    if source is None or source.href is None:
        return []
    href = public_name(source.href) if is_remote(source.href) else _seen_from(folder, source.href)
    return [{"rel": "derived_from", "href": href, "type": "application/geo+json"}]


def _folder(place: Place) -> str:
    return str(place).rpartition("/")[0] if is_object(place) else os.path.dirname(place)


def _seen_from(folder: str, place: Place) -> str:
    """A relative name, so that the folder can be moved; the whole one of another store or disk."""
    name = str(place)
    if is_object(folder):
        inside = name.startswith(f"{folder}/")
        return f"./{name.removeprefix(f'{folder}/')}" if inside else name
    if is_remote(name):
        return name
    relative = os.path.relpath(name, folder or ".").replace(os.sep, "/")
    return relative if relative.startswith("../") else f"./{relative}"
