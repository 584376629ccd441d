"""`evaluate`: a class raster against rasters and polygons, by a slow reference."""

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from sklearn import metrics as reference

from rsseg.errors import GridMismatch, LegendError, OptionError, OutputError, SceneError
from rsseg.evaluate import counting, evaluate
from rsseg.geo.class_raster import read_legend, write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA, LandClass, Legend
from rsseg.metrics import ConfusionMatrix, boundary_scores
from rsseg.vectorise import vectorise

TRANSFORM = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
NAMES = LAND_COVER.names
SHUFFLED = Legend(
    tuple(
        LandClass(code, name, (code, 0, 0))
        for code, name in zip((40, 7, 3, 254, 20), NAMES, strict=True)
    )
)


@pytest.fixture
def make_map(tmp_path):
    """A function that writes a class raster with the embedded model's legend."""

    def make(codes, name, legend=LAND_COVER, nodata=NODATA, transform=TRANSFORM, crs=32633):
        grid = Grid(*codes.shape, transform, crs and CRS.from_epsg(crs))
        write_raster(tmp_path / name, codes[None], grid, nodata=nodata, legend=legend)
        return tmp_path / name

    return make


@pytest.fixture
def folder(tmp_path):
    """Where outputs go, so that what is left behind can be seen."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def blocks(seed, height=43, width=31, side=6, unlabelled=0.1):
    """Codes 0-4 in squares, some of them nodata."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 5, (-(-height // side), -(-width // side))).astype(np.uint8)
    coarse[random.random(coarse.shape) < unlabelled] = NODATA
    return np.kron(coarse, np.ones((side, side), np.uint8))[:height, :width]


def pair(seed, **size):
    """Truth and a prediction that is often right."""
    truth = blocks(seed, **size)
    other = blocks(seed + 1000, **size, side=3)
    random = np.random.default_rng(seed)
    return truth, np.where(random.random(truth.shape) < 0.7, truth, other).astype(np.uint8)


def eroded_slowly(truth, distance):
    """Each labelled pixel looks at all others."""
    places = np.argwhere(truth != NODATA)
    result = truth.copy()
    for row, column in places:
        others = places[truth[tuple(places.T)] != truth[row, column]]
        if len(others) and np.hypot(*(others - (row, column)).T).min() <= distance:
            result[row, column] = NODATA
    return result


def expected(truth, prediction, classes=None):
    confusion = ConfusionMatrix(NAMES)
    confusion.update(truth, prediction)
    return confusion.scores(classes)


def without_scores(scores, names):
    """These classes are left out."""
    for row in (scores["classes"][name] for name in names):
        row |= dict.fromkeys(row) | {"pixels": 0}
    return scores


# --- laws


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_scikit_learn(make_map, seed):
    truth, prediction = pair(seed)
    scores = evaluate(make_map(prediction, "p.tif"), make_map(truth, "t.tif")).scores
    y = truth[truth != NODATA], prediction[truth != NODATA]
    options = {"labels": range(5), "zero_division": 0, "average": "macro"}
    assert scores["oa"] == pytest.approx(reference.accuracy_score(*y))
    assert scores["kappa"] == pytest.approx(reference.cohen_kappa_score(*y))
    assert scores["miou"] == pytest.approx(reference.jaccard_score(*y, **options))
    assert scores["f1"] == pytest.approx(reference.f1_score(*y, **options))
    assert scores["unpredicted"] == pytest.approx((y[1] == NODATA).mean())
    assert scores["unpredicted"] > 0


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 20),
    strip=st.integers(1, 50),
    piece=st.integers(1, 50),
    erode=st.sampled_from([0, 1, 1.5, 3]),
    boundary=st.sampled_from([None, 1, 2.5]),
    ignore=st.sampled_from([(), ("land",), ("land", "water")]),
)
def test_strips_of_any_height_give_the_scores_of_the_whole(
    make_map, seed, strip, piece, erode, boundary, ignore
):
    truth, prediction = pair(seed, height=37)
    files = make_map(prediction, "p.tif"), make_map(truth, "t.tif")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "STRIP_PIXELS", strip * 31)
        patch.setattr(counting, "_PIECE", piece * 31)
        patch.setattr("rsseg.geo.code_raster.CodeRaster.block_height", 1)
        scores = evaluate(*files, erode=erode, boundary=boundary, ignore=ignore).scores
    kept = truth.copy()
    kept[np.isin(truth, [NAMES.index(name) for name in ignore])] = NODATA
    near = eroded_slowly(truth, erode) == NODATA if erode else np.zeros(truth.shape, bool)
    averaged = [name for name in NAMES if name not in ignore]
    whole = expected(np.where(near, NODATA, kept).astype(np.uint8), prediction, averaged)
    assert scores["confusion"] == whole["confusion"]
    if erode:
        assert scores["full"] == without_scores(expected(kept, prediction, averaged), ignore)
    else:
        assert "full" not in scores
    for key in ("oa", "miou", "kappa", "f1", "precision", "fwiou", "unpredicted"):
        assert scores[key] == whole[key]
    if boundary is None:
        assert "boundary_f1" not in scores
    else:
        borders = boundary_scores(kept, prediction, NAMES, boundary)
        for name in averaged:
            assert scores["classes"][name].items() >= borders["classes"][name].items()
        known = [r["boundary_iou"] for n, r in scores["classes"].items() if n in averaged]
        assert scores["boundary_iou"] == pytest.approx(
            np.mean([value for value in known if value is not None])
        )


@pytest.mark.parametrize("height", [1, 7, 100])
def test_polygons_of_a_map_score_one_against_it(make_map, folder, monkeypatch, height):
    codes = blocks(1)
    codes[::7, ::3] = 4  # many holes
    path = make_map(codes, "p.tif")
    vectorise(path, folder / "truth.gpkg")
    monkeypatch.setattr("rsseg.evaluate.layers.PolygonStrips.block_height", height)
    monkeypatch.setattr(counting, "STRIP_PIXELS", 1)
    monkeypatch.setattr("rsseg.geo.features._MANY", 20)  # clip what has a hole
    result = evaluate(path, folder / "truth.gpkg")
    assert result.scores["oa"] == 1
    assert result.scores["miou"] == 1
    assert sum(row["pixels"] for row in result.scores["classes"].values()) == (
        np.count_nonzero(codes != NODATA)
    )
    assert result.notes == ()


def test_polygons_of_a_map_without_names_are_matched_by_code(make_scene, folder):
    path = make_scene("p.tif", pixels=np.where(blocks(2) == NODATA, 9, blocks(2) * 3)[None])
    vectorise(path, folder / "truth.gpkg")
    result = evaluate(path, folder / "truth.gpkg")
    assert result.scores["miou"] == 1
    assert list(result.scores["classes"]) == [f"class {code}" for code in (0, 3, 6, 9, 12)]
    with pytest.raises(LegendError, match="has class names in the field 'class', the map carries"):
        evaluate(path, folder / "truth.gpkg", field="class")


def test_another_order_of_the_legend_changes_nothing(make_map):
    truth, prediction = pair(3)
    table = np.full(256, NODATA, np.uint8)
    table[:5] = SHUFFLED.codes
    path = make_map(prediction, "p.tif")
    plain = evaluate(path, make_map(truth, "t.tif"), erode=1, boundary=2)
    other = evaluate(path, make_map(table[truth], "s.tif", SHUFFLED), erode=1, boundary=2)
    assert (other.scores, other.notes) == (plain.scores, plain.notes)
    swapped = evaluate(make_map(table[prediction], "q.tif", SHUFFLED), make_map(truth, "t.tif"))
    assert swapped.scores["classes"] == evaluate(path, make_map(truth, "t.tif")).scores["classes"]


@pytest.mark.parametrize("distance", [1, 3, 5.5])
def test_erosion_by_columns_is_that_of_the_whole(monkeypatch, distance):
    truth = blocks(4, height=20, width=90)
    monkeypatch.setattr(counting, "_COLUMNS", 16)
    assert (counting._eroded(truth, distance) == eroded_slowly(truth, distance)).all()


@pytest.mark.parametrize(("width", "halo"), [(20_000, 0), (20_000, 3), (20_000, 256), (10**6, 256)])
def test_pieces_hold_few_pixels_beside_what_a_distance_needs(width, halo):
    rows = counting._piece_rows(width, halo)
    assert (rows + 2 * halo) * width <= max(counting._HELD, 3 * halo * width)
    assert rows >= max(1, halo)


# --- what is left out


def test_ignored_truth_is_left_out_and_its_class_in_no_mean(make_map):
    truth = np.array([[0, 0, 1, 2]], np.uint8)
    prediction = np.array([[0, 1, 1, 2]], np.uint8)
    files = make_map(prediction, "p.tif"), make_map(truth, "t.tif")
    scores = evaluate(*files, ignore=["land"]).scores
    assert scores["confusion"] == expected(np.array([[0, 0, NODATA, 2]]), prediction)["confusion"]
    assert scores["oa"] == pytest.approx(2 / 3)
    assert scores["miou"] == pytest.approx((1 / 2 + 1) / 2)
    assert scores["classes"]["land"] == dict.fromkeys(scores["classes"]["land"]) | {"pixels": 0}


def test_means_over_chosen_classes_count_all_pixels(make_map):
    truth, prediction = pair(5)
    files = make_map(prediction, "p.tif"), make_map(truth, "t.tif")
    assert evaluate(*files, classes=["road", "land"]).scores == expected(
        truth, prediction, ["road", "land"]
    )


@pytest.mark.parametrize("nodata", [0, 99])
def test_the_files_nodata_is_no_class(make_map, nodata):
    truth, prediction = pair(6)
    legend = Legend(tuple(LandClass(c.code + 1, c.name, c.colour) for c in LAND_COVER))
    shifted = [np.where(x == NODATA, nodata, x + 1).astype(np.uint8) for x in (truth, prediction)]
    files = (
        make_map(shifted[1], "p.tif", legend, nodata),
        make_map(shifted[0], "t.tif", legend, nodata),
    )
    assert evaluate(*files).scores == expected(truth, prediction)


def test_a_mask_hides_truth(make_scene, make_map):
    truth, prediction = pair(7, unlabelled=0)
    valid = np.random.default_rng(0).random(truth.shape) < 0.5
    masked = make_scene("t.tif", pixels=truth[None], valid=valid, validity="mask")
    scores = evaluate(make_map(prediction, "p.tif"), masked).scores
    hidden = np.where(valid, truth, NODATA).astype(np.uint8)
    assert scores == expected(hidden, prediction)


# --- how classes are matched


def test_without_names_codes_are_matched_and_a_note_says_so(make_scene, make_map):
    truth, prediction = pair(8)
    bare = make_scene("t.tif", pixels=truth[None])
    named = evaluate(make_map(prediction, "p.tif"), bare, boundary=2)
    assert named.scores["confusion"] == expected(truth, prediction)["confusion"]
    assert list(named.scores["classes"]) == list(NAMES)
    assert named.notes == (f"{bare} without class names: classes were matched by code",)

    both = evaluate(make_scene("p.tif", pixels=prediction[None]), bare, boundary=2)
    assert list(both.scores["classes"]) == [f"class {code}" for code in range(5)]
    for key in ("oa", "miou", "boundary_f1"):
        assert both.scores[key] == named.scores[key]
    less = evaluate(make_scene("p.tif", pixels=prediction[None]), bare, ignore=["class 3"])
    assert less.scores["classes"]["class 3"]["pixels"] == 0


def test_whole_numbers_of_other_types_are_codes(make_scene, make_map):
    truth, prediction = pair(9)
    wide = np.where(truth == NODATA, -9999, truth).astype(np.int16)
    path = make_scene(
        "t.tif", pixels=wide[None], valid=truth != NODATA, validity="nodata", nodata=-9999
    )
    scores = evaluate(make_map(prediction, "p.tif"), path).scores
    assert scores == expected(truth, prediction)
    path = make_scene("t.tif", pixels=(wide + 300)[None].astype(np.int16))
    with pytest.raises(LegendError, match="holds the value 30"):
        evaluate(make_map(prediction, "p.tif"), path)


def test_a_code_without_a_name_is_refused_where_names_are_matched(make_map):
    truth, prediction = pair(10)
    prediction[truth == 3] = 9
    with pytest.raises(LegendError, match=r"p\.tif holds the code 9, expected .*0 building"):
        evaluate(make_map(prediction, "p.tif"), make_map(truth, "t.tif"))


def test_names_in_common_are_needed_and_lone_ones_noted(make_map):
    truth, prediction = pair(11)
    strange = Legend.of({"sea": (0, 0, 1), "sand": (0, 0, 2)})
    with pytest.raises(LegendError, match="have no class in common"):
        evaluate(make_map(prediction, "p.tif"), make_map(truth * 0, "t.tif", strange))
    partly = Legend.of({"water": (0, 0, 1), "sand": (0, 0, 2)})
    path = make_map(truth % 2, "t.tif", partly)
    result = evaluate(make_map(prediction, "p.tif"), path)
    assert list(result.scores["classes"]) == [*NAMES, "sand"]
    assert result.notes[-1] == f"only {path} has sand"


# --- polygons


def polygons(path, geometries, crs=32633, **fields):
    options = {"SPATIAL_INDEX": "NO"} if path.suffix == ".fgb" else {}  # it wants no gaps
    geopandas.GeoDataFrame(fields, geometry=geometries, crs=crs).to_file(path, **options)
    return path


def box(columns, rows):
    """Columns and rows from ... to as a polygon on the ground."""
    corners = [(c, r) for c in columns for r in rows]
    return shapely.MultiPoint([TRANSFORM @ xy for xy in corners]).envelope


@pytest.mark.parametrize("name", ["t.gpkg", "t.fgb", "t.geojson", "t.shp"])
def test_polygons_without_geometry_or_class_are_counted(make_map, tmp_path, name):
    codes = np.zeros((8, 8), np.uint8)
    geometries = [box((0, 4), (0, 8)), box((4, 6), (0, 8)), None, box((6, 8), (0, 8))]
    truth = polygons(tmp_path / name, geometries, **{"class": ["building", "water", "road", None]})
    result = evaluate(make_map(codes, "p.tif"), truth)
    assert result.scores["classes"]["building"]["pixels"] == 32
    assert result.scores["classes"]["water"]["pixels"] == 16
    assert result.scores["oa"] == pytest.approx(2 / 3)
    notes = "\n".join(result.notes)
    assert "1 feature without geometry left out" in notes
    assert "1 feature without a value in the field 'class' left out" in notes


def test_the_later_polygon_wins(make_map, tmp_path):
    geometries = [box((0, 8), (0, 8)), box((0, 2), (0, 8)), box((0, 1), (0, 8))]
    truth = polygons(tmp_path / "t.gpkg", geometries, class_id=[1, 0, 4])
    rows = evaluate(make_map(np.zeros((8, 8), np.uint8), "p.tif"), truth).scores["classes"]
    assert [rows[name]["pixels"] for name in ("land", "building", "water")] == [48, 8, 8]


def test_polygons_are_reprojected_with_a_note(make_map, tmp_path):
    codes = np.zeros((8, 8), np.uint8)
    path = tmp_path / "t.gpkg"
    shape = geopandas.GeoSeries([box((0.3, 4.3), (0.3, 8))], crs=32633).to_crs(4326)
    result = evaluate(
        make_map(codes, "p.tif"), polygons(path, shape, crs=4326, kind=["land"]), field="kind"
    )
    assert result.scores["classes"]["land"]["pixels"] == 4 * 8
    assert result.notes[0].startswith(f"{path} was reprojected from WGS 84 to ")


def test_fields_that_are_not_there_are_refused(make_map, tmp_path):
    path = polygons(tmp_path / "t.gpkg", [box((0, 4), (0, 8))], kind=["land"])
    codes = make_map(np.zeros((8, 8), np.uint8), "p.tif")
    with pytest.raises(OptionError, match="got kind; name the field of the classes with --field"):
        evaluate(codes, path)
    other = polygons(tmp_path / "w.gpkg", [box((0, 4), (0, 8))], Class=["land"])
    with pytest.raises(OptionError, match="with --field; did you mean 'Class'?"):
        evaluate(codes, other)
    with pytest.raises(OptionError, match="has no field 'colour', got kind"):
        evaluate(codes, path, field="colour")
    with pytest.raises(OptionError, match="did you mean 'kind'?"):
        evaluate(codes, path, field="KIND")
    path = polygons(tmp_path / "u.gpkg", [box((0, 4), (0, 8))], class_id=[300])
    with pytest.raises(LegendError, match="holds 300 in the field 'class_id'"):
        evaluate(codes, path)
    path = polygons(tmp_path / "v.gpkg", [shapely.LineString([(0, 0), (1, 1)])], class_id=[3])
    with pytest.raises(SceneError, match="expected points or polygons"):
        evaluate(codes, path)
    with pytest.raises(GridMismatch, match="the raster has no CRS; give the raster its place"):
        evaluate(
            make_map(np.zeros((8, 8), np.uint8), "q.tif", crs=None),
            tmp_path / "t.gpkg",
            field="kind",
        )


def test_a_layer_is_chosen_by_name(make_map, tmp_path):
    path = tmp_path / "t.gpkg"
    codes = make_map(np.zeros((8, 8), np.uint8), "p.tif")
    for layer, columns in (("first", (0, 4)), ("second", (0, 2))):
        frame = geopandas.GeoDataFrame(
            {"class": ["building"]}, geometry=[box(columns, (0, 8))], crs=32633
        )
        frame.to_file(path, layer=layer)
    plain = evaluate(codes, path)
    assert plain.scores["classes"]["building"]["pixels"] == 32
    assert plain.notes[0] == f"{path} has 2 layers with geometries, 'first' was taken"
    chosen = evaluate(codes, path, layer="second")
    assert chosen.scores["classes"]["building"]["pixels"] == 16
    assert not any("layers" in note for note in chosen.notes)
    assert (plain.settings["layer"], chosen.settings["layer"]) == ("first", "second")
    with pytest.raises(SceneError, match="no layer 'Second', got first, second; did you mean 's"):
        evaluate(codes, path, layer="Second")


# --- what is refused


def test_another_grid_is_refused_with_the_remedy(make_map, tmp_path):
    truth, prediction = pair(0)
    moved = make_map(truth, "t.tif", transform=TRANSFORM @ Affine.translation(0.5, 0))
    with pytest.raises(GridMismatch, match=r"gdalwarp -r near -t_srs EPSG:32633 -te .* -ts 31 43 "):
        evaluate(make_map(prediction, "p.tif"), moved)
    nowhere = make_map(truth, "u.tif", crs=None)
    with pytest.raises(GridMismatch, match="u.tif is .* without CRS.*; georeference both"):
        evaluate(tmp_path / "p.tif", nowhere)


@pytest.mark.parametrize("name", ["none.tif", "none.gpkg"])
def test_missing_files_are_named(make_map, tmp_path, name):
    path = make_map(blocks(0), "p.tif")
    with pytest.raises(SceneError, match=f"there is no file .*{name}"):
        evaluate(path, tmp_path / name)


def test_what_is_no_class_raster_is_refused(make_map, make_scene, tmp_path):
    path = make_map(blocks(0), "p.tif")
    with pytest.raises(SceneError, match="got 3 bands of uint8"):
        evaluate(make_scene(), path)
    with pytest.raises(SceneError, match="got 1 band of float32"):
        evaluate(path, make_scene(bands=1, dtype="float32"))
    (tmp_path / "t.gpkg").write_text("no database")
    with pytest.raises(SceneError, match="cannot be read as a vector file"):
        evaluate(path, tmp_path / "t.gpkg")


def test_a_damaged_file_is_named(make_map, tmp_path):
    path = make_map(blocks(0, 300, 300, side=1), "p.tif")
    damaged = tmp_path / "damaged.tif"
    with rasterio.open(path) as dataset:
        start = int(dataset.get_tag_item("BLOCK_OFFSET_1_0", "TIFF", bidx=1))
    whole = bytearray(path.read_bytes())
    whole[start : start + 100] = bytes(100)
    damaged.write_bytes(whole)
    with pytest.raises(SceneError, match=r"damaged\.tif cannot be read at rows 0-"):
        evaluate(path, damaged)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("t.kml", r"a vector file of a kind that is not read, .*: ogr2ogr \S*t\.gpkg \S*t\.kml$"),
        ("t.csv", r"is a table, expected a raster.*; convert it: .*t\.csv -oo X_POSSIBLE_NAMES"),
        ("t.xlsx", r"is a table.*; save it as \.csv and convert it: ogr2ogr \S*gpkg \S*t\.csv -oo"),
    ],
)
def test_truth_of_other_kinds_is_refused_with_the_remedy(make_map, tmp_path, name, message):
    (tmp_path / name).write_text("x,y,class")
    with pytest.raises(SceneError, match=message):
        evaluate(make_map(blocks(0), "p.tif"), tmp_path / name)


@pytest.mark.parametrize("name", ["p.gpkg", "p.GeoJSON", "p.csv", "p.kml"])
def test_a_map_that_is_no_raster_is_refused(make_map, tmp_path, name):
    with pytest.raises(SceneError, match="a class raster as the prediction; name the map first"):
        evaluate(tmp_path / name, make_map(blocks(0), "t.tif"))


def test_names_that_differ_in_case_are_two_classes_and_said_so(make_map):
    truth, prediction = pair(11)
    loud = Legend(tuple(LandClass(c.code, c.name.title(), c.colour) for c in LAND_COVER))
    with pytest.raises(LegendError, match="no class in common.*the case of letters counts"):
        evaluate(make_map(prediction, "p.tif"), make_map(truth, "t.tif", loud))
    half = Legend((*LAND_COVER.classes[:4], loud.classes[4]))
    result = evaluate(make_map(prediction, "p.tif"), make_map(truth, "t.tif", half))
    assert result.notes[-1].startswith("'water' and 'Water' were taken for two classes")
    assert result.scores["classes"]["water"]["recall"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ignore": ["Water"]}, "there is no class 'Water', .*; did you mean 'water'?"),
        ({"classes": ["rode"]}, "did you mean 'road'?"),
        ({"erode": 257}, "expected at most 256 pixels, got 257"),
        ({"boundary": 300}, "expected at most 256 pixels, got 300"),
        ({"layer": "a"}, "is a raster: layer cannot be used"),
        ({"ignore": ["fish"]}, "ignore: there is no class 'fish', expected building, land"),
        ({"classes": ["fish"]}, "classes: there is no class 'fish'"),
        ({"classes": ["land"], "ignore": ["land"]}, "land cannot be ignored and averaged over"),
        ({"erode": -1}, "at least 0 pixels"),
        ({"boundary": 0.5}, "at least 1 pixels"),
        ({"field": "class"}, "is a raster: field cannot be used"),
    ],
)
def test_unusable_options_are_refused(make_map, options, message):
    truth, prediction = pair(0)
    with pytest.raises(OptionError, match=message):
        evaluate(make_map(prediction, "p.tif"), make_map(truth, "t.tif"), **options)


def test_nothing_to_score_is_said(make_map):
    truth, prediction = pair(0)
    empty = make_map(np.full_like(truth, NODATA), "t.tif")
    result = evaluate(make_map(prediction, "p.tif"), empty, erode=2, boundary=2)
    assert result.scores["oa"] is None
    assert result.notes == ("nothing was scored: there are no pixels with truth on the map",)


# --- the raster of errors


def test_errors_are_a_class_raster_on_the_grid(make_map, folder, monkeypatch):
    monkeypatch.setattr(counting, "_PIECE", 31 * 5)
    truth, prediction = pair(1)
    path = make_map(prediction, "p.tif")
    evaluate(path, make_map(truth, "t.tif"), erode=1, ignore=["road"], errors=folder / "e.tif")
    scored = eroded_slowly(truth, 1)
    scored[truth == 2] = NODATA
    with rasterio.open(folder / "e.tif") as dataset, rasterio.open(path) as original:
        Grid.of(original).require_same(Grid.of(dataset), "p", "e")
        assert [known.name for known in read_legend(dataset)] == ["right", "wrong"]
        assert dataset.nodata == NODATA
        found = dataset.read(1)
    assert (found == np.where(scored == NODATA, NODATA, scored != prediction)).all()
    assert sorted(p.name for p in folder.iterdir()) == ["e.qml", "e.tif", "e.tif.aux.xml"]


def test_errors_appear_whole_or_not_at_all(make_map, folder, monkeypatch):
    monkeypatch.setattr(counting, "_PIECE", 31 * 5)
    truth, prediction = pair(1)
    prediction[-1][truth[-1] != NODATA] = 9  # found out by the last piece
    truth[-1, 0] = 0
    prediction[-1, 0] = 9
    files = make_map(prediction, "p.tif"), make_map(truth, "t.tif")
    with pytest.raises(LegendError):
        evaluate(*files, errors=folder / "e.tif")
    assert list(folder.iterdir()) == []
    (folder / "e.tif").write_text("mine")
    with pytest.raises(OutputError, match="already there; add --overwrite"):
        evaluate(*files, errors=folder / "e.tif")
    with pytest.raises(LegendError):
        evaluate(*files, errors=folder / "e.tif", overwrite=True)
    assert (folder / "e.tif").read_text() == "mine"
    with pytest.raises(OptionError, match="would replace its own input"):
        evaluate(*files, errors=files[1], overwrite=True)
