"""Statistics of a catalogue against plain numpy over all its pixels."""

from __future__ import annotations

import re

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyogrio.raw import write
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from rsseg.data import counting
from rsseg.data.agreement import parse_legend
from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.counting import catalogue_statistics
from rsseg.data.datasets.class_tables import write_classes
from rsseg.data.datasets.dubai import Dubai
from rsseg.data.statistics import without
from rsseg.data.tables import read_catalogue
from rsseg.errors import BandError, CatalogueError, GridMismatch, LegendError, SceneError
from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.geo.scene import Scene
from rsseg.legend import LAND_COVER, NODATA, LandClass, Legend
from rsseg.losses import median_frequency_weights

LEGEND = Legend((LandClass(7, "grass", (0, 99, 0)), LandClass(2, "rock", (9, 9, 9))))


@pytest.fixture
def make_row(make_scene):
    """A function that writes an image and its label and gives their row."""

    def make(name, codes, legend=LEGEND, split="train", **options):
        image = make_scene(f"{name}.tif", **options)
        label = image.with_name(f"{name}_label.tif")
        with rasterio.open(image) as dataset:
            grid = Grid.of(dataset)
        write_raster(label, codes.astype(np.uint8)[None], grid, nodata=NODATA, legend=legend)
        return LabelledScene(image, label, split, name)

    return make


def _codes(height, width, seed, values=(7, 2, NODATA)):
    return np.random.default_rng(seed).choice(values, (height, width))


def _check(found, catalogue, legend, bands=None, stride=1):
    """Everything again, from whole arrays."""
    every, per_class, with_class, valid, pixels, labels = [], 0, 0, 0, 0, 0
    for row, image in zip(catalogue, found.images, strict=True):
        with Scene(row.image, bands, row.window) as scene:
            whole = Window(0, 0, scene.grid.width, scene.grid.height)
            values, good = scene.read(whole)
        with rasterio.open(row.label) as dataset:
            corner = row.window or whole
            inside = Window(*(int(v) // stride for v in corner.flatten()))
            codes = dataset.read(1, window=inside)
        every.append(values[:, good].astype(np.float64))
        seen = codes[good[::stride, ::stride]]
        counts = np.array([(seen == c.code).sum() for c in legend])
        black = ((values == 0).all(axis=0) | ~good).sum()
        assert image.scene == row
        assert (image.pixels, image.valid, image.black) == (good.size, good.sum(), black)
        assert image.counts == tuple(counts)
        assert image.label_pixels == codes.size
        per_class, with_class = per_class + counts, with_class + (counts > 0)
        valid, pixels, labels = valid + good.sum(), pixels + good.size, labels + codes.size
    every = np.concatenate(every, axis=1)
    for band, values in zip(found.bands, every, strict=True):
        assert band.mean == pytest.approx(values.mean(), rel=1e-9)
        assert band.std == pytest.approx(values.std(), rel=1e-8, abs=1e-9)
        assert (band.minimum, band.maximum) == (values.min(), values.max())
        expected = np.percentile(values, [2, 98])
        assert [band.p2, band.p98] == pytest.approx(expected, rel=1e-3, abs=2e-3)
    assert found.counts.tolist() == per_class.tolist()
    assert found.images_with.tolist() == with_class.tolist()
    assert found.valid_share == pytest.approx(valid / pixels)
    assert found.unlabelled_share == pytest.approx(1 - per_class.sum() / labels)


@pytest.mark.parametrize(
    ("dtype", "validity", "bands"),
    [
        ("uint8", "none", 3),
        ("uint8", "nodata", 4),
        ("uint8", "alpha", 3),
        ("uint16", "mask", 2),
        ("uint16", "alpha", 1),
        ("int16", "nodata", 2),
        ("int32", "nodata", 1),
        ("float32", "nodata", 2),
        ("float32", "none", 3),
        ("float64", "mask", 1),
    ],
)
def test_every_kind_of_scene(make_row, dtype, validity, bands):
    rows = []
    for number, (height, width) in enumerate([(20, 31), (17, 8), (33, 5)]):
        valid = np.ones((height, width), bool)
        if validity != "none":
            valid[3:9, 2 : 4 + number] = False
        options = {"dtype": dtype, "bands": bands, "seed": number, "valid": valid}
        codes = _codes(height, width, number)
        rows.append(make_row(f"s{number}", codes, validity=validity, **options))
    catalogue = Catalogue(tuple(rows))
    found = catalogue_statistics(catalogue)
    assert found.dtype == dtype
    assert found.legend == LEGEND
    _check(found, catalogue, LEGEND)


def test_pixels_that_are_not_a_number_are_invalid(make_row):
    pixels = np.random.default_rng(0).normal(0, 5, (2, 12, 9)).astype(np.float32)
    pixels[0, 2, 3], pixels[1, 5, 5], pixels[1, 6, 6] = np.nan, np.inf, -np.inf
    catalogue = Catalogue((make_row("a", _codes(12, 9, 1), pixels=pixels),))
    found = catalogue_statistics(catalogue)
    assert found.images[0].valid == 12 * 9 - 3
    assert all(np.isfinite([band.mean, band.std, band.p2]).all() for band in found.bands)
    _check(found, catalogue, LEGEND)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shapes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=3),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    strip=st.sampled_from([1, 500, 1 << 25]),
    seed=st.integers(0, 99),
)
def test_strips_change_nothing(make_row, monkeypatch, shapes, dtype, strip, seed):
    rows = []
    for number, (height, width) in enumerate(shapes):
        valid = np.random.default_rng(seed + number).random((height, width)) > 0.2
        valid[0, 0] = True
        codes = _codes(height, width, seed)
        options = {"dtype": dtype, "validity": "nodata", "valid": valid, "seed": seed}
        rows.append(make_row(f"{number}", codes, bands=2, **options))
    catalogue = Catalogue(tuple(rows))
    with monkeypatch.context() as patch:
        patch.setattr(counting, "_STRIP_BYTES", strip)
        _check(catalogue_statistics(catalogue), catalogue, LEGEND)


def test_bands_are_chosen_by_name_in_any_order_of_the_files(make_row):
    rows = []
    for number, names in enumerate([("red", "green", "nir"), ("nir", "red", "green")]):
        codes = _codes(10, 12, number)
        rows.append(make_row(f"{number}", codes, height=10, width=12, descriptions=names))
    catalogue = Catalogue(tuple(rows))
    found = catalogue_statistics(catalogue, bands=("nir", "red"))
    assert [band.name for band in found.bands] == ["nir", "red"]
    _check(found, catalogue, LEGEND, bands=("nir", "red"))
    with pytest.raises(CatalogueError, match=r"1.tif has the bands nir, red, green, .*--bands"):
        catalogue_statistics(catalogue)
    with pytest.raises(BandError, match="no band 'blue'"):
        catalogue_statistics(catalogue, bands=("blue",))


def test_rows_that_are_windows_of_an_image(make_row):
    row = make_row("a", _codes(24, 30, 0), height=24, width=30)
    parts = [Window(3, 2, 11, 9), Window(16, 10, 14, 14)]
    rows = [
        LabelledScene(row.image, row.label, "train", str(n), window=w) for n, w in enumerate(parts)
    ]
    catalogue = Catalogue(tuple(rows))
    _check(catalogue_statistics(catalogue), catalogue, LEGEND)


def test_labels_of_larger_pixels(make_scene, tmp_path, monkeypatch):
    valid = np.random.default_rng(3).random((12, 20)) > 0.3
    image = make_scene(valid=valid, validity="nodata")
    with rasterio.open(image) as dataset:
        grid = Grid.of(dataset).resized((6, 10))
    codes = _codes(6, 10, 4)
    write_raster(tmp_path / "l.tif", codes.astype(np.uint8)[None], grid, legend=LEGEND)
    catalogue = Catalogue((LabelledScene(image, tmp_path / "l.tif", "train", ""),))
    monkeypatch.setattr(counting, "_STRIP_BYTES", 1)
    _check(catalogue_statistics(catalogue, label_stride=2), catalogue, LEGEND, stride=2)
    with pytest.raises(GridMismatch):
        catalogue_statistics(catalogue)


def test_polygons_need_a_legend_and_are_counted_like_rasters(make_scene, tmp_path):
    image = make_scene(height=20, width=20)
    with rasterio.open(image) as dataset:
        left = [dataset.transform @ xy for xy in [(0, 0), (8, 0), (8, 20), (0, 20)]]
    file = tmp_path / "fields.gpkg"
    write(
        file,
        shapely.to_wkb(np.array([shapely.Polygon(left), None], dtype=object)),
        [np.array(["rock", "rock"], dtype=object)],
        ["class"],
        geometry_type="Polygon",
        crs="EPSG:32633",
        driver="GPKG",
    )
    catalogue = Catalogue((LabelledScene(image, file, "train", ""),))
    with pytest.raises(LegendError, match="polygons do not tell .*--classes"):
        catalogue_statistics(catalogue)
    table = tmp_path / "catalogue.csv"
    with pytest.raises(LegendError, match=r"which classes .*, expected .*classes\.csv; name them"):
        catalogue_statistics(catalogue, table=table)
    found = catalogue_statistics(catalogue, legend=parse_legend(("grass", "rock")))
    write_classes(tmp_path / "classes.csv", found.legend)
    assert catalogue_statistics(catalogue, table=table) == found
    assert found.counts.tolist() == [0, 160]
    assert found.images_with.tolist() == [0, 1]
    assert found.unlabelled_share == pytest.approx(0.6)
    assert any("1 feature without geometry" in note for note in found.notes)


def test_weights_are_those_of_the_losses(make_row):
    legend = parse_legend(("a", "b", "c", "none", "d"))
    codes = _codes(40, 40, 0, (0, 1, 1, 1, 2, 2, 4, NODATA))
    found = catalogue_statistics(Catalogue((make_row("x", codes, legend, height=40, width=40),)))
    expected = median_frequency_weights(found.counts.tolist())
    assert list(found.class_weights) == pytest.approx(expected, rel=1e-6)
    assert found.class_weights[3] == 0


def test_nothing_labelled_has_no_weight(make_row):
    codes = np.full((8, 8), NODATA)
    found = catalogue_statistics(Catalogue((make_row("x", codes, height=8, width=8),)))
    assert found.class_weights == (0, 0)
    assert found.unlabelled_share == 1
    assert found.dominated(0.5) == ()


@pytest.mark.parametrize(
    ("dtype", "scale"), [("uint8", 255), ("uint16", 1), ("float32", 1), ("int16", 1)]
)
def test_the_normalisation_makes_mean_0_and_deviation_1(make_row, dtype, scale):
    row = make_row("x", _codes(30, 30, 0), height=30, width=30, dtype=dtype)
    found = catalogue_statistics(Catalogue((row,)))
    said = {key: np.array(values)[:, None] for key, values in found.normalisation.items()}
    assert (said["scale"] == scale).all()
    with rasterio.open(row.image) as dataset:
        values = dataset.read().reshape(3, -1).astype(np.float64)
    normal = (values / said["scale"] - said["mean"]) / said["std"]
    assert normal.mean(axis=1) == pytest.approx(0, abs=1e-9)
    assert normal.std(axis=1) == pytest.approx(1)


def test_black_and_dominated_images_are_found_and_left_out(make_row):
    dark = np.zeros((3, 10, 10), np.uint8)
    dark[1, 0, 0] = 1
    half = np.repeat([7, 2], 50).reshape(10, 10)
    rows = (
        make_row("bright", half, height=10, width=10),
        make_row("dark", half, pixels=dark),
        make_row("rocky", np.where(np.arange(100).reshape(10, 10) < 10, 7, 2), height=10, width=10),
        make_row("blank", np.full((10, 10), NODATA), height=10, width=10),
        make_row(
            "hole",
            np.full((10, 10), 7),
            valid=np.eye(10, dtype=bool),
            validity="nodata",
        ),
    )
    catalogue = Catalogue(rows)
    found = catalogue_statistics(catalogue)
    names = lambda images: [image.scene.group for image in images]  # noqa: E731
    assert names(found.black(0.99)) == ["dark"]
    assert names(found.black(0.9)) == ["dark", "hole"]
    assert names(found.black(1.0)) == []
    many = found.dominated(0.9)
    assert [(image.scene.group, name) for image, name, _ in many] == [
        ("rocky", "rock"),
        ("hole", "grass"),
    ]
    assert [share for _, _, share in many] == [0.9, 1.0]
    assert names(i for i, _, _ in found.dominated(0.9, ("grass",))) == ["hole"]
    assert len(found.dominated(0.5)) == 4  # all but the one without a label
    with pytest.raises(LegendError, match="no class 'sand', expected grass, rock"):
        found.dominated(0.5, ("sand",))
    left = without(catalogue, [image.scene for image in found.black(0.9)])
    assert [row.group for row in left] == ["bright", "rocky", "blank"]
    with pytest.raises(CatalogueError, match="lists no scene"):
        without(catalogue, rows)


def test_classes_without_a_name_are_listed_where_they_occur(make_scene):
    codes = _codes(9, 9, 0, (3, 200)).astype(np.uint8)
    row = LabelledScene(
        make_scene(height=9, width=9), make_scene("l.tif", pixels=codes[None]), "train", ""
    )
    found = catalogue_statistics(Catalogue((row,)))
    assert found.legend.codes.tolist() == [3, 200]
    assert found.counts.tolist() == [(codes == 3).sum(), (codes == 200).sum()]
    empty = make_scene("e.tif", pixels=np.full((1, 9, 9), NODATA, np.uint8))
    with pytest.raises(LegendError, match="no pixel of the catalogue has a class"):
        catalogue_statistics(Catalogue((LabelledScene(row.image, empty, "train", ""),)))


def test_catalogues_that_cannot_be_taken_together_are_refused(make_row):
    bytes_, words = (
        make_row(dtype, _codes(8, 8, 0), height=8, width=8, dtype=dtype)
        for dtype in ("uint8", "uint16")
    )
    with pytest.raises(CatalogueError, match=r"uint16.tif holds uint16 and .*uint8.tif uint8"):
        catalogue_statistics(Catalogue((bytes_, words)))
    other = make_row("other", np.zeros((8, 8)), LAND_COVER, height=8, width=8)
    with pytest.raises(LegendError, match=r"other_label.tif has other classes than .*uint8_label"):
        catalogue_statistics(Catalogue((bytes_, other)))
    with pytest.raises(LegendError, match=r"holds the code \d, expected"):
        catalogue_statistics(Catalogue((bytes_,)), legend=parse_legend(("a", "b")))
    void = make_row("void", _codes(8, 8, 0), valid=np.zeros((8, 8), bool), validity="nodata")
    with pytest.raises(CatalogueError, match="no image .* has a valid pixel"):
        catalogue_statistics(Catalogue((void,)))
    bytes_.image.write_bytes(bytes_.image.read_bytes()[:-60])
    with pytest.raises(SceneError):
        catalogue_statistics(Catalogue((bytes_,)))


@pytest.mark.parametrize("name", ["nir", "infrared (842 nm)", ""])
def test_a_band_that_gdal_takes_for_alpha_is_noted_if_it_is_named(make_row, name):
    rows = [
        make_row(
            str(number),
            _codes(16, 16, number),
            pixels=np.full((4, 16, 16), 9, np.uint8),
            descriptions=("red", "green", "blue", name),
        )
        for number in range(2)
    ]
    for row in rows:  # as it comes of rasterio, where no one says what the bands are
        with rasterio.open(row.image, "r+") as image:
            image.colorinterp = (*image.colorinterp[:3], ColorInterp.alpha)
    notes = catalogue_statistics(Catalogue(tuple(rows)), legend=LEGEND).notes
    assert len(notes) == bool(name)
    if name:
        assert re.search(r"band 4 of .*0\.tif, 'nir', is marked as alpha, as in 1 more", notes[0])
        assert notes[0].endswith("--colorinterp red,green,blue,undefined")


def test_progress_counts_pixels_to_the_end(make_row):
    rows = [make_row(f"{n}", _codes(8, 9 + n, 0), height=8, width=9 + n) for n in range(3)]
    seen = []
    catalogue_statistics(Catalogue(tuple(rows)), on_progress=lambda *done: seen.append(done))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (240, 240)


def test_legends_are_parsed():
    legend = parse_legend(("water", "7: rock", "ice", "a:b"))
    assert [(c.code, c.name) for c in legend] == [
        (0, "water"),
        (7, "rock"),
        (8, "ice"),
        (9, "a:b"),
    ]
    for wrong in (("a", "a"), ("3:a", "3:b"), ("255:a",), ("300:a",), ("4:",), ()):
        with pytest.raises(LegendError):
            parse_legend(wrong)


@pytest.mark.slow
def test_dubai(real_data, tmp_path):
    """A few images against numpy over whole files, and the means of all training images."""
    Dubai().prepare(real_data / "dubai_mbrsc", tmp_path)
    train = read_catalogue(tmp_path / "catalogue.csv").split("train")
    few = Catalogue(train.scenes[::12])
    _check(catalogue_statistics(few), few, LAND_COVER)
    found = catalogue_statistics(train)
    total, pixels = np.zeros(3), 0
    for row in train:
        with rasterio.open(row.image) as image:
            values = image.read()
        total += values.sum(axis=(1, 2), dtype=np.int64)
        pixels += values[0].size
    assert found.normalisation["mean"] == pytest.approx(total / pixels / 255, rel=1e-12)
    assert found.black(0.99) == ()
    assert found.unlabelled_share < 0.05
