"""`evaluate` against sample points."""

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS

from rsseg.errors import OptionError
from rsseg.evaluate import counting, evaluate
from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA, Legend

TRANSFORM = Affine(10, 0, 400_000, 0, -10, 5_000_000)
OLOFSSON = Legend.of(
    {
        "deforestation": (1, 0, 0),
        "gain": (2, 0, 0),
        "stable forest": (3, 0, 0),
        "stable other": (4, 0, 0),
    }
)


def write_map(path, codes, legend=LAND_COVER, crs=32633):
    grid = Grid(*codes.shape, TRANSFORM, CRS.from_epsg(crs))
    write_raster(path, codes[None], grid, nodata=NODATA, legend=legend)
    return path


def write_points(path, rows, columns, crs=32633, **fields):
    x, y = TRANSFORM @ (np.asarray(columns) + 0.5, np.asarray(rows) + 0.5)
    frame = geopandas.GeoDataFrame(fields, geometry=shapely.points(x, y), crs=32633)
    frame.to_crs(crs).to_file(path)
    return path


@pytest.mark.parametrize("crs", [32633, 4326])
def test_points_count_what_lies_under_them(tmp_path, monkeypatch, crs):
    monkeypatch.setattr(counting, "STRIP_PIXELS", 1)
    random = np.random.default_rng(0)
    codes = random.integers(0, 5, (300, 20)).astype(np.uint8)
    codes[random.random(codes.shape) < 0.1] = NODATA
    rows, columns = random.integers(0, 300, 200), random.integers(0, 20, 200)
    truth = random.integers(0, 5, 200)
    points = write_points(
        tmp_path / "p.gpkg", rows, columns, crs, **{"class": np.array(LAND_COVER.names)[truth]}
    )
    result = evaluate(write_map(tmp_path / "m.tif", codes), points)
    matrix = np.zeros((5, 6), int)
    found = codes[rows, columns]
    np.add.at(matrix, (truth, np.where(found == NODATA, 5, found)), 1)
    assert result.unit == "points"
    assert result.scores["confusion"] == matrix.tolist()
    assert result.scores["unpredicted"] == pytest.approx((found == NODATA).mean())
    for code, row in enumerate(result.scores["estimates"]["classes"].values()):
        assert row["mapped_area"] == np.count_nonzero(codes == code) * 100


def test_estimates_are_those_of_the_paper(tmp_path):
    """Olofsson et al. 2014, section 5: a map of 10,000,000 pixels, here a ten thousandth of it."""
    counts = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
    codes = np.repeat([0, 1, 2, 3], [200, 150, 3200, 6450]).astype(np.uint8).reshape(100, 100)
    rows, columns, truth = [], [], []
    for mapped, row in enumerate(counts):
        places = np.flatnonzero(codes.ravel() == mapped)[: sum(row)]
        # more points than pixels may stand on one
        places = np.resize(places, sum(row))
        rows += (places // 100).tolist()
        columns += (places % 100).tolist()
        truth += [OLOFSSON.names[code] for code, n in enumerate(row) for _ in range(n)]
    points = write_points(tmp_path / "p.gpkg", rows, columns, **{"class": truth})
    scores = evaluate(write_map(tmp_path / "m.tif", codes, OLOFSSON), points).scores
    whole = scores["estimates"]
    assert whole["oa"]["estimate"] == pytest.approx(0.947, abs=5e-4)
    assert whole["oa"]["interval"] == pytest.approx([0.947 - 0.018, 0.947 + 0.018], abs=1e-3)
    lost = whole["classes"]["deforestation"]
    assert lost["users_accuracy"]["estimate"] == pytest.approx(0.88, abs=5e-3)
    assert lost["producers_accuracy"]["estimate"] == pytest.approx(0.75, abs=5e-3)
    assert lost["area"]["estimate"] == pytest.approx(0.0235 * 1e6, rel=5e-3)  # m²
    assert whole["area_unit"] == "m²"


def test_points_outside_or_without_a_class_are_counted(tmp_path):
    codes = np.zeros((4, 4), np.uint8)
    points = write_points(
        tmp_path / "p.gpkg",
        [0, 1, 9, -1],
        [0, 1, 0, 0],
        **{"class": ["land", None, "land", "road"]},
    )
    result = evaluate(write_map(tmp_path / "m.tif", codes), points)
    assert sum(map(sum, result.scores["confusion"])) == 1
    notes = "\n".join(result.notes)
    assert "1 feature without a value in the field 'class' left out" in notes
    assert "2 points lie outside the map and were left out" in notes


def test_nothing_is_estimated_while_classes_are_ignored(tmp_path):
    codes = np.repeat([0, 1, 2], [4, 4, 8]).astype(np.uint8).reshape(4, 4)
    points = write_points(
        tmp_path / "p.fgb",
        [0, 0, 1, 1, 2],
        [0, 1, 0, 1, 0],
        class_id=[0, 1, 1, 1, 2],
    )
    path = write_map(tmp_path / "m.tif", codes)
    done = evaluate(path, points, ignore=["road"])
    assert sum(map(sum, done.scores["confusion"])) == 4
    assert "estimates" not in done.scores
    assert any("while classes are ignored" in note for note in done.notes)
    assert "estimates" in evaluate(path, points).scores


@pytest.mark.parametrize("option", [{"erode": 1}, {"boundary": 2}, {"errors": "e.tif"}])
def test_what_needs_areas_is_refused(tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    points = write_points(tmp_path / "p.gpkg", [0], [0], class_id=[0])
    path = write_map(tmp_path / "m.tif", np.zeros((4, 4), np.uint8))
    with pytest.raises(OptionError, match="has points: .* cannot be used with it"):
        evaluate(path, points, **option)
