"""The tool: folders as delivered in, pansharpened GeoTIFFs and a catalogue out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.gaofen1.calibration import STEP, UNIT, Calibration, calibration_of
from rsseg.data.gaofen1.field_labels import FieldPolygons, FieldRaster, require_on_scenes
from rsseg.data.gaofen1.fusion import count_windows, pansharpen_files
from rsseg.data.gaofen1.orthorectification import common_grid, count_tiles, orthorectify
from rsseg.data.gaofen1.product import RATIO, Product, find_products
from rsseg.data.tables import write_catalogue
from rsseg.errors import OutputError, SceneError
from rsseg.geo.grid import Grid
from rsseg.geo.opening import gdal_cache

_CACHE = 256 * 2**20


@dataclass(frozen=True)
class PreparedScenes:
    """What came of it.

    Args:
        images: The GeoTIFFs written.
        catalogue: The scenes with labels, also written as ``catalogue.csv``; None without polygons.
        pixels: Labelled pixels by class name.
        notes: What the user should know.
    """

    images: tuple[Path, ...]
    catalogue: Catalogue | None
    pixels: dict[str, int]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "images": [str(image) for image in self.images],
            "labelled": len(self.catalogue) if self.catalogue else 0,
            "pixels": self.pixels,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class _Plan:
    """One scene, checked, before any of it is written."""

    product: Product
    grid: Grid
    calibration: Calibration | None
    fields: FieldRaster | None

    @property
    def steps(self) -> int:
        coarse = _coarse(self.grid)
        return (
            count_tiles(self.product.pan, self.grid)
            + count_tiles(self.product.mss, coarse)
            + count_windows(self.grid)
        )


def prepare(
    source: str | Path,
    target: str | Path,
    *,
    dem: str | Path | None = None,
    gains: str | Path | None = None,
    fields: FieldPolygons | None = None,
    overviews: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> PreparedScenes:
    """Orthorectify, pansharpen and perhaps calibrate and label Gaofen-1 PMS scenes.

    Each scene becomes ``NAME.tif``: blue, green, red, nir of 2 m as uint16, nodata 0, in the UTM
    zone of its centre. With polygons, those that have some also become ``NAME_label.tif`` and a row
    of ``catalogue.csv``, which is written last.

    Args:
        source: Folder of a scene as delivered, unpacked, or a folder of such folders.
        target: Folder to write to; made if missing.
        dem: Heights above the ellipsoid, metres; a constant height, that of the scene's RPC, if
            None.
        gains: Table of calibration gains (see `read_gains`): radiances are written instead of
            digital numbers.
        fields: Polygons to rasterise.
        overviews: Whether to add overviews to the scenes.
        on_progress: Called with tiles done and tiles in all.

    Raises:
        SceneError: If a scene is incomplete or damaged, the DEM does not serve, or polygons lie
            elsewhere.
        BandError: If an image has other bands than the camera.
        OptionError: If the table of gains does not serve, or polygons have no such field.
        LegendError: If the classes of the polygons contradict each other.
        OutputError: If a target cannot be written.
    """
    plans = _plans(source, dem, gains, fields)
    total, done = sum(plan.steps for plan in plans), 0

    def step() -> None:
        nonlocal done
        done += 1
        on_progress(done, total)

    target = Path(target)
    images, rows, pixels, notes = [], [], dict[str, int](), list(_notes(plans, dem))
    for plan in plans:
        image = target / f"{plan.product.name}.tif"
        with _parts(target, plan.product.name) as parts, gdal_cache(_CACHE):
            _write_image(plan, image, parts, dem, overviews, step)
            images.append(image)
            if fields is not None and plan.fields is not None:
                label = target / f"{plan.product.name}_label.tif"
                for name, count in plan.fields.write(image, label, parts).items():
                    pixels[name] = pixels.get(name, 0) + count
                rows.append(LabelledScene(image, label, fields.split, plan.product.name))
    catalogue = Catalogue(tuple(rows)) if rows else None
    if catalogue is not None:
        write_catalogue(target / "catalogue.csv", catalogue)
    return PreparedScenes(tuple(images), catalogue, pixels, tuple(dict.fromkeys(notes)))


def _plans(
    source: str | Path,
    dem: str | Path | None,
    gains: str | Path | None,
    fields: FieldPolygons | None,
) -> list[_Plan]:
    plans = []
    for product in find_products(source):
        grid = common_grid(product, dem)
        raster = None if fields is None else FieldRaster.read(fields, grid)
        plans.append(_Plan(product, grid, calibration_of(product, gains), raster))
    names = [plan.product.name for plan in plans]
    for name in names:
        if names.count(name) > 1:
            raise SceneError(f"{source} holds the scene {name} more than once")
    if fields is not None:
        require_on_scenes([plan.fields for plan in plans], fields)
    return plans


def _write_image(
    plan: _Plan,
    image: Path,
    parts: Path,
    dem: str | Path | None,
    overviews: bool,
    step: Callable[[], None],
) -> None:
    product, pan, mss = plan.product, parts / "pan.tif", parts / "mss.tif"
    try:
        orthorectify(product.pan, plan.grid, pan, dem=dem, on_tile=step)
        orthorectify(product.mss, _coarse(plan.grid), mss, dem=dem, on_tile=step)
    except OSError as error:
        raise OutputError(f"{parts} cannot be written to: {error}") from error
    tags = {"SCENE": product.name, "SENSOR": f"GF1 {product.camera}", "YEAR": str(product.year)}
    pansharpen_files(
        pan,
        mss,
        image,
        calibration=plan.calibration,
        overviews=overviews,
        tags=tags,
        on_window=step,
    )


def _coarse(grid: Grid) -> Grid:
    return grid.resized((grid.height // RATIO, grid.width // RATIO))


@contextmanager
def _parts(target: Path, name: str) -> Iterator[Path]:
    """A folder for unfinished work; what a killed process left in it goes first."""
    parts = target / f".{name}.parts"
    try:
        target.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir()
    except OSError as error:
        raise OutputError(f"{target} cannot be written to: {error}") from error
    try:
        yield parts
    finally:
        shutil.rmtree(parts, ignore_errors=True)


def _notes(plans: list[_Plan], dem: str | Path | None) -> Iterator[str]:
    for plan in plans:
        name = plan.product.name
        if dem is None:
            height = plan.product.pan.rpc.height_off
            yield f"{name}: without a DEM all ground is taken to lie at {height:g} m"
        if plan.calibration is None:
            yield (
                f"{name}: digital numbers are kept, its metadata has no gains; those of CRESDA for"
                f" {plan.product.camera} in {plan.product.year} can be given as a table"
            )
        else:
            yield f"{name}: radiances in steps of {STEP} {UNIT}"
        if plan.fields is not None:
            yield from plan.fields.notes
    if any(plan.fields for plan in plans):
        for plan in plans:
            if plan.fields is None:
                yield f"{plan.product.name}: no polygon lies on it, it is not in the catalogue"
