"""What an analyst sees: QGIS itself opens rasters, polygons and projects, and draws them.

The system's Python has PyQGIS; it runs ``pyqgis_report.py`` once for all files.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.geo.qgis_project import write_project
from rsseg.geo.strips import Strip, assemble, assemble_shares, write_strip
from rsseg.legend import LAND_COVER, NODATA, LandClass, Legend
from rsseg.vectorise import vectorise

pytestmark = pytest.mark.qgis

SYSTEM_PYTHON = Path("/usr/bin/python3")
REPORT = Path(__file__).with_name("pyqgis_report.py")
BACKGROUND = (255, 0, 255)
"""Colour of the pictures where nothing is drawn."""

UTM = CRS.from_epsg(32633)
TRANSFORM = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
PLACES = {
    "north_up": (TRANSFORM, UTM),
    "south_up": (TRANSFORM @ Affine.scale(1, -1), UTM),
    "rotated": (TRANSFORM @ Affine.rotation(30), UTM),
    "degrees": (Affine(1e-5, 0, 15.1, 0, -1e-5, 45.1), CRS.from_epsg(4326)),
}
STRANGE = Legend(
    (
        LandClass(7, 'sand & "gravel" <dry>', (10, 200, 90)),
        LandClass(2, "Straße", (255, 0, 128)),
        LandClass(254, "ice", (250, 250, 255)),
    )
)
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Seen:
    """What QGIS made of the files of a folder: its report by file name, and its pictures."""

    folder: Path
    report: dict[str, Any]
    before: dict[str, bytes]

    def picture(self, name: str) -> Picture:
        """The picture of a file or a layer of a project, ``(h, w, 3)``."""
        with rasterio.open(self.folder / "pictures" / f"{name}.png") as dataset:
            return np.moveaxis(dataset.read((1, 2, 3)), 0, -1)

    def layers(self, project: str) -> dict[str, Any]:
        """The layers of a project, by the first word of their names."""
        found = self.report[project]["layers"].values()
        return {layer["name"].partition(":")[0]: layer for layer in found}


@pytest.fixture(scope="module")
def qgis(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which the system's Python has PyQGIS; skips where it has none."""
    home = tmp_path_factory.mktemp("home", numbered=True)
    home.chmod(0o700)
    environment = {
        "PATH": os.defpath,
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "LANG": "C.UTF-8",
        "QT_QPA_PLATFORM": "offscreen",
    }
    call = [SYSTEM_PYTHON, "-c", "import qgis.core"]
    if not SYSTEM_PYTHON.exists() or (
        subprocess.run(call, env=environment, capture_output=True, check=False).returncode
    ):
        pytest.skip(f"{SYSTEM_PYTHON} has no PyQGIS: apt-get install qgis python3-qgis")
    return environment


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, qgis: dict[str, str]) -> Seen:
    """Maps in several places with scenes, polygons, confidence and projects, seen by QGIS."""
    folder = tmp_path_factory.mktemp("maps")
    for place in PLACES:
        _make_map(folder, place, LAND_COVER)
        _make_project(folder, place)
    _make_map(folder, "strange", STRANGE)
    vectorise(folder / "north_up.tif", folder / "north_up.geojson")
    write_project(
        folder / "rotated.tif", folder / "mixed.qgz", polygons=folder / "north_up.geojson"
    )
    moved = folder / "moved ä"
    moved.mkdir()
    for path in folder.glob("north_up*"):
        shutil.copy(path, moved)
    files = sorted(path for path in folder.iterdir() if path.suffix in (".tif", ".gpkg", ".qgz"))
    files.append(moved / "north_up.qgz")
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    report = _look(qgis, folder / "pictures", files)
    names = [str(path.relative_to(folder)) for path in files]
    return Seen(folder, {name: report[str(folder / name)] for name in names}, before)


def _look(environment: dict[str, str], pictures: Path, files: list[Path]) -> dict[str, Any]:
    pictures.mkdir()
    done = subprocess.run(
        [SYSTEM_PYTHON, REPORT, pictures, *files],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert isinstance(report, dict)
    return report


def _codes(legend: Legend) -> npt.NDArray[np.uint8]:
    """Upright and level bars of every class, and a corner of nodata, ``(300, 400)``."""
    rows, columns = np.mgrid[:300, :400]
    index = (columns // 50 + rows // 75) % len(legend)
    codes = legend.codes[index]
    codes[:60, :80] = NODATA
    return codes


def _make_map(folder: Path, place: str, legend: Legend) -> None:
    """What ``predict`` writes: the class raster and the confidence, by way of strips."""
    codes = _codes(legend)
    shares = np.where(codes == NODATA, NODATA, 127).astype(np.uint8)
    grid = Grid(*codes.shape, *PLACES.get(place, PLACES["north_up"]))
    parts = folder / "parts"
    parts.mkdir(exist_ok=True)
    strips = [Strip(parts / "0.tif", 0, 100), Strip(parts / "1.tif", 100, 300)]
    for strip in strips:
        rows = slice(strip.start, strip.stop)
        write_strip(strip.path, np.stack([codes[rows], shares[rows]]))
    counts = {code: int((codes == code).sum()) for code in range(256)}
    assemble(strips, folder / f"{place}.tif", grid, legend, counts, {"RSSEG_SCENE": "a & b"})
    assemble_shares(strips, folder / f"{place}_sure.tif", grid, {2: "confidence"}, {})


def _scene(place: str) -> npt.NDArray[np.uint8]:
    values = np.linspace(0, 250, 400).astype(np.uint8)
    image = np.broadcast_to(values, (300, 400))
    return np.stack([image, 255 - image, image // 2])


def _make_project(folder: Path, place: str) -> None:
    grid = Grid(300, 400, *PLACES[place])
    write_raster(folder / f"{place}_scene.tif", _scene(place), grid, bands=("red", "green", "blue"))
    vectorise(folder / f"{place}.tif", folder / f"{place}.gpkg")
    write_project(
        folder / f"{place}.tif",
        folder / f"{place}.qgz",
        scene=folder / f"{place}_scene.tif",
        polygons=folder / f"{place}.gpkg",
        confidence=folder / f"{place}_sure.tif",
    )


def _legend_of(name: str) -> Legend:
    return STRANGE if name.startswith("strange") else LAND_COVER


# --- what QGIS reads


@pytest.mark.parametrize("name", [*PLACES, "strange"])
def test_the_raster_opens_named_and_coloured(seen: Seen, name: str) -> None:
    layer = seen.report[f"{name}.tif"]
    assert layer["valid"]
    assert layer["renderer"] == "paletted"
    assert layer["classes"] == [[c.code, c.name, c.hex] for c in _legend_of(name)]
    assert layer["has_statistics"], "QGIS would read all pixels for them"
    _, crs = PLACES.get(name, PLACES["north_up"])
    assert layer["crs"] == crs.to_string()


@pytest.mark.parametrize("place", PLACES)
def test_the_polygons_open_named_and_coloured(seen: Seen, place: str) -> None:
    layer = seen.report[f"{place}.gpkg"]
    assert layer["valid"]
    assert (layer["renderer"], layer["field"]) == ("categorizedSymbol", "class")
    assert layer["classes"] == [[c.name, c.name, c.hex] for c in LAND_COVER]
    assert layer["features"] > len(LAND_COVER)
    assert layer["crs"] == PLACES[place][1].to_string()


@pytest.mark.parametrize("place", PLACES)
def test_the_project_opens_with_all_its_layers(seen: Seen, place: str) -> None:
    project = seen.report[f"{place}.qgz"]
    _, crs = PLACES[place]
    assert project["read"]
    assert project["title"] == place
    assert project["crs"] == crs.to_string()
    assert project["ellipsoid"] == "EPSG:7030"
    layers = seen.layers(f"{place}.qgz")
    assert list(layers) == ["polygons", "classes", "confidence", "scene"]
    assert all(layer["valid"] and layer["same_crs_as_file"] for layer in layers.values())
    assert layers["polygons"]["classes"] == [[c.name, c.name, c.hex] for c in LAND_COVER]
    assert layers["classes"]["classes"] == [[c.code, c.name, c.hex] for c in LAND_COVER]
    assert layers["confidence"]["limits"] == [0, 1]
    assert (layers["scene"]["bands"], layers["scene"]["limits"]) == ([1, 2, 3], [0, 255])
    shown = [project["layers"][key]["name"].partition(":")[0] for key in project["shown"]]
    assert shown == ["polygons", "scene"]


@pytest.mark.parametrize("place", PLACES)
def test_the_project_opens_at_the_extent_of_the_map(seen: Seen, place: str) -> None:
    west, south, east, north = seen.report[f"{place}.qgz"]["extent"]
    left, bottom, right, top = seen.report[f"{place}.tif"]["extent"]
    assert west < left < right < east
    assert south < bottom < top < north
    assert min((right - left) / (east - west), (top - bottom) / (north - south)) > 0.6


def test_a_moved_project_finds_the_moved_files(seen: Seen) -> None:
    layers = seen.layers("moved ä/north_up.qgz")
    assert len(layers) == 4
    for layer in layers.values():
        assert layer["valid"]
        assert "/moved ä/" in layer["source"]


def test_looking_changes_no_file_of_the_map(seen: Seen) -> None:
    """QGIS writes what it had to compute beside a raster, such as statistics."""
    for name, content in seen.before.items():
        assert (seen.folder / name).read_bytes() == content, name
    now = {path.name for path in seen.folder.iterdir() if path.is_file()}
    added = {name for name in now - seen.before.keys() if not name.endswith(("-shm", "-wal"))}
    assert all("_scene" in name or "_sure" in name for name in added)


@pytest.mark.parametrize("name", [*PLACES, "strange"])
def test_gdalinfo_tells_names_colours_and_counts(
    seen: Seen, qgis: dict[str, str], name: str
) -> None:
    if shutil.which("gdalinfo", path=qgis["PATH"]) is None:
        pytest.skip("there is no gdalinfo: apt-get install gdal-bin")
    path = seen.folder / f"{name}.tif"
    told = json.loads(
        subprocess.run(
            ["gdalinfo", "-json", path], env=qgis, capture_output=True, check=True
        ).stdout
    )
    legend = _legend_of(name)
    (band,) = told["bands"]
    assert {c: text for c, text in enumerate(band["categories"]) if text} == {
        c.code: c.name for c in legend
    }
    colours = band["colorTable"]["entries"]
    assert [colours[c.code] for c in legend] == [[*c.colour, 255] for c in legend]
    assert colours[NODATA][3] == 0
    codes = _codes(legend)
    assert [row["f"] for row in told["rat"]["row"]] == [
        [c.code, c.name, *c.colour, 255, (codes == c.code).sum()] for c in legend
    ]
    valid = codes[codes != NODATA]
    assert (band["minimum"], band["maximum"]) == (valid.min(), valid.max())
    assert (band["mean"], band["stdDev"]) == pytest.approx((valid.mean(), valid.std()), abs=1e-3)
    assert told["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
    assert told["metadata"][""]["RSSEG_SCENE"] == "a & b"


# --- what QGIS draws


def _expected(
    picture: Picture, extent: list[float], legend: Legend, place: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Colour of every pixel of a picture by its place on the map, nearest, ``(h, w, 4)``.

    The fourth is 1 on a class and 0 on nodata and beyond the map; and where that is sure: away
    from the edges of bars.
    """
    height, width = picture.shape[:2]
    west, south, east, north = extent
    to_ground = Affine((east - west) / width, 0, west, 0, (south - north) / height, north)
    to_map = ~PLACES.get(place, PLACES["north_up"])[0] @ to_ground
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    columns = to_map.a * x + to_map.b * y + to_map.c
    rows = to_map.d * x + to_map.e * y + to_map.f
    codes = np.pad(_codes(legend), 1, constant_values=NODATA)
    table = np.zeros((256, 4))
    for known in legend:
        table[known.code] = (*known.colour, 1)

    def look_up(down: int, right: int) -> npt.NDArray[np.uint8]:
        row = np.clip(np.floor(rows + down).astype(int), -1, 300) + 1
        column = np.clip(np.floor(columns + right).astype(int), -1, 400) + 1
        return np.asarray(codes[row, column])

    middle = look_up(0, 0)
    sure = np.ones(middle.shape, bool)
    for down in (-4, 0, 4):
        for right in (-4, 0, 4):
            sure &= look_up(down, right) == middle
    return table[middle], sure


def _over(
    expected: npt.NDArray[np.float64], below: Any, opacity: float = 1.0
) -> npt.NDArray[np.float64]:
    """The expected colours over a picture or a colour."""
    share = opacity * expected[..., 3:]
    return share * expected[..., :3] + (1 - share) * np.asarray(below, float)


@pytest.mark.parametrize("name", [*PLACES, "strange"])
def test_the_raster_is_drawn_in_its_colours(seen: Seen, name: str) -> None:
    picture = seen.picture(f"{name}.tif")
    extent = seen.report[f"{name}.tif"]["extent"]
    expected, sure = _expected(picture, extent, _legend_of(name), name)
    assert sure.mean() > 0.5
    assert np.array_equal(picture[sure], _over(expected, BACKGROUND)[sure])
    assert len(np.unique(picture[sure], axis=0)) == len(_legend_of(name)) + 1


def test_a_pixel_of_the_map_is_a_pixel_of_the_picture(seen: Seen) -> None:
    """North up, at its own scale, to the last pixel: nothing is blurred or moved."""
    picture = seen.picture("north_up.tif")
    colours = np.array([BACKGROUND] * 256, np.uint8)
    for known in LAND_COVER:
        colours[known.code] = known.colour
    assert np.array_equal(picture, colours[_codes(LAND_COVER)])


@pytest.mark.parametrize("place", PLACES)
def test_the_polygons_are_drawn_in_the_colours_of_the_raster(seen: Seen, place: str) -> None:
    picture = seen.picture(f"{place}.gpkg")
    extent = seen.report[f"{place}.gpkg"]["extent"]
    expected, sure = _expected(picture, extent, LAND_COVER, place)
    assert np.array_equal(picture[sure], _over(expected, BACKGROUND)[sure])
    outlined = (picture != _over(expected, BACKGROUND)).any(axis=-1)
    assert 0 < outlined.mean() < 0.1, "outlines are thin"


@pytest.mark.parametrize("place", ["north_up", "south_up", "degrees"])
def test_the_project_shows_the_polygons_over_the_scene(seen: Seen, place: str) -> None:
    layers = seen.layers(f"{place}.qgz")
    picture = seen.picture(f"{place}.qgz")
    extent = seen.report[f"{place}.qgz"]["extent"]
    expected, sure = _expected(picture, extent, LAND_COVER, place)
    everywhere, inside = _scene_in(picture, extent, place)
    seen_colours = _over(expected, everywhere, layers["polygons"]["opacity"])
    sure &= inside
    assert sure.mean() > 0.3
    assert np.abs(picture[sure] - seen_colours[sure]).max() <= 3
    assert tuple(picture[0, 0]) == BACKGROUND


def _scene_in(
    picture: Picture, extent: list[float], place: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Colours of the scene in a picture, and where the scene is, less its rim."""
    height, width = picture.shape[:2]
    west, south, east, north = extent
    to_ground = Affine((east - west) / width, 0, west, 0, (south - north) / height, north)
    to_map = ~PLACES[place][0] @ to_ground
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    columns = np.floor(to_map.a * x + to_map.b * y + to_map.c).astype(int)
    rows = np.floor(to_map.d * x + to_map.e * y + to_map.f).astype(int)
    inside = (rows >= 3) & (rows < 297) & (columns >= 3) & (columns < 397)
    colours = _scene(place)[:, rows.clip(0, 299), columns.clip(0, 399)]
    return np.moveaxis(colours, 0, -1).astype(float), inside


@pytest.mark.parametrize("place", ["north_up", "degrees"])
def test_half_sure_is_grey_and_nodata_is_nothing(seen: Seen, place: str) -> None:
    (key,) = (key for key in seen.report[f"{place}.qgz"]["layers"] if "confidence" in key)
    picture = seen.picture(f"{place}.qgz-{key}")
    valid = _codes(LAND_COVER) != NODATA
    assert np.abs(picture[valid].astype(int) - 127).max() <= 1
    assert (picture[~valid] == BACKGROUND).all()


def test_polygons_in_degrees_are_drawn_on_a_map_in_metres(seen: Seen) -> None:
    layers = seen.layers("mixed.qgz")
    assert layers["polygons"]["crs"] == "EPSG:4326"
    assert layers["polygons"]["valid"]
    assert layers["classes"]["crs"] == seen.report["mixed.qgz"]["crs"] == "EPSG:32633"
    picture = seen.picture("mixed.qgz")
    expected, sure = _expected(picture, seen.report["mixed.qgz"]["extent"], LAND_COVER, "north_up")
    sure &= (expected[..., 3] == 1) & (picture != BACKGROUND).any(axis=-1)
    assert sure.mean() > 0.2
    opacity = layers["polygons"]["opacity"]
    assert np.abs(picture[sure] - _over(expected, BACKGROUND, opacity)[sure]).max() <= 3
