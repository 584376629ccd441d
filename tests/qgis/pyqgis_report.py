"""What QGIS itself makes of files: run by the system's Python, which has PyQGIS.

``python3 pyqgis_report.py PICTURES FILE...`` prints one JSON object, an entry by file: a project
(``.qgz``), a vector file or a raster. Pictures of each layer alone, and of a project as it opens,
are drawn into the folder PICTURES.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from qgis.core import (  # noqa: E402
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsMapLayer,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterBandStats,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.gui import QgsMapCanvas  # noqa: E402
from qgis.PyQt.QtCore import QSize  # noqa: E402
from qgis.PyQt.QtGui import QColor  # noqa: E402

SIDE = 400
"""Pixels of the longer side of pictures."""


def main() -> None:
    application = QgsApplication([], True)
    application.initQgis()
    pictures = Path(sys.argv[1])
    report = {}
    for name in sys.argv[2:]:
        path = Path(name)
        if path.suffix == ".qgz":
            report[name] = of_project(path, pictures)
        else:
            layer = open_layer(path)
            report[name] = of_layer(layer)
            draw([layer], layer.crs(), layer.extent(), pictures / f"{path.name}.png")
    print(json.dumps(report))
    sys.stdout.flush()
    os._exit(0)  # taking QGIS down by hand is known to crash


def open_layer(path: Path) -> QgsMapLayer:
    if path.suffix in (".gpkg", ".fgb", ".geojson"):
        return QgsVectorLayer(str(path), path.stem, "ogr")
    return QgsRasterLayer(str(path), path.stem)


def of_project(path: Path, pictures: Path) -> dict[str, Any]:
    canvas = QgsMapCanvas()
    canvas.setObjectName("theMapCanvas")
    canvas.resize(SIDE, SIDE)
    project = QgsProject.instance()
    read = project.read(str(path))
    root = project.layerTreeRoot()
    found = root.layerOrder()
    shown = [layer for layer in found if root.findLayer(layer.id()).isVisible()]
    extent = canvas.extent()
    draw(shown, project.crs(), extent, pictures / f"{path.name}.png")
    for layer in found:
        draw([layer], layer.crs(), layer.extent(), pictures / f"{path.name}-{layer.id()}.png")
    return {
        "read": read,
        "title": project.title(),
        "crs": project.crs().authid(),
        "ellipsoid": project.ellipsoid(),
        "extent": edges(extent),
        "layers": {layer.id(): of_layer(layer) for layer in found},
        "shown": [layer.id() for layer in shown],
    }


def of_layer(layer: QgsMapLayer) -> dict[str, Any]:
    renderer = layer.renderer()
    report = {
        "name": layer.name(),
        "valid": layer.isValid(),
        "source": layer.source(),
        "crs": layer.crs().authid(),
        "same_crs_as_file": layer.isValid() and layer.crs() == layer.dataProvider().crs(),
        "extent": edges(layer.extent()),
        "opacity": layer.opacity(),
        "renderer": renderer.type() if renderer else None,
    }
    if report["renderer"] == "paletted":
        report["classes"] = [
            [int(each.value), each.label, each.color.name()] for each in renderer.classes()
        ]
        wanted = QgsRasterBandStats.Min | QgsRasterBandStats.Max | QgsRasterBandStats.Mean
        report["has_statistics"] = layer.dataProvider().hasStatistics(1, wanted)
    elif report["renderer"] == "categorizedSymbol":
        report["field"] = renderer.classAttribute()
        report["classes"] = [
            [each.value(), each.label(), each.symbol().color().name()]
            for each in renderer.categories()
        ]
        report["outlines"] = [
            each.symbol().symbolLayer(0).strokeWidth() for each in renderer.categories()
        ]
    elif report["renderer"] == "multibandcolor":
        report["bands"] = [renderer.redBand(), renderer.greenBand(), renderer.blueBand()]
        report["alpha"] = renderer.alphaBand()
        stretch = renderer.redContrastEnhancement()
        report["limits"] = [stretch.minimumValue(), stretch.maximumValue()]
    elif report["renderer"] == "singlebandgray":
        report["bands"] = [renderer.grayBand()]
        report["alpha"] = renderer.alphaBand()
        stretch = renderer.contrastEnhancement()
        report["limits"] = [stretch.minimumValue(), stretch.maximumValue()]
    if isinstance(layer, QgsVectorLayer):
        report["features"] = layer.featureCount()
    return report


def draw(
    layers: list[QgsMapLayer],
    crs: QgsCoordinateReferenceSystem,
    extent: QgsRectangle,
    path: Path,
) -> None:
    """Draw layers on magenta, the longer side of the extent in `SIDE` pixels."""
    longest = max(extent.width(), extent.height())
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(crs)
    settings.setExtent(extent)
    settings.setOutputSize(
        QSize(round(SIDE * extent.width() / longest), round(SIDE * extent.height() / longest))
    )
    settings.setBackgroundColor(QColor(255, 0, 255))
    settings.setFlag(QgsMapSettings.Antialiasing, False)
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(str(path))


def edges(extent: QgsRectangle) -> list[float]:
    return [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()]


main()
