import pytest
from affine import Affine

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.tables import read_catalogue, write_catalogue
from rsseg.errors import CatalogueError, GridMismatch, SceneError

HEADER = "image,label,split,group"
TRANSFORM = Affine(2, 0, 500_000, 0, -2, 5_000_000)


def _scene(folder, name, split="train", group="g"):
    for kind in ("image", "label"):
        path = folder / f"{name}_{kind}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return LabelledScene(folder / f"{name}_image.tif", folder / f"{name}_label.tif", split, group)


def _table(folder, *lines, encoding="utf-8"):
    path = folder / "catalogue.csv"
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def test_round_trip(tmp_path):
    catalogue = Catalogue(
        (
            _scene(tmp_path, "a, b", "train", 'town "x"'),
            _scene(tmp_path / "sub", "Straße", "val", "2"),
            _scene(tmp_path, "c", "test", ""),
        )
    )
    write_catalogue(tmp_path / "catalogue.csv", catalogue)
    assert read_catalogue(tmp_path / "catalogue.csv") == catalogue


def test_a_folder_can_be_moved(tmp_path):
    folder = tmp_path / "old"
    write_catalogue(folder / "catalogue.csv", Catalogue((_scene(folder, "a"),)))
    moved = folder.rename(tmp_path / "new")
    assert read_catalogue(moved / "catalogue.csv").scenes[0].image == moved / "a_image.tif"


def test_files_elsewhere_keep_their_whole_path(tmp_path):
    outside = _scene(tmp_path / "elsewhere", "a")
    table = tmp_path / "tables" / "catalogue.csv"
    table.parent.mkdir()
    write_catalogue(table, Catalogue((outside,)))
    assert read_catalogue(table).scenes == (outside,)


def test_splits_partition_the_scenes_in_order(tmp_path):
    splits = ("train", "val", "train", "test")
    catalogue = Catalogue(tuple(_scene(tmp_path, str(i), s) for i, s in enumerate(splits)))
    assert catalogue.splits == ("test", "train", "val")
    assert len(catalogue) == sum(len(catalogue.split(name)) for name in catalogue.splits)
    assert list(catalogue.split("train")) == [catalogue.scenes[0], catalogue.scenes[2]]
    with pytest.raises(CatalogueError, match="no scene is in the split 'vall'.*test, train, val"):
        catalogue.split("vall")


def test_further_columns_spaces_and_the_mark_of_excel_do_no_harm(tmp_path):
    expected = _scene(tmp_path, "a", "train", "g")
    table = _table(
        tmp_path,
        HEADER + ",note",
        " a_image.tif , a_label.tif,train ,g,x",
        encoding="utf-8-sig",
    )
    assert list(read_catalogue(table)) == [expected]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["image,label,split"], r"catalogue\.csv lacks the columns group"),
        (["picture,mask"], "lacks the columns image, label, split, group"),
        ([""], "lacks the columns"),
        ([HEADER], "no scene"),
        ([HEADER, "a_image.tif,b.tif,train,g"], r"catalogue\.csv, line 2: .* label .*b\.tif"),
        ([HEADER, "a_image.tif,a_label.tif,train,g", ",,,"], "line 3: there is no image"),
        ([HEADER, "a_image.tif"], "line 2: there is no label"),
        ([HEADER, *["a_image.tif,a_label.tif,train,g"] * 2], r"a_image\.tif more than once"),
        (
            [HEADER, "a_image.tif,a_label.tif,train,g", "./x/../a_image.tif,a_label.tif,val,h"],
            r"a_image\.tif more than once",
        ),
        (["image;label;split;group"], "no commas .* got 'image;label;split;group'; save it with"),
        ([HEADER + ",image", "a_image.tif,a_label.tif,train,g,x"], "has two columns 'image'"),
        ([HEADER, "", "a_image.tif,a_label.tif,train,g,7"], "line 3 has 5 values, expected 4"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, lines, message):
    _scene(tmp_path, "a")
    (tmp_path / "x").mkdir()
    with pytest.raises(CatalogueError, match=message):
        read_catalogue(_table(tmp_path, *lines))


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(CatalogueError, match=r"there is no catalogue .*nowhere\.csv"):
        read_catalogue(tmp_path / "nowhere.csv")


def test_image_and_label_must_lie_on_one_grid(make_scene):
    image = make_scene("image.tif", height=8, width=9)
    label = make_scene("label.tif", height=8, width=9, bands=1)
    other = make_scene("other.tif", height=9, width=8, bands=1)
    grid = LabelledScene(image, label, "train", "").grid()
    assert (grid.height, grid.width) == (8, 9)
    with pytest.raises(GridMismatch, match=r"other\.tif is .*image\.tif is"):
        LabelledScene(image, other, "train", "").grid()
    with pytest.raises(SceneError, match="there is no file"):
        LabelledScene(image, image.with_name("gone.tif"), "train", "").grid()


@pytest.mark.parametrize("crs", ["EPSG:32633", None])
def test_labels_of_larger_pixels_are_to_be_meant(make_scene, crs):
    image = make_scene("image.tif", height=8, width=12, crs=crs)
    label = make_scene("label.tif", height=4, width=6, bands=1, crs=crs)
    words = r"a pixel of .*label\.tif is 2 x 2 pixels of .*image\.tif; .*--label-stride 2"
    with pytest.raises(GridMismatch, match=words):
        LabelledScene(image, label, "train", "").grid()


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (Affine.identity(), r"no place on the ground; .* rio edit-info .*label\.tif --like"),
        (TRANSFORM, "no place on the ground"),
        (TRANSFORM @ Affine.translation(1, 0), "without CRS, .*image"),
    ],
)
def test_labels_without_a_place_are_told_how_to_get_it(make_scene, transform, words):
    image = make_scene("image.tif", height=8, width=9, transform=TRANSFORM)
    label = make_scene("label.tif", height=8, width=9, bands=1, crs=None, transform=transform)
    with pytest.raises(GridMismatch, match=words):
        LabelledScene(image, label, "train", "").grid()
