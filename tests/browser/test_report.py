"""The report as people meet it: on desks and phones, on paper, by keyboard and screen reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA, LandClass, Legend
from rsseg.metrics import ConfusionMatrix
from rsseg.report import RunPanel, RunReport, report, report_run
from rsseg.report.charts import Series

pytestmark = pytest.mark.browser

LONG = Legend(
    tuple(
        LandClass(n, name, (30 * n, 250 - 30 * n, 99))
        for n, name in enumerate(
            ["impervious surfaces of any kind", "Donaudampfschifffahrtsgesellschaft", "a", "low"]
        )
    )
)


@pytest.fixture(scope="module")
def page_of_map(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    grid = Grid(300, 400, Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000), CRS.from_epsg(32633))
    generator = np.random.default_rng(0)
    codes = np.kron(generator.integers(0, 4, (30, 40)), np.ones((10, 10))).astype(np.uint8)
    truth = np.roll(codes, 7, axis=1)
    for name, layer in (("map.tif", codes), ("truth.tif", truth)):
        write_raster(folder / name, layer[None], grid, nodata=NODATA, legend=LONG)
    shares = generator.integers(90, 250, (1, 300, 400), dtype=np.uint8)
    write_raster(folder / "shares.tif", shares, grid, nodata=NODATA)
    scene = generator.integers(0, 255, (3, 300, 400), dtype=np.uint8)
    write_raster(folder / "scene.tif", scene, grid)
    with rasterio.open(folder / "map.tif", "r+") as target:
        target.update_tags(RSSEG_MODEL="0123456789abcdef" * 4)
    out = folder / "report.html"
    report(
        folder / "map.tif",
        out,
        scene=folder / "scene.tif",
        truth=folder / "truth.tif",
        confidence=folder / "shares.tif",
        title="A place with a rather long name_that_goes_on_and_on_without_any_space_in_it",
    )
    return out


@pytest.fixture(scope="module")
def page_of_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = np.random.default_rng(0)
    names = LAND_COVER.names
    confusion = ConfusionMatrix(names)
    confusion.update(generator.integers(0, 5, 999), generator.integers(0, 5, 999))
    codes = generator.integers(0, 5, (512, 512), dtype=np.uint8)
    image = generator.integers(0, 255, (512, 512, 4), dtype=np.uint8)
    steps = range(10, 500, 10)
    out = tmp_path_factory.mktemp("run") / "report.html"
    report_run(
        RunReport(
            title="A run",
            legend=LAND_COVER,
            scores=confusion.scores(),
            facts=[("network", "unet")],
            loss=[
                Series("of single steps", [(s, 9 / s) for s in steps], dots=True),
                Series("mean between validations", [(100, 0.2), (400, 0.1)], strong=True),
            ],
            validation=[
                *(Series(c.name, [(s, s / 600) for s in steps], c.hex) for c in LAND_COVER),
                Series("mean", [(s, s / 500) for s in steps], strong=True),
            ],
            panels=[RunPanel("a, row 1", "9 % wrong", image[..., :3], codes, codes, image)],
            recipe="title: a\n" + "x: " + "long " * 99,
            environment=[("python", "3.11")],
        ),
        out,
    )
    return out


@pytest.fixture(params=["map", "run"])
def page_file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(f"page_of_{request.param}")
    return path


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_it_fits_any_window_and_bars_nobody(
    open_page: Any, barriers: Any, page_file: Path, width: int, dark: bool
) -> None:
    page = open_page(page_file, width=width, dark=dark)
    assert page.requests == [page_file.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.images].every(each => each.naturalWidth > 0)")
    assert barriers(page) == []


def test_the_slider_is_moved_by_keys(open_page: Any, page_of_map: Path) -> None:
    page = open_page(page_of_map)
    slider = page.get_by_role("slider", name="Map over scene")
    drawn = page.locator("#map-picture")
    assert drawn.evaluate("each => getComputedStyle(each).opacity") == "0.7"
    slider.press("End")
    assert drawn.evaluate("each => getComputedStyle(each).opacity") == "1"
    assert slider.get_attribute("aria-valuetext") == "100 percent"
    slider.press("Home")
    assert drawn.evaluate("each => getComputedStyle(each).opacity") == "0"
    assert page.locator("#opacity-told").inner_text() == "0\xa0%"


def test_all_is_reached_by_the_tab_key(open_page: Any, page_of_map: Path) -> None:
    page = open_page(page_of_map)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = []
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.id || document.activeElement.ariaLabel")
        )
    assert "opacity" in reached
    assert "Confusion matrix" in reached


def test_scene_and_map_lie_over_each_other(open_page: Any, page_of_map: Path) -> None:
    page = open_page(page_of_map)
    scene, drawn = (each.bounding_box() for each in page.locator(".stack img").all())
    assert scene == drawn
    assert drawn["width"] / drawn["height"] == pytest.approx(4 / 3, rel=0.01)


def test_on_paper_both_stand_side_by_side_in_full(open_page: Any, page_of_map: Path) -> None:
    page = open_page(page_of_map, width=700, dark=True)
    page.emulate_media(media="print")
    scene, drawn = (each.bounding_box() for each in page.locator(".stack img").all())
    assert drawn["x"] + drawn["width"] <= scene["x"]
    style = "each => getComputedStyle(each)"
    assert page.locator("#map-picture").evaluate(f"each => ({style})(each).opacity") == "1"
    assert page.locator("body").evaluate(f"each => ({style})(each).color") == "rgb(0, 0, 0)"
    assert not page.locator("nav").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_without_scripts_nothing_is_offered_that_does_nothing(
    open_page: Any, page_of_map: Path
) -> None:
    page = open_page(page_of_map, java_script_enabled=False)
    assert not page.locator("#opacity").is_visible()
    assert page.locator("#map-picture").is_visible()
