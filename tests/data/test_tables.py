"""What is common to both kinds of table; the CSV's own faults are in test_catalogue."""

from dataclasses import replace

import numpy as np
import pyogrio
import pyogrio.raw
import pytest
import shapely
from rasterio.windows import Window

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.tables import read_catalogue, row_of, write_catalogue
from rsseg.errors import CatalogueError


@pytest.fixture
def catalogue(make_scene, tmp_path):
    """A raster label, a part of a scene, and polygons with all that goes with them."""
    image = make_scene("sub/image.tif", height=30, width=40)
    plain = make_scene("plain.tif", height=20, width=20, crs=None)
    label = make_scene("sub/label.tif", height=30, width=40, bands=1)
    for name in ("fields.gpkg", "areas.gpkg"):
        (tmp_path / name).touch()
    return Catalogue(
        (
            LabelledScene(image, label, "train", "a"),
            LabelledScene(image, label, "val", "b", window=Window(3, 5, 20, 10)),
            LabelledScene(
                plain,
                tmp_path / "fields.gpkg",
                "test",
                "",
                field="label name",
                areas=tmp_path / "areas.gpkg",
                background="other land",
            ),
        )
    )


def test_links_below_the_folder_are_told_as_they_stand(catalogue, tmp_path):
    """So that a folder of links reads the same wherever what they lead to has gone."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/images").symlink_to(tmp_path / "sub")
    linked = replace(catalogue.scenes[0], image=tmp_path / "data/images/image.tif")
    for folder in ("data", "data/../data"):
        assert row_of(linked, tmp_path / folder)["image"] == "images/image.tif"
    assert row_of(catalogue.scenes[0], tmp_path / "data")["image"] == str(
        tmp_path / "sub/image.tif"
    )


@pytest.mark.parametrize("name", ["catalogue.csv", "catalogue.gpkg", "below/catalogue.GPKG"])
def test_round_trip(catalogue, tmp_path, name):
    table = tmp_path / name
    table.parent.mkdir(exist_ok=True)
    write_catalogue(table, catalogue)
    assert read_catalogue(table).scenes == catalogue.scenes
    write_catalogue(table, Catalogue(catalogue.scenes[:1]))
    assert read_catalogue(table).scenes == catalogue.scenes[:1]


def test_only_columns_that_are_used_are_written(catalogue, tmp_path):
    write_catalogue(tmp_path / "plain.csv", Catalogue(catalogue.scenes[:1]))
    assert (tmp_path / "plain.csv").read_text().splitlines()[0] == "image,label,split,group"


def test_a_geopackage_has_the_footprints(catalogue, tmp_path):
    write_catalogue(tmp_path / "c.gpkg", catalogue)
    meta, _, wkb, _ = pyogrio.raw.read(tmp_path / "c.gpkg")
    whole, part, nowhere = shapely.from_wkb(wkb)
    assert meta["crs"] == "EPSG:4326"
    assert nowhere is None
    assert whole.buffer(1e-9).covers(part)
    assert part.area / whole.area == pytest.approx(200 / 1200, rel=1e-3)
    assert whole.bounds[0] == pytest.approx(13.67, abs=0.1)  # UTM zone 33 at x = 400,000


def test_other_geopackages_are_refused(tmp_path):
    table = tmp_path / "c.gpkg"
    values = [np.array(["a"], dtype=object)]
    pyogrio.raw.write(
        table, shapely.to_wkb(np.array([shapely.Point(1, 2)])), values, ["image"],
        driver="GPKG", geometry_type="Point", crs="EPSG:4326",
    )  # fmt: skip
    with pytest.raises(CatalogueError, match=r"c\.gpkg lacks the columns label, split, group"):
        read_catalogue(table)
    table.write_bytes(b"no database")
    with pytest.raises(CatalogueError, match=r"c\.gpkg cannot be read"):
        read_catalogue(table)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("window,1 2 3", "line 2: a window is wrong, expected COLUMN ROW WIDTH HEIGHT.*'1 2 3'"),
        ("window,1 2 0 4", "a window is wrong"),
        ("window,-1 2 3 4", "a window is wrong"),
        ("areas,nowhere.gpkg", r"line 2: there is no areas .*nowhere\.gpkg"),
        ("field,class", r"line 2: .*label\.tif is a raster, expected no field"),
        ("background,other", "is a raster, expected no background"),
    ],
)
def test_wrong_optional_columns_are_refused_by_line(catalogue, tmp_path, extra, message):
    column, value = extra.split(",")
    table = tmp_path / "c.csv"
    row = f"sub/image.tif,sub/label.tif,train,g,{value}"
    table.write_text(f"image,label,split,group,{column}\n{row}\n")
    with pytest.raises(CatalogueError, match=message):
        read_catalogue(table)


def test_one_part_may_not_be_listed_twice(catalogue):
    first, part, _ = catalogue
    with pytest.raises(CatalogueError, match="more than once"):
        Catalogue((first, part, part))


def test_a_window_must_lie_in_its_image(catalogue):
    import dataclasses

    wrong = dataclasses.replace(catalogue.scenes[1], window=Window(30, 0, 11, 5))
    with pytest.raises(CatalogueError, match="leaves .*image.tif, expected within 40 x 30"):
        wrong.grid()
    assert catalogue.scenes[1].grid().height == 10


def test_null_is_no_text_in_a_geopackage(catalogue, tmp_path):
    scene = catalogue.scenes[0]
    names = ["image", "label", "split", "group"]
    columns = [
        np.array([str(scene.image)] * 2, object),
        np.array([str(scene.label)] * 2, object),
        np.array(["train", None], object),
        np.array([7.0, np.nan]),
        np.array(["0 0 9 9", "9 0 9 9"], object),
    ]
    pyogrio.raw.write(
        tmp_path / "c.gpkg",
        np.array([None, None], object),
        columns,
        [*names, "window"],
        driver="GPKG",
        geometry_type="Polygon",
        crs="EPSG:4326",
    )
    rows = read_catalogue(tmp_path / "c.gpkg").scenes
    assert [(row.split, row.group) for row in rows] == [("train", "7"), ("", "")]
