"""The addresses of a map, and none beside them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

from rsseg.errors import SceneError
from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import NODATA
from rsseg.vectorise import vectorise
from rsseg.view.app import create_app
from rsseg.view.plane import TILE
from rsseg.view.viewed import ViewedMap

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

PORT = 8123
HOST = f"127.0.0.1:{PORT}"
Make = Callable[..., Path]
Ask = Callable[..., "Answer"]


class Answer:
    def __init__(self, said: list[dict[str, Any]]) -> None:
        self.status = said[0]["status"]
        self.headers = {name.decode(): text.decode() for name, text in said[0]["headers"]}
        self.body = b"".join(each.get("body", b"") for each in said)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture(scope="module")
def folder(make_map: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a map, its scene, confidence and polygons."""
    folder = tmp_path_factory.mktemp("viewed")
    with rasterio.open(make_map(folder / "map.tif", shape=(64, 64))) as dataset:
        codes, grid = dataset.read(), Grid.of(dataset)
    sure = np.where(codes == NODATA, NODATA, 127).astype(np.uint8)
    write_raster(folder / "sure.tif", sure, grid, nodata=NODATA)
    pixels = np.random.default_rng(1).integers(0, 256, (4, 64, 64), np.uint8)
    write_raster(folder / "scene.tif", pixels, grid, bands=("NIR", "Red", "Green", "Blue"))
    vectorise(folder / "map.tif", folder / "map.gpkg")
    return folder


@pytest.fixture(scope="module")
def viewed(folder: Path) -> Iterator[ViewedMap]:
    with ViewedMap(
        folder / "map.tif",
        scene=folder / "scene.tif",
        confidence=folder / "sure.tif",
        polygons=folder / "map.gpkg",
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
def ask(viewed: ViewedMap) -> Iterator[Ask]:
    """A function that asks the application for an address."""
    with ThreadPoolExecutor(2) as workers:
        app = create_app(viewed, PORT, workers, 2)

        def send_request(address: str, *, gone: bool = False) -> Answer:
            said: list[dict[str, Any]] = []

            async def receive() -> dict[str, Any]:
                return {"type": "http.disconnect"} if gone else await asyncio.Event().wait()

            async def send(message: dict[str, Any]) -> None:
                said.append(dict(message))

            path, _, query = address.partition("?")
            scope = {
                "type": "http",
                "http_version": "1.1",
                "method": "GET",
                "path": unquote(path),
                "raw_path": path.encode(),
                "query_string": query.encode(),
                "headers": [(b"host", HOST.encode())],
            }
            asyncio.run(app(scope, receive, send))
            return Answer(said)

        yield send_request


def _middle(viewed: ViewedMap, zoom: int) -> str:
    """The address of the tile in the middle of the map."""
    left, bottom, right, top = viewed.plane.extent
    world = viewed.plane.tile(0, 0, 0)
    assert world is not None
    side = (world[2] - world[0]) / 2**zoom
    column = int(((left + right) / 2 - world[0]) / side)
    return f"{zoom}/{column}/{int((world[3] - (bottom + top) / 2) / side)}"


def test_the_page_and_all_that_it_names_are_there(ask: Ask) -> None:
    page = ask("/")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    names = [part.split('"')[0] for part in page.body.decode().split('"/page/')[1:]]
    assert {"view.js", "view.css", "leaflet.js", "leaflet.css", "icon.svg"} == set(names)
    kinds = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    for name in names:
        answer = ask(f"/page/{name}")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(kinds[name.rpartition(".")[2]])


def test_pages_ask_for_nothing_off_this_machine() -> None:
    folder = Path(__file__).parents[2] / "rsseg" / "view" / "page"
    own = [path for path in folder.iterdir() if "leaflet" not in path.name]
    assert len(own) >= 7
    for path in own:
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in text.replace("// ", ""), path.name


@pytest.mark.parametrize(
    "address",
    [
        "/page",
        "/page/",
        "/page/index.html",
        "/page/leaflet.LICENSE",
        "/page/../viewed.py",
        "/page/%2e%2e/viewed.py",
        "/page/..%2fviewed.py",
        "/page//etc/passwd",
        "/etc/passwd",
        "//etc/passwd",
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/map.tif",
        "/map/",
        "/tiles",
        "/tiles/classes",
        "/tiles/other/0/0/0",
        "/tiles/classes/0/0/0/",
        "/tiles/classes/x/0/0",
        "/tiles/classes/-1/0/0",
        "/tiles/classes/0/0/0.5",
        "/tiles/classes/0/0/0?size=100000",
        "/tiles/classes/0/0/0?size=x",
        "/tiles/classes/0/0/" + "9" * 5000,
        "/tiles/classes/٣/0/0",
        "/tiles/..%2f..%2fetc/0/0/0",
        "http://evil.example/",
    ],
)
def test_other_addresses_lead_nowhere(ask: Ask, address: str) -> None:
    answer = ask(address)
    assert answer.status == 404
    assert len(answer.body) < 30


def test_tiles_of_all_layers(ask: Ask, viewed: ViewedMap) -> None:
    where = _middle(viewed, viewed.plane.zoom)
    codes = ask(f"/tiles/classes/{where}")
    assert codes.status == 200
    assert len(codes.body) == TILE * TILE
    assert set(codes.body) == {0, 1, 2, 3, 4, 255}
    assert len(ask(f"/tiles/classes/{where}?size=512").body) == 4 * TILE * TILE
    for layer in ("scene", "confidence"):
        picture = ask(f"/tiles/{layer}/{where}")
        assert picture.headers["content-type"] == "image/png"
        assert picture.body.startswith(b"\x89PNG")
    lines = ask(f"/tiles/polygons/{where}").json
    assert lines["crowded"] is False
    assert {known for known, _ in lines["lines"]} == {0, 1, 2, 3, 4}


def test_a_tile_beside_the_map_is_empty(ask: Ask) -> None:
    for layer in ("classes", "scene", "polygons"):
        answer = ask(f"/tiles/{layer}/10/0/0")
        assert (answer.status, answer.body) == (204, b"")


def test_a_point_is_told_as_the_files_have_it(ask: Ask, viewed: ViewedMap, folder: Path) -> None:
    grid = viewed.plane.grid
    with rasterio.open(folder / "map.tif") as dataset:
        codes = dataset.read(1)
    with rasterio.open(folder / "scene.tif") as dataset:
        pixels = dataset.read()
    for row, column in ((0, 0), (5, 9), (63, 63), (40, 20)):
        x, y = grid.transform @ (column + 0.5, row + 0.5)
        u, v = viewed.plane.from_ground(grid.crs, [x], [y])
        found = ask(f"/at?u={float(u[0])!r}&v={float(v[0])!r}").json
        code = int(codes[row, column])
        assert (found["row"], found["column"], found["inside"]) == (row, column, True)
        assert found["code"] == (None if code == 255 else code)
        assert (found["x"], found["y"]) == pytest.approx((x, y), abs=1e-4)
        (lon,), (lat,) = transform(grid.crs, "EPSG:4326", [x], [y])
        assert (found["lon"], found["lat"]) == pytest.approx((lon, lat), abs=1e-9)
        drawn = pixels[1:, row, column].tolist()
        assert found["scene"] == [
            list(p) for p in zip(("red", "green", "blue"), drawn, strict=True)
        ]
        if code == 255:
            assert found["class"] is None
            assert found["confidence"] is None
            assert found["polygons"] == []
        else:
            assert found["confidence"] == pytest.approx(0.5)
            (polygon,) = found["polygons"]
            assert polygon["fields"]["class"] == found["class"]
            assert polygon["fields"]["class_id"] == code
            assert len(polygon["outline"]) >= 1


def test_a_point_beside_the_map_says_so(ask: Ask) -> None:
    found = ask("/at?u=0&v=0").json
    assert found["inside"] is False
    assert (found["lon"], found["lat"]) == (0, 0)
    assert "code" not in found
    for far in ("1e300", "-1e300"):
        found = ask(f"/at?u={far}&v={far}").json
        assert (found["inside"], found["lat"]) == (False, None)


@pytest.mark.parametrize("query", ["", "?u=1", "?u=x&v=1", "?u=nan&v=1", "?u=1&v=inf"])
def test_a_point_is_two_numbers(ask: Ask, query: str) -> None:
    answer = ask(f"/at{query}")
    assert answer.status == 400
    assert "is a number" in answer.json["error"]


def test_nothing_is_read_for_those_who_left(
    ask: Ask, viewed: ViewedMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewed.classes, "tile", None)
    assert ask(f"/tiles/classes/{_middle(viewed, 18)}", gone=True).status == 499


def test_a_failure_is_told_in_a_sentence(
    ask: Ask, viewed: ViewedMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise SceneError("scene.tif cannot be read")

    monkeypatch.setattr(viewed.pictures["scene"], "tile", fail)
    answer = ask(f"/tiles/scene/{_middle(viewed, 18)}")
    assert (answer.status, answer.json) == (500, {"error": "scene.tif cannot be read"})


def test_a_fault_is_told_and_logged_in_a_line(
    ask: Ask,
    viewed: ViewedMap,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(viewed, "at", fail)
    answer = ask("/at?u=1&v=1")
    assert answer.status == 500
    assert "division by zero" in answer.json["error"]
    (line,) = [each.getMessage() for each in caplog.records if each.name == "rsseg.view.app"]
    assert line == "/at failed: ZeroDivisionError: division by zero"
