"""``report``: a map and what belongs to it in, one HTML file out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rsseg.errors import OptionError
from rsseg.geo.class_colours import doubts, shown_classes
from rsseg.geo.code_raster import CodeRaster
from rsseg.geo.opening import gdal_cache
from rsseg.legend import NODATA
from rsseg.report.accuracy import accuracy
from rsseg.report.confidence import ConfidenceRaster
from rsseg.report.counting import CACHE, Counted, count
from rsseg.report.ground import crs_name, north, pixel_size, scale_bar
from rsseg.report.page import SUFFIXES, require_templates, write_page
from rsseg.report.scenes import SceneBelow
from rsseg.report.sections import certainty, extent, headline, provenance
from rsseg.report.truth import Compared, TruthOptions, compare_with_truth, opened
from rsseg.report.views import Views
from rsseg.writable import require_writable

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Report:
    """What was written.

    Args:
        out: The page.
        bytes: Its size.
        classes: Pixels by class.
        areas: Square metres by class; None where pixels have no area on the ground.
        nodata_pixels: Pixels of no class.
        mean_confidence: Of all pixels that have one; None without.
        oa: Overall accuracy by the full truth; None without truth.
        miou: Mean IoU by the full truth; None without truth.
        notes: What the user should know.
    """

    out: str
    bytes: int
    classes: dict[str, int]
    areas: dict[str, float] | None
    nodata_pixels: int
    mean_confidence: float | None
    oa: float | None
    miou: float | None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dicts."""
        return asdict(self) | {"notes": list(self.notes)}


def report(
    raster: str | Path,
    out: str | Path,
    *,
    scene: str | Path | None = None,
    truth: str | Path | None = None,
    confidence: str | Path | None = None,
    title: str | None = None,
    bands: Sequence[int | str] | None = None,
    options: TruthOptions | None = None,
    overwrite: bool = False,
    on_progress: Progress = lambda done, total: None,
) -> Report:
    """Write a report of a class raster: one HTML file of a few megabytes that needs no network.

    It has the map over the scene, the area of each class, the confidence and its least certain
    places; and by truth the scores, the confusion matrix and the windows that are wrong most.
    Files are read strip by strip, in memory that does not grow with their height.

    Args:
        raster: The map, one band of class codes.
        out: The page, ``.html``.
        scene: The scene it was made of; the map may be a part of it.
        truth: A class raster on its grid, or a vector file of polygons or points with a class.
        confidence: Its confidence, on its grid.
        title: Of the report; the name of the map if None.
        bands: Of the scene, see `SceneBelow`.
        options: How truth is compared.
        overwrite: Whether to replace ``out`` if it is there.
        on_progress: Called with pixels done and pixels in all.

    Raises:
        SceneError: If a file cannot be read or is of the wrong kind.
        BandError: If a band is not there.
        GridMismatch: If a file lies on another grid.
        LegendError: If the classes of map and truth have nothing in common.
        OptionError: If an option cannot be used, or the page would replace an input.
        OutputError: If the page is there already or cannot be written.
        MissingExtra: If jinja2 is not installed.
    """
    require_templates()
    if bands is not None and scene is None:
        raise OptionError("bands are chosen of a scene", remedy="name the scene too")
    if options is not None and truth is None:
        raise OptionError(
            "distances, fields and layers are those of truth", remedy="name the truth too"
        )
    inputs = [path for path in (raster, scene, truth, confidence) if path is not None]
    require_writable(out, SUFFIXES, inputs=inputs, overwrite=overwrite)
    with ExitStack() as stack:
        stack.enter_context(gdal_cache(CACHE))
        codes = stack.enter_context(CodeRaster(raster))
        shares = below = known = compared = None
        passes = 1
        if confidence is not None:
            shares = stack.enter_context(ConfidenceRaster(confidence, codes.grid, codes.name))
        if scene is not None:
            below = stack.enter_context(SceneBelow(scene, codes.grid, codes.name, bands))
        if truth is not None:
            known = stack.enter_context(opened(truth, codes, options or TruthOptions()))
            passes = 3
        counted = count(codes, shares, lambda done, total: on_progress(done, passes * total))
        classes = shown_classes(codes.legend, counted.pixels, coloured=codes.coloured)
        views = Views(codes, classes, below)
        if known is not None:
            compared = compare_with_truth(
                codes,
                *known,
                classes,
                lambda done, total: on_progress(total // 2 + done, total // 2 * passes),
            )
        page = _page(counted, compared, views, title or Path(codes.name).stem)
    size = write_page("map.html", out, page)
    return _report(str(out), size, counted, compared, page)


def _page(counted: Counted, compared: Compared | None, views: Views, title: str) -> dict[str, Any]:
    """What the template speaks of."""
    grid = views.raster.grid
    drawn, below = views.whole()
    found, certain = extent(counted, views.classes), certainty(counted, views)
    scores = None if compared is None else _full(compared)
    return {
        "notes": doubts(views.raster, views.classes),
        "title": title,
        "facts": headline(found, certain, scores),
        "size": f"{grid.width:,} × {grid.height:,} pixels",
        "pixel": pixel_size(grid),
        "crs": None if grid.crs is None else crs_name(grid),
        "map": drawn,
        "scene": below,
        "bar": scale_bar(grid),
        "north": north(grid),
        "geographic": grid.crs is not None and grid.crs.is_geographic,
        "extent": found,
        "certainty": certain,
        "accuracy": None if compared is None else accuracy(compared, views.classes, views),
        "scores": scores,
        "provenance": provenance(views.raster),
    }


def _full(compared: Compared) -> dict[str, Any]:
    """The scores by all of the truth."""
    scores: dict[str, Any] = compared.evaluation.scores
    return dict(scores.get("full", scores))


def _report(
    out: str, size: int, counted: Counted, compared: Compared | None, page: dict[str, Any]
) -> Report:
    known = {row.code: row.name for row in page["extent"].classes}
    areas = counted.areas
    certain, scores = page["certainty"], page["scores"] or {}
    return Report(
        out=out,
        bytes=size,
        classes={name: int(counted.pixels[code]) for code, name in known.items()},
        areas=None if areas is None else {n: float(areas[code]) for code, n in known.items()},
        nodata_pixels=int(counted.pixels[NODATA]),
        mean_confidence=None if certain is None else certain.mean,
        oa=scores.get("oa"),
        miou=scores.get("miou"),
        notes=(*page["notes"], *(() if compared is None else compared.evaluation.notes)),
    )
