"""What a file holds, in plain types: a model's Bundle, a map's classes, a scene's bands."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import rasterio
from rasterio.io import DatasetReader

from rsseg.bundle import is_graph, read_bundle
from rsseg.geo.class_raster import LEGEND_TAG, count_codes, is_class_raster, read_legend
from rsseg.geo.grid import Grid
from rsseg.geo.opening import open_raster
from rsseg.geo.scene import Scene
from rsseg.legend import NODATA

_PREFIX = "RSSEG_"
"""Of the tags in which a map tells how it was made."""


def describe(path: str | Path) -> dict[str, Any]:
    """Describe a model file, a class raster or a scene.

    Neither torch nor weights are loaded.

    Raises:
        BundleError: If a ``.safetensors`` or ``.onnx`` file is not a model of rsseg.
        SceneError: If anything else is not a raster, or a class raster is damaged.
        LegendError: If the classes of a class raster contradict each other.
    """
    if Path(path).suffix == ".safetensors" or is_graph(path):
        return _model(path)
    with rasterio.Env():  # else GDAL's own messages go to the terminal
        with open_raster(path) as dataset:
            common = {"file": str(path), **_grid(Grid.of(dataset))}
            if is_class_raster(dataset):
                return {"kind": "class raster", **common, **_classes(dataset)}
        with Scene(path) as scene:
            bands = {"bands": list(scene.band_names), "type": str(scene.dtype)}
    return {"kind": "scene", **common, **bands}


def _model(path: str | Path) -> dict[str, Any]:
    bundle = read_bundle(path)
    scores = {name: row["iou"] for name, row in bundle.scores.get("classes", {}).items()}
    return {
        "kind": "model",
        "file": str(path),
        "architecture": bundle.architecture,
        "options": bundle.options,
        "bands": list(bundle.bands),
        "classes": {known.code: known.name for known in bundle.legend},
        "window": bundle.window,
        "gsd": bundle.gsd or "unknown",
        "normalisation": bundle.normalisation.to_json(),
        "licence": bundle.licence,
        "miou": bundle.scores.get("miou"),
        "iou": scores,
        "provenance": bundle.provenance,
    }


def _grid(grid: Grid) -> dict[str, Any]:
    matrix = grid.transform
    told: dict[str, Any] = {
        "width": grid.width,
        "height": grid.height,
        "crs": grid.crs.to_string() if grid.crs else "none",
        "transform": list(matrix)[:6],
    }
    if grid.georeferenced:
        told["pixel_size"] = [math.hypot(matrix.a, matrix.d), math.hypot(matrix.b, matrix.e)]
        told["bounds"] = list(grid.outline().bounds)
    return told


def _classes(dataset: DatasetReader) -> dict[str, Any]:
    counts = count_codes(dataset.name)
    nodata = NODATA if dataset.nodata is None else int(dataset.nodata)
    classified = int(counts.sum() - counts[nodata])
    legend = read_legend(dataset)
    names = {known.code: known.name for known in legend}
    return {
        "classes": {
            names.get(code, f"class {code}"): {
                "code": code,
                "pixels": int(counts[code]),
                "share": float(counts[code] / max(1, classified)),
            }
            for code in range(256)
            if code != nodata and (counts[code] or code in names)
        },
        "nodata_pixels": int(counts[nodata]),
        "provenance": {
            key.removeprefix(_PREFIX).lower(): text
            for key, text in dataset.tags().items()
            if key.startswith(_PREFIX) and key != LEGEND_TAG
        },
    }
