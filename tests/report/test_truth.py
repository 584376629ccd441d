import geopandas
import numpy as np
import pytest
import shapely

from rsseg.errors import OptionError
from rsseg.evaluate import evaluate
from rsseg.geo.code_raster import CodeRaster
from rsseg.legend import LAND_COVER, NODATA, Legend
from rsseg.report.truth import TruthOptions, compare_with_truth, opened

SHOWN = LAND_COVER.classes
TRUTH = np.zeros((96, 96), np.uint8)
TRUTH[:, 48:] = 3
MAP = TRUTH.copy()
MAP[64:96, 64:96] = 4  # all of one window of 32 pixels
MAP[0:8, 0:32] = 1  # a quarter of another


def compared(raster, truth, **options):
    told = []
    with CodeRaster(raster) as codes, opened(truth, codes, TruthOptions(**options)) as known:
        found = compare_with_truth(codes, *known, SHOWN, lambda *args: told.append(args))
    assert told[-1][0] <= told[-1][1]
    return found


def test_scores_are_those_of_evaluate(make_map):
    paths = make_map(MAP), make_map(TRUTH, "truth.tif")
    found = compared(*paths, erode=2, boundary=1).evaluation
    assert found == evaluate(*paths, erode=2, boundary=1)


def test_the_worst_windows_come_first_with_their_commonest_mistake(make_map):
    found = compared(make_map(MAP), make_map(TRUTH, "truth.tif"), erode=0)
    first, second = found.worst
    assert (first.window.row_off, first.window.col_off) == (64, 64)
    assert first.wrong == 1
    assert first.mistake == ("vegetation", "water", 1.0)
    assert (first.truth == 3).all()
    assert (second.window.row_off, second.window.col_off) == (0, 0)
    assert second.wrong == pytest.approx(0.25)
    assert second.mistake == ("building", "land", pytest.approx(0.25))


def test_what_is_not_classified_is_a_mistake_too(make_map):
    codes = TRUTH.copy()
    codes[:32, :32] = NODATA
    found = compared(make_map(codes), make_map(TRUTH, "truth.tif"))
    assert found.worst[0].mistake == ("building", None, 1.0)


def test_a_map_without_mistakes_has_no_worst_window(make_map):
    assert compared(make_map(TRUTH), make_map(TRUTH, "truth.tif")).worst == ()


def test_little_truth_is_looked_at_as_well(make_map):
    truth = np.full((96, 96), NODATA, np.uint8)
    truth[70, 70] = 3
    found = compared(make_map(MAP), make_map(truth, "truth.tif"))
    assert [each.mistake for each in found.worst] == [("vegetation", "water", 1.0)]


def test_no_truth_at_all_is_told(make_map):
    found = compared(make_map(MAP), make_map(np.full((96, 96), NODATA, np.uint8), "truth.tif"))
    assert found.evaluation.scores["oa"] is None
    assert found.worst == ()


def test_truth_is_drawn_in_the_colours_of_the_map(make_map):
    other = Legend.of({"vegetation": (1, 2, 3), "moor": (9, 8, 7), "building": (4, 5, 6)})
    truth = np.where(TRUTH == 3, 0, 2).astype(np.uint8)
    found = compared(make_map(MAP), make_map(truth, "truth.tif", legend=other))
    colours = {known.code: (known.name, known.colour) for known in found.classes}
    assert colours == {
        0: ("vegetation", LAND_COVER.classes[3].colour),
        1: ("moor", (9, 8, 7)),
        2: ("building", LAND_COVER.classes[0].colour),
    }


def write_vector(path, geometries, names):
    frame = geopandas.GeoDataFrame({"class": names}, geometry=geometries, crs="EPSG:32633")
    frame.to_file(path)
    return path


def test_polygons_are_truth_too(make_map, tmp_path):
    left = shapely.box(400_000, 4_999_952, 400_024, 5_000_000)
    right = shapely.box(400_024, 4_999_952, 400_048, 5_000_000)
    truth = write_vector(tmp_path / "truth.gpkg", [left, right], ["building", "vegetation"])
    found = compared(make_map(MAP), truth, erode=0)
    assert found.evaluation.settings["truth_kind"] == "polygons"
    assert [each.wrong for each in found.worst] == [1, 0.25]


def test_points_have_scores_and_no_windows(make_map, tmp_path):
    places = shapely.points([400_001, 400_040, 400_046], [4_999_999, 4_999_999, 4_999_954])
    truth = write_vector(tmp_path / "truth.gpkg", places, ["land", "vegetation", "vegetation"])
    found = compared(make_map(MAP), truth)
    assert found.evaluation.scores["oa"] == pytest.approx(2 / 3)
    assert found.worst == ()
    with pytest.raises(OptionError, match="has points: erode cannot be used"):
        compared(make_map(MAP), truth, erode=2)
