import geopandas
import numpy as np
import pytest
import shapely

from rsseg.errors import GridMismatch, LegendError, OptionError
from rsseg.evaluate.rules import Rules
from rsseg.evaluate.truth import opened_truth
from rsseg.geo.code_raster import CodeRaster
from rsseg.legend import LandClass, Legend

CODES = np.repeat(np.array([[1, 4]], np.uint8), 16, 1).repeat(32, 0)
"""Land to the left, water to the right."""
RULES = Rules(erode=0, boundary=None, ignore=(), classes=None)


@pytest.fixture
def raster(make_map):
    with CodeRaster(make_map(codes=CODES)) as opened:
        yield opened


@pytest.fixture
def make_vector(tmp_path):
    """A function that writes land and water as polygons, or as their middles."""

    def make(kind, field="class"):
        halves = [
            shapely.box(400_000 + 8 * i, 4_999_984, 400_008 + 8 * i, 5_000_000) for i in (0, 1)
        ]
        shapes = [half.centroid for half in halves] if kind == "points" else halves
        frame = geopandas.GeoDataFrame({field: ["land", "water"]}, geometry=shapes, crs=32633)
        frame.to_file(tmp_path / f"{kind}.gpkg", layer="known")
        return tmp_path / f"{kind}.gpkg"

    return make


def codes_of(raster, truth):
    """The truth as indices of the map's classes."""
    return truth.match(raster, RULES).true[truth.source.read(0, 32)]


def test_polygons_and_a_raster_of_the_same_say_the_same(raster, make_map, make_vector):
    same = make_map("truth.tif", CODES)
    with (
        opened_truth(same, raster) as ours,
        opened_truth(make_vector("polygons"), raster) as theirs,
    ):
        first, second = codes_of(raster, ours), codes_of(raster, theirs)
        assert (first == second).all()
        assert len(np.unique(first)) == 2
        assert ours.settings == {"truth_kind": "raster"}
        assert theirs.settings == {"truth_kind": "polygons", "layer": "known", "field": "class"}


def test_points_are_no_strips(raster, make_vector):
    with opened_truth(make_vector("points"), raster) as truth:
        assert truth.source is None
        assert len(truth.layer.geometries) == 2
        truth.match(raster, RULES)
        with pytest.raises(OptionError, match="points: erode and boundary cannot be used with it"):
            truth.match(raster, Rules(erode=2, boundary=1, ignore=(), classes=None))


def test_what_cannot_be_compared_is_refused(raster, make_map, make_vector):
    with pytest.raises(GridMismatch), opened_truth(make_map("t.tif", CODES[1:]), raster):
        pass
    same = make_map("same.tif", CODES)
    with (
        pytest.raises(OptionError, match="is a raster: layer"),
        opened_truth(same, raster, layer="a"),
    ):
        pass
    named = make_vector("polygons", field="kind")
    with pytest.raises(OptionError, match="no field"), opened_truth(named, raster):
        pass
    with opened_truth(named, raster, field="kind") as truth:
        ignoring = Rules(erode=0, boundary=None, ignore=("rye",), classes=None)
        with pytest.raises(OptionError, match="no class 'rye'"):
            truth.match(raster, ignoring)


def test_a_raster_of_other_classes_is_refused(raster, make_map):
    other = make_map("o.tif", 0 * CODES, legend=Legend((LandClass(0, "rye", (1, 2, 3)),)))
    with (
        opened_truth(other, raster) as truth,
        pytest.raises(LegendError, match="no class in common"),
    ):
        truth.match(raster, RULES)
