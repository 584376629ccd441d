"""``rsseg view`` in a browser: a map of four quarters, each of a class, over a plain scene."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS
from rasterio.io import MemoryFile

from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA
from rsseg.vectorise import vectorise

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SIDE = 600
SCENE = (200, 40, 160)
QUARTERS = {(-1, -1): 0, (1, -1): 1, (-1, 1): 3, (1, 1): 4}
"""Code of the class by the side, to the right and downwards, of the map's middle."""

OpenPage = Callable[..., Any]


def _codes() -> np.ndarray:
    codes = np.empty((1, SIDE, SIDE), np.uint8)
    half = SIDE // 2
    for (right, down), code in QUARTERS.items():
        rows = slice(half, None) if down > 0 else slice(half)
        codes[0, rows, slice(half, None) if right > 0 else slice(half)] = code
    codes[0, :40, :40] = NODATA
    return codes


@contextmanager
def _served(*arguments: object) -> Iterator[str]:
    """The address of a map that is served."""
    code = "from rsseg_cli.main import main; main()"
    call = [sys.executable, "-c", code, "view", *map(str, arguments), "--no-browser", "--json"]
    with subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())["address"]
        finally:
            server.send_signal(signal.SIGINT)
            _, complaints = server.communicate(timeout=20)
    assert (server.returncode, complaints) == (0, "")


def _write(folder: Path, crs: CRS | None, transform: Affine) -> None:
    grid = Grid(SIDE, SIDE, transform, crs)
    write_raster(folder / "map.tif", _codes(), grid, nodata=NODATA, legend=LAND_COVER)
    sure = np.where(_codes() == NODATA, NODATA, 127).astype(np.uint8)
    write_raster(folder / "sure.tif", sure, grid, nodata=NODATA)
    scene = np.broadcast_to(np.array(SCENE, np.uint8)[:, None, None], (3, SIDE, SIDE))
    write_raster(folder / "scene.tif", scene, grid)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a map with all that may belong to it."""
    folder = tmp_path_factory.mktemp("view")
    _write(folder, CRS.from_epsg(32633), Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000))
    vectorise(folder / "map.tif", folder / "map.gpkg")
    options = {"--scene": "scene.tif", "--confidence": "sure.tif", "--polygons": "map.gpkg"}
    files = [part for name, file in options.items() for part in (name, folder / file)]
    with _served(folder / "map.tif", *files) as found:
        yield found


@pytest.fixture
def settled(open_page: OpenPage) -> OpenPage:
    """A function that opens a page and waits until its tiles are drawn."""

    def open_one(address: str, **options: Any) -> Any:
        page = open_page(address, **options)
        _settle(page)
        return page

    return open_one


def _settle(page: Any) -> None:
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(400)  # tiles fade in


def _middle(page: Any) -> tuple[float, float]:
    box = page.locator("#map").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def _colour(page: Any, right: float, down: float) -> tuple[int, ...]:
    """What is seen so many pixels to the right of and below the middle of the map."""
    x, y = _middle(page)
    clip = {"x": round(x + right), "y": round(y + down), "width": 1, "height": 1}
    with MemoryFile(page.screenshot(clip=clip)) as file, file.open() as picture:
        return tuple(picture.read()[:3, 0, 0].tolist())


def _of_class(code: int) -> tuple[int, ...]:
    known = LAND_COVER.by_code(code)
    assert known is not None
    return known.colour


def _slide(page: Any, name: str, value: float) -> None:
    page.locator(name).evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }",
        value,
    )
    page.wait_for_timeout(100)


def _click(page: Any, right: float, down: float) -> str:
    """What is told of a place."""
    x, y = _middle(page)
    page.mouse.click(x + right, y + down)
    page.wait_for_selector("#here dl")
    page.wait_for_timeout(150)
    return str(page.locator("#here").inner_text())


def test_classes_are_seen_in_their_colours(settled: OpenPage, address: str) -> None:
    page = settled(address)
    assert page.title() == "map.tif"
    assert page.locator("h1").inner_text() == "map.tif"
    assert all(url.startswith(address) for url in page.requests)
    assert any("/tiles/classes/" in url for url in page.requests)
    _slide(page, "#opacity", 100)
    for (right, down), code in QUARTERS.items():
        assert _colour(page, 60 * right, 60 * down) == _of_class(code)


def test_opacity_lets_the_scene_shine_through(settled: OpenPage, address: str) -> None:
    page = settled(address)
    assert page.locator("#opaque").inner_text() == "70 %"
    half = _colour(page, 60, 60)
    wanted = [0.7 * c + 0.3 * s for c, s in zip(_of_class(4), SCENE, strict=True)]
    assert half == pytest.approx(wanted, abs=3)
    _slide(page, "#opacity", 0)
    assert _colour(page, 60, 60) == SCENE
    assert page.locator("#opaque").inner_text() == "0 %"


def test_hiding_classes_asks_for_no_tile(settled: OpenPage, address: str) -> None:
    page = settled(address)
    _slide(page, "#opacity", 100)
    asked = len(page.requests)
    page.get_by_label("water").uncheck()
    assert _colour(page, 60, 60) == SCENE
    assert _colour(page, -60, 60) == _of_class(3)
    page.get_by_role("button", name="None").click()
    assert {_colour(page, 60 * right, 60 * down) for right, down in QUARTERS} == {SCENE}
    page.get_by_label("vegetation").check()
    assert _colour(page, -60, 60) == _of_class(3)
    page.get_by_role("button", name="All").click()
    assert page.get_by_label("water").is_checked()
    assert _colour(page, 60, 60) == _of_class(4)
    assert len(page.requests) == asked


def test_layers_can_be_taken_away(settled: OpenPage, address: str) -> None:
    page = settled(address)
    page.get_by_label("Classes", exact=True).uncheck()
    _settle(page)
    assert _colour(page, 60, 60) == SCENE
    page.get_by_label("Confidence").check()
    _settle(page)
    assert _colour(page, 60, 60) == (128, 128, 128)
    page.get_by_label("Scene", exact=True).uncheck()
    assert _colour(page, 60, 60) == (128, 128, 128)


def test_a_click_tells_what_the_pixel_holds(settled: OpenPage, address: str) -> None:
    page = settled(address)
    for (right, down), code in QUARTERS.items():
        told = _click(page, 50 * right, 50 * down).split("\n")
        facts = dict(zip(told[::2], told[1::2], strict=False))
        known = LAND_COVER.by_code(code)
        assert known is not None
        assert facts["Class"] == f"{known.name} (code {code})"
        assert facts["Confidence"] == "0.500"
        column, row = (int(text.split()[1]) for text in facts["Pixel"].split(", "))
        assert _codes()[0, row, column] == code
        x, y = map(float, facts["EPSG:32633"].split(", "))
        assert (int((x - 400_000) * 2), int((5_000_000 - y) * 2)) == (column, row)
        lon, lat = map(float, facts["Lon, lat"].split(", "))
        assert (round(lon, 1), round(lat, 1)) == (13.7, 45.1)
        assert facts["Scene"] == "red 200, green 40, blue 160" or facts["Scene"].startswith(
            "band 1"
        )
        assert f"class\n{known.name}\n" in "\n".join(told)
        assert "Polygon of map" in told


def test_a_click_beside_the_map_says_so(settled: OpenPage, address: str) -> None:
    page = settled(address)
    assert "outside the map" in _click(page, -440, 0)


def test_swiping_parts_scene_and_map(settled: OpenPage, address: str) -> None:
    page = settled(address)
    _slide(page, "#opacity", 100)
    divider = page.locator("#divider")
    assert not divider.is_visible()
    page.get_by_label("Swipe").check()
    assert divider.is_visible()
    assert _colour(page, -60, 60) == SCENE
    assert _colour(page, 60, 60) == _of_class(4)
    divider.focus()
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    assert divider.get_attribute("aria-valuetext") == "70 %"
    assert _colour(page, 60, 60) == SCENE
    x, y = _middle(page)
    box = page.locator("#map").bounding_box()
    page.mouse.move(box["x"] + 17 + 0.7 * (box["width"] - 34), y)
    page.mouse.down()
    page.mouse.move(box["x"] + 17 + 0.2 * (box["width"] - 34), y, steps=5)
    page.mouse.up()
    assert float(divider.input_value()) == pytest.approx(20, abs=1)
    assert _colour(page, -60, 60) == _of_class(3)
    page.keyboard.press("Home")
    assert "vegetation" in _click(page, -50, 50), "the map beside the thumb takes clicks"
    page.get_by_label("Swipe").uncheck()
    assert _colour(page, -60, 60) == _of_class(3)


def test_the_keyboard_does_it_all(settled: OpenPage, address: str) -> None:
    page = settled(address)
    page.locator("#map").focus()
    for _ in range(3):
        page.keyboard.press("+")
        page.wait_for_timeout(300)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    _settle(page)
    page.keyboard.press("Enter")
    page.wait_for_selector("#here dl")
    assert "water" in page.locator("#here").inner_text()
    seen = []
    for _ in range(30):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.type"))
    assert {"all", "none", "checkbox", "opacity", "swipe", "layer-classes"} <= set(seen)


def test_what_is_seen_close_by_is_what_is_told(settled: OpenPage, address: str) -> None:
    """Borders of pixels are drawn where they are, to a fraction of a pixel."""
    page = settled(address)
    _slide(page, "#opacity", 100)
    page.get_by_label("Polygons").uncheck()
    page.locator("#map").focus()
    for _ in range(14):
        page.keyboard.press("+")
        page.wait_for_timeout(250)
    _settle(page)
    seen = set()
    for right, down in ((-90, -70), (-40, 60), (-14, -14), (14, 14), (50, -30), (80, 90)):
        colour = _colour(page, right, down)
        told = _click(page, right, down)
        (known,) = (each for each in LAND_COVER if each.colour == colour)
        assert f"{known.name} (code {known.code})" in told
        column, row = (
            int(text.split()[1]) for text in told.split("Pixel\n")[1].split("\n")[0].split(", ")
        )
        assert (abs(column - 299.5), abs(row - 299.5)) <= (3, 3)
        seen.add(known.code)
    assert seen == {0, 1, 3, 4}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_bars_people(
    settled: OpenPage, barriers: Callable[[Any], list[str]], address: str, width: int, dark: bool
) -> None:
    page = settled(address, width=width, height=740, dark=dark)
    page.get_by_label("Swipe").check()
    _click(page, 50, -50)
    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_phone_has_room_for_the_map(settled: OpenPage, address: str) -> None:
    page = settled(address, width=360, height=740, has_touch=True, is_mobile=True)
    before = page.locator("#map").bounding_box()
    assert before["width"] == 360
    assert before["height"] > 300
    page.get_by_role("button", name="Hide").tap()
    _settle(page)
    assert page.locator("#map").bounding_box()["height"] > before["height"] + 200
    assert not page.locator("#controls").is_visible()
    page.get_by_role("button", name="Show").tap()
    x, y = _middle(page)
    page.touchscreen.tap(x + 40, y + 40)
    page.wait_for_selector("#here dl")
    assert "water" in page.locator("#here").inner_text()


def test_a_map_without_a_place_is_shown_by_its_pixels(settled: OpenPage, tmp_path: Path) -> None:
    _write(tmp_path, None, Affine.identity())
    with _served(tmp_path / "map.tif", "--scene", tmp_path / "scene.tif", "--quiet") as found:
        page = settled(found)
        _slide(page, "#opacity", 100)
        for (right, down), code in QUARTERS.items():
            assert _colour(page, 60 * right, 60 * down) == _of_class(code)
        told = _click(page, 50, 50)
        assert "water (code 4)" in told
        assert "Lon" not in told
        assert "it is shown by its pixels" in page.locator("#notes").inner_text()
        page.context.close()


def test_what_fails_is_said(open_page: OpenPage, tmp_path: Path) -> None:
    _write(tmp_path, CRS.from_epsg(32633), Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000))
    with _served(tmp_path / "map.tif") as found:
        (tmp_path / "map.tif").unlink()
        page = open_page(found)
        page.wait_for_selector("#status:not(:empty)")
        assert "there is no file" in page.locator("#status").inner_text()
        _settle(page)
        assert page.complaints
        page.complaints.clear()
        page.context.close()
