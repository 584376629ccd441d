"""Outlines in tiles, and polygons at points."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

from rsseg.errors import GridMismatch, SceneError
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER
from rsseg.vectorise import VectoriseOptions, vectorise
from rsseg.view import polygons as module
from rsseg.view.plane import TILE, Plane
from rsseg.view.polygons import FINENESS, Polygons

Make = Callable[..., Path]
STEPS = TILE * FINENESS


def _squares(path: Path, crs: str = "EPSG:32633", **fields: list) -> Path:
    """Squares of 4 m, one beside the other, from the map's upper left corner."""
    count = len(next(iter(fields.values())))
    boxes = [
        shapely.box(400_000 + 4 * i, 4_999_996, 400_004 + 4 * i, 5_000_000) for i in range(count)
    ]
    frame = geopandas.GeoDataFrame(fields, geometry=boxes, crs="EPSG:32633")
    frame.to_crs(crs).to_file(path)
    return path


def _without_crs(path: Path, frame: geopandas.GeoDataFrame) -> Path:
    with warnings.catch_warnings(action="ignore"):
        frame.to_file(path)
    return path


@pytest.fixture
def plane(make_map: Make, tmp_path: Path) -> Plane:
    with rasterio.open(make_map(tmp_path / "map.tif", shape=(64, 64))) as dataset:
        return Plane.of(Grid.of(dataset))


def _in_plane(plane: Plane, x: float, y: float) -> tuple[float, float]:
    u, v = plane.from_ground(plane.grid.crs, [x], [y])
    return float(u[0]), float(v[0])


def _whole(plane: Plane) -> tuple[float, float, float, float]:
    """A square that holds the whole map, as a tile might."""
    left, bottom, right, top = plane.extent
    side = max(right - left, top - bottom)
    return left, top - side, left + side, top


def _extents(lines: list) -> np.ndarray:
    points = [np.array(line).reshape(-1, 2) for _, line in lines]
    return np.array([[*each.min(0), *each.max(0)] for each in points])


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "geojson"])
@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", "EPSG:25833"])
def test_outlines_lie_where_polygons_do(
    plane: Plane, tmp_path: Path, suffix: str, crs: str
) -> None:
    path = _squares(tmp_path / f"squares.{suffix}", crs, **{"class": ["land", "water", "other"]})
    polygons = Polygons(path, plane, LAND_COVER, tmp_path)
    whole = _whole(plane)
    found = polygons.tile(whole)
    assert not found["crowded"]
    known = [number for number, _ in found["lines"]]
    by_class = dict(zip(known, _extents(found["lines"]), strict=True))
    assert sorted(by_class) == [-1, 1, 4]
    for number, known in enumerate((1, 4, -1)):
        u0, v0 = _in_plane(plane, 400_000 + 4 * number, 5_000_000)
        u1, v1 = _in_plane(plane, 400_004 + 4 * number, 4_999_996)
        side = (whole[2] - whole[0]) / STEPS
        wanted = (
            (u0 - whole[0]) / side,
            (whole[3] - v0) / side,
            (u1 - whole[0]) / side,
            (whole[3] - v1) / side,
        )
        assert by_class[known] == pytest.approx(wanted, abs=STEPS / 64 / 4)


def test_outlines_end_at_the_tile_and_have_no_line_along_it(plane: Plane, tmp_path: Path) -> None:
    path = tmp_path / "large.gpkg"
    box = shapely.box(399_000, 4_999_000, 400_010, 5_001_000)
    geopandas.GeoDataFrame({"class": ["land"]}, geometry=[box], crs="EPSG:32633").to_file(path)
    lines = Polygons(path, plane, LAND_COVER, tmp_path).tile(_whole(plane))["lines"]
    ((left, top, right, bottom),) = _extents(lines)
    assert right - left < STEPS / 16, "the eastern side alone"
    assert -STEPS / 16 < top <= 0
    assert STEPS <= bottom < STEPS * 17 / 16


def test_too_many_polygons_are_not_drawn(
    plane: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _squares(tmp_path / "squares.gpkg", **{"class": ["land"] * 5})
    polygons = Polygons(path, plane, LAND_COVER, tmp_path)
    monkeypatch.setattr(module, "MOST", 5)
    assert len(polygons.tile(_whole(plane))["lines"]) == 5
    monkeypatch.setattr(module, "MOST", 4)
    assert polygons.tile(_whole(plane)) == {"crowded": True, "lines": []}


def test_polygons_of_all_layers_are_counted_not_their_rings(
    plane: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "layers.gpkg"
    outer = shapely.box(400_000, 4_999_980, 400_020, 5_000_000)
    holes = [shapely.box(x, 4_999_990, x + 1, 4_999_992) for x in range(400_002, 400_016, 2)]
    pierced = outer.difference(shapely.union_all(holes))
    for layer, shape in (("pierced", pierced), ("plain", outer)):
        frame = geopandas.GeoDataFrame({"class": ["land"]}, geometry=[shape], crs="EPSG:32633")
        frame.to_file(path, layer=layer)
    polygons = Polygons(path, plane, LAND_COVER, tmp_path)
    monkeypatch.setattr(module, "MOST", 2)
    assert len(polygons.tile(_whole(plane))["lines"]) == 1 + len(holes) + 1
    monkeypatch.setattr(module, "MOST", 1)
    assert polygons.tile(_whole(plane))["crowded"]


def test_a_point_has_the_fields_of_its_polygon(plane: Plane, tmp_path: Path) -> None:
    fields = {
        "class": ["land", "water"],
        "count": [3, 4],
        "share": [0.5, float("nan")],
        "day": np.array(["2026-01-02", "NaT"], "datetime64[ms]"),
        "note": ["<b>&amp;</b>", None],
    }
    polygons = Polygons(_squares(tmp_path / "s.gpkg", **fields), plane, LAND_COVER, tmp_path)
    (found,) = polygons.at(*_in_plane(plane, 400_002, 4_999_998))
    assert found["layer"] == "s"
    assert found["fields"] == {
        "class": "land",
        "count": 3,
        "share": 0.5,
        "day": "2026-01-02T00:00:00.000",
        "note": "<b>&amp;</b>",
    }
    ring = np.array(found["outline"][0])
    assert ring.min(0) == pytest.approx(_in_plane(plane, 400_000, 4_999_996), abs=0.1)
    (other,) = polygons.at(*_in_plane(plane, 400_006, 4_999_998))
    assert (
        other["fields"] | {"class": "water", "count": 4, "note": None, "share": None}
        == other["fields"]
    )
    assert polygons.at(*_in_plane(plane, 400_020, 4_999_998)) == []


def test_every_layer_of_polygons_is_drawn(plane: Plane, tmp_path: Path) -> None:
    vectorise(tmp_path / "map.tif", tmp_path / "map.gpkg", options=VectoriseOptions(by_class=True))
    points = geopandas.GeoDataFrame(geometry=[shapely.Point(400_001, 4_999_999)], crs="EPSG:32633")
    points.to_file(tmp_path / "map.gpkg", layer="points")
    polygons = Polygons(tmp_path / "map.gpkg", plane, LAND_COVER, tmp_path)
    lines = polygons.tile(_whole(plane))["lines"]
    assert {known for known, _ in lines} == {0, 1, 2, 3, 4}


def test_polygons_of_a_map_without_a_place(make_map: Make, tmp_path: Path) -> None:
    path = make_map(tmp_path / "bare.tif", crs=None, transform=rasterio.Affine.identity())
    with rasterio.open(path) as dataset:
        plane = Plane.of(Grid.of(dataset))
    frame = geopandas.GeoDataFrame({"class": ["land"]}, geometry=[shapely.box(10, 20, 30, 40)])
    polygons = Polygons(_without_crs(tmp_path / "bare.gpkg", frame), plane, LAND_COVER, tmp_path)
    (found,) = polygons.at(10.5, -39.5)
    assert np.array(found["outline"][0]).min(0).tolist() == [10, -40]
    assert polygons.at(9.5, -39.5) == []
    (line,) = polygons.tile((0, -256, 256, 0))["lines"]
    assert _extents([line]).tolist() == [[each * FINENESS for each in (10, 20, 30, 40)]]


def test_what_cannot_be_drawn_is_refused(plane: Plane, tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="there is no file"):
        Polygons(tmp_path / "none.gpkg", plane, LAND_COVER, tmp_path)
    (tmp_path / "text.gpkg").write_text("no polygons")
    with pytest.raises(SceneError, match="cannot be opened as polygons"):
        Polygons(tmp_path / "text.gpkg", plane, LAND_COVER, tmp_path)
    points = geopandas.GeoDataFrame(geometry=[shapely.Point(400_001, 4_999_999)], crs="EPSG:32633")
    points.to_file(tmp_path / "points.gpkg")
    with pytest.raises(SceneError, match="has no polygons"):
        Polygons(tmp_path / "points.gpkg", plane, LAND_COVER, tmp_path)
    far = _squares(tmp_path / "far.gpkg", **{"class": ["land"]})
    frame = geopandas.read_file(far)
    frame.geometry = frame.translate(50_000, 0)
    frame.to_file(far)
    with pytest.raises(GridMismatch, match="lie in different places"):
        Polygons(far, plane, LAND_COVER, tmp_path)
    frame = geopandas.read_file(far).set_crs(None, allow_override=True)
    bare = _without_crs(tmp_path / "bare.gpkg", frame)
    with pytest.raises(GridMismatch, match="has a place on the ground"):
        Polygons(bare, plane, LAND_COVER, tmp_path)


def test_no_polygons_at_all_are_drawn_as_such(plane: Plane, tmp_path: Path) -> None:
    empty = geopandas.GeoDataFrame({"class": []}, geometry=[], crs="EPSG:32633")
    empty.to_file(tmp_path / "empty.gpkg", geometry_type="Polygon")
    polygons = Polygons(tmp_path / "empty.gpkg", plane, LAND_COVER, tmp_path)
    assert polygons.tile(_whole(plane)) == {"crowded": False, "lines": []}
    assert polygons.at(*_in_plane(plane, 400_001, 4_999_999)) == []
