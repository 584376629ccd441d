"""One's own folder as a catalogue: images with masks, scenes with polygons."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from click.testing import CliRunner

from rsseg.data import read_catalogue
from rsseg.data.datasets.class_tables import read_classes
from rsseg.data.datasets.folder import VAL_SHARE, FolderOptions, prepare_folder
from rsseg.errors import (
    CatalogueError,
    GridMismatch,
    LegendError,
    OptionError,
    OutputError,
    RssegError,
    SceneError,
)
from rsseg.geo.class_raster import read_legend, write_raster
from rsseg.geo.features import PolygonRaster, read_features
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA, Legend
from rsseg_cli.main import main

Write = Callable[..., Path]
SHAPE = (9, 12)
PLACE: dict[str, Any] = {
    "transform": Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000),
    "crs": "EPSG:32633",
}


def _image(seed: int = 0, bands: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (bands, *SHAPE), dtype=np.uint8)


def _mask(values: Any, seed: int = 0) -> np.ndarray:
    """Any of the values, numbers or colours, ``(1 or 3, h, w)``; all of them."""
    values = np.array([np.atleast_1d(value) for value in values], dtype=np.uint8)
    drawn = np.random.default_rng(seed).permutation(np.arange(SHAPE[0] * SHAPE[1]) % len(values))
    return np.moveaxis(values[drawn.reshape(SHAPE)], -1, 0)


def _pairs(
    write: Write, source: Path, names: Any, values: Any = (0, 1, 2), **profile: Any
) -> dict[str, np.ndarray]:
    """Images and masks of these names, as ``images/NAME`` and ``masks/NAME``; the masks."""
    masks = {}
    for number, name in enumerate(names):
        masks[name] = _mask(values, number)
        write(source / "images" / f"{name}.png", _image(number), **profile)
        write(source / "masks" / f"{name}.png", masks[name], **profile)
    return masks


def _write_polygons(path: Path, rows: Any, crs: str | None = "EPSG:32633") -> Path:
    """Boxes ``(x0, y0, x1, y1)`` in half metres from the corner of `PLACE`, with their class."""
    import pyogrio.raw

    place = PLACE["transform"]
    shapes = [
        box and shapely.Polygon([place @ xy for xy in shapely.box(*box).exterior.coords[:-1]])
        for box, _ in rows
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    values = [value for _, value in rows]
    kind = object if isinstance(values[0], str) else np.int32
    pyogrio.raw.write(
        path,
        np.array([None if s is None else shapely.to_wkb(s) for s in shapes], dtype=object),
        [np.array(values, dtype=kind)],
        ["kind"],
        driver="GPKG",
        geometry_type="Polygon",
        crs=crs,
    )
    return path


def _codes(path: Path) -> list[list[int]]:
    with rasterio.open(path) as label:
        assert (label.count, label.dtypes[0], label.nodata) == (1, "uint8", NODATA)
        rows: list[list[int]] = label.read(1).tolist()
        return rows


def test_pairs_become_a_catalogue(write: Write, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "deep" / "target"
    masks = _pairs(write, source, "abcde")
    progress: list[tuple[int, int]] = []
    prepared = prepare_folder(
        source,
        target,
        FolderOptions(classes="field,wood,lake"),
        on_progress=lambda *done: progress.append(done),
    )
    assert progress == [(i + 1, 5) for i in range(5)]
    assert read_catalogue(target / "catalogue.csv") == prepared.catalogue
    assert read_classes(str(target / "classes.csv")).legend.names == ("field", "wood", "lake")
    assert (prepared.left_out, prepared.notes) == ((), ())
    assert {scene.image.stem: scene.group for scene in prepared.catalogue} == {
        n: n for n in "abcde"
    }
    for number, scene in enumerate(prepared.catalogue):
        scene.grid()
        with rasterio.open(scene.image) as image, rasterio.open(scene.label) as label:
            assert np.array_equal(image.read(), _image(number))
            assert image.profile["tiled"]
            assert read_legend(label).names == ("field", "wood", "lake")
        assert _codes(scene.label) == masks[scene.image.stem][0].tolist()


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("share", [0.0, 0.1, None])
def test_splits_keep_groups_and_shares(
    write: Write, tmp_path: Path, seed: int, share: float | None
) -> None:
    names = [f"tile{tile}_part{part}" for tile in range(6) for part in range(1 + tile % 3)]
    _pairs(write, tmp_path / "source", names)
    options = FolderOptions(val_share=share, group=r"tile(\d+)", seed=seed)
    catalogue = prepare_folder(tmp_path / "source", tmp_path / "target", options).catalogue
    assert prepare_folder(tmp_path / "source", tmp_path / "target", options).catalogue == catalogue
    splits = defaultdict(set)
    for scene in catalogue:
        assert scene.image.stem.startswith(f"tile{scene.group}_")
        splits[scene.group].add(scene.split)
    assert all(len(split) == 1 for split in splits.values())
    count = Counter(scene.split for scene in catalogue)["val"]
    assert abs(count - len(names) * (VAL_SHARE if share is None else share)) <= 3
    assert (count == 0) == (share == 0)
    other = FolderOptions(val_share=share, group=r"tile(\d+)", seed=seed + 100)
    again = prepare_folder(tmp_path / "source", tmp_path / "target", other).catalogue
    assert again != catalogue or share in (0, 0.1)


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("train/images/{}.png", "train/masks/{}.png"),
        ("images/train/{}.png", "masks/train/{}.png"),
        ("images/Training/{}.png", "labels/Training/{}_label.png"),
        ("deep/train/images/{}.png", "deep/train/masks/{}-gt.png"),
    ],
)
def test_folders_tell_splits_and_may_repeat_names(
    write: Write, tmp_path: Path, images: str, masks: str
) -> None:
    for split in ("train", "val", "test"):
        for name in "ab":
            for pattern, pixels in ((images, _image()), (masks, _mask((0, 1, 2)))):
                path = pattern.replace("train", split).replace("Training", split.upper())
                write(tmp_path / "source" / path.format(name), pixels)
    catalogue = prepare_folder(tmp_path / "source", tmp_path / "target").catalogue
    assert Counter(scene.split for scene in catalogue) == {"train": 2, "val": 2, "test": 2}
    assert len({scene.image for scene in catalogue}) == 6
    for scene in catalogue:
        assert scene.split in scene.image.stem.lower()


@pytest.mark.parametrize(
    ("image", "mask", "options"),
    [
        ("{}.jpg", "{}_mask.png", {"images": ("*.jpg",), "masks": ("*.png",)}),
        ("sat_{}.png", "gt_{}.png", {"images": ("sat_*.png",), "masks": ("gt_*",)}),
        ("x/wood/{}.png", "y/wood/{}.png", {"images": ("x/*/*",), "masks": ("y/**/*.png",)}),
        ("p/{}/s.png", "p/{}/t.png", {"images": ("p/*/s.png",), "masks": ("p/*/t.png",)}),
        ("i/{}.png", "annot/{}.png", {"images": ("i/*",), "masks": ("none/*", "annot/?.png")}),
    ],
)
def test_patterns_tell_what_goes_together(
    write: Write, tmp_path: Path, image: str, mask: str, options: dict[str, Any]
) -> None:
    masks = {name: _mask((0, 1, 2), ord(name)) for name in "abc"}
    for name, pixels in masks.items():
        write(tmp_path / "source" / image.format(name), _image())
        write(tmp_path / "source" / mask.format(name), pixels)
    (tmp_path / "source" / ".hidden.png").touch()
    (tmp_path / "source" / "a.png.aux.xml").touch()
    prepared = prepare_folder(tmp_path / "source", tmp_path / "target", FolderOptions(**options))
    assert len(prepared.catalogue) == 3
    assert prepared.left_out == ()
    codes = sorted(str(_codes(scene.label)) for scene in prepared.catalogue)
    assert codes == sorted(str(pixels[0].tolist()) for pixels in masks.values())


def test_masks_without_an_image_are_left_out(write: Write, tmp_path: Path) -> None:
    _pairs(write, tmp_path, "abc")
    (tmp_path / "images" / "b.png").unlink()
    prepared = prepare_folder(tmp_path, tmp_path / "target")
    assert [scene.image.stem for scene in prepared.catalogue] == ["a", "c"]
    assert prepared.left_out == (f"{tmp_path}/masks/b.png: no image goes with this mask",)


RED, BLUE, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
TABLE = "name,code,colour\nroof,7,#ff0000\nlake,3,0 0 255\n"
BY_COLOUR = {RED: 7, BLUE: 3, WHITE: NODATA, BLACK: NODATA}


@pytest.mark.parametrize("paletted", [False, True])
def test_colours_are_decoded_pixel_by_pixel(write: Write, tmp_path: Path, paletted: bool) -> None:
    (tmp_path / "c.csv").write_text(TABLE)
    masks = _pairs(write, tmp_path, "ab", tuple(BY_COLOUR))
    if paletted:
        indices = _mask(range(4), 5)
        masks["b"] = np.moveaxis(np.array(tuple(BY_COLOUR), np.uint8)[indices[0]], -1, 0)
        path = write(tmp_path / "masks" / "b.png", indices)
        with rasterio.open(path, "w", driver="PNG", **_profile(indices)) as target:
            target.write(indices)
            target.write_colormap(1, {i: (*c, 255) for i, c in enumerate(BY_COLOUR)})
    options = FolderOptions(
        classes=str(tmp_path / "c.csv"), unlabelled=("#ffffff", "(0, 0, 0)"), val_share=0
    )
    prepared = prepare_folder(tmp_path, tmp_path / "target", options)
    for scene in prepared.catalogue:
        pixels = np.moveaxis(masks[scene.image.stem], 0, -1).tolist()
        assert _codes(scene.label) == [[BY_COLOUR[tuple(p)] for p in row] for row in pixels]
    without = FolderOptions(unlabelled=("#ffffff", "#000000"))
    prepared = prepare_folder(tmp_path, tmp_path / "plain", without)
    assert prepared.notes == ("no classes were listed: class 0 is #0000ff, class 1 is #ff0000",)
    for scene in prepared.catalogue:
        pixels = np.moveaxis(masks[scene.image.stem], 0, -1).tolist()
        found = {RED: 1, BLUE: 0, WHITE: NODATA, BLACK: NODATA}
        assert _codes(scene.label) == [[found[tuple(p)] for p in row] for row in pixels]


def _profile(pixels: np.ndarray) -> dict[str, Any]:
    count, height, width = pixels.shape
    return {"count": count, "height": height, "width": width, "dtype": pixels.dtype}


def test_a_palette_that_is_no_class_is_decoration(write: Write, tmp_path: Path) -> None:
    _pairs(write, tmp_path, "a")
    indices = _mask((0, 1, 2))
    with rasterio.open(tmp_path / "masks" / "a.png", "w", driver="PNG", **_profile(indices)) as png:
        png.write(indices)
        png.write_colormap(1, {i: (9, i, 9, 255) for i in range(3)})
    for classes in (None, "x,y,z"):
        prepared = prepare_folder(tmp_path, tmp_path / "target", FolderOptions(classes=classes))
        assert _codes(prepared.catalogue.scenes[0].label) == indices[0].tolist()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32"])
def test_values_nodata_and_alpha_are_decoded_pixel_by_pixel(
    write: Write, tmp_path: Path, dtype: str
) -> None:
    (tmp_path / "c.csv").write_text("name,code,value\nroof,7,255\nlake,3,40\n")
    values = _mask((255, 40, 99, 5))
    write(tmp_path / "images" / "a.png", _image())
    write(tmp_path / "masks" / "a.tif", values.astype(dtype), nodata=99)
    options = FolderOptions(classes=str(tmp_path / "c.csv"), unlabelled=("5",))
    prepared = prepare_folder(tmp_path, tmp_path / "target", options)
    meaning = {255: 7, 40: 3, 99: NODATA, 5: NODATA}
    expected = [[meaning[value] for value in row] for row in values[0].tolist()]
    assert _codes(prepared.catalogue.scenes[0].label) == expected


def test_transparent_pixels_are_unlabelled(write: Write, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("name,colour\nroof,#000000\n")
    alpha = _mask((0, 255))
    write(tmp_path / "images" / "a.png", _image())
    write(tmp_path / "masks" / "a.png", np.concatenate([np.zeros((3, *SHAPE), np.uint8), alpha]))
    options = FolderOptions(classes=str(tmp_path / "c.csv"))
    scene = prepare_folder(tmp_path, tmp_path / "target", options).catalogue.scenes[0]
    assert _codes(scene.label) == [[0 if a else NODATA for a in row] for row in alpha[0].tolist()]


def test_geotiffs_and_finished_labels_stay_where_they_are(write: Write, tmp_path: Path) -> None:
    grid = Grid(*SHAPE, PLACE["transform"], rasterio.CRS.from_string(PLACE["crs"]))
    for number, name in enumerate("ab"):
        write(tmp_path / "images" / f"{name}.tif", _image(number, 4), **PLACE)
        label = tmp_path / "masks" / f"{name}.tif"
        label.parent.mkdir(exist_ok=True)
        write_raster(label, _mask((0, 1, 4, 255)), grid, nodata=NODATA, legend=LAND_COVER)
    target = tmp_path / "target"
    prepared = prepare_folder(tmp_path, target)
    assert [s.image for s in prepared.catalogue] == [tmp_path / "images" / f"{n}.tif" for n in "ab"]
    assert [s.label for s in prepared.catalogue] == [tmp_path / "masks" / f"{n}.tif" for n in "ab"]
    assert read_catalogue(target / "catalogue.csv").scenes[0].grid() == grid
    assert read_classes(str(target / "classes.csv")).legend == LAND_COVER
    assert prepared.notes == ("the 5 classes are those that the masks name",)
    assert {path.name for path in target.rglob("*.tif")} == set()

    renamed = FolderOptions(classes="a,b,c,d,e")
    catalogue = prepare_folder(tmp_path, target, renamed).catalogue
    assert [s.label for s in catalogue] == [target / "labels" / f"{name}.tif" for name in "ab"]
    for scene in catalogue:
        with rasterio.open(scene.label) as label:
            assert (Grid.of(label), read_legend(label).names) == (grid, tuple("abcde"))


@pytest.mark.parametrize("ending", [".tif", ".png"])
def test_masks_without_a_place_lie_on_their_image(
    write: Write, tmp_path: Path, ending: str
) -> None:
    write(tmp_path / "images" / "a.tif", _image(), **PLACE)
    write(tmp_path / "masks" / f"a{ending}", _mask((0, 1, 2)))
    scene = prepare_folder(tmp_path, tmp_path / "target").catalogue.scenes[0]
    assert scene.image == tmp_path / "images" / "a.tif"
    assert scene.grid().transform == PLACE["transform"]


@pytest.mark.parametrize("taken", ["images", "labels", "classes.csv", "catalogue.csv"])
def test_what_stands_in_the_way_is_named(write: Write, tmp_path: Path, taken: str) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    _pairs(write, source, "a")
    target.mkdir()
    if taken.endswith(".csv"):
        (target / taken).mkdir()
    else:
        (target / taken).write_text("mine")
    with pytest.raises(OutputError, match=rf"{taken} cannot be"):
        prepare_folder(source, target)
    assert (target / taken).exists()
    assert not (target / "catalogue.csv").is_file()


def test_geotiffs_without_a_place_stay_too(write: Write, tmp_path: Path) -> None:
    image = write(tmp_path / "images" / "deep.tif", _image(1, 5).astype("uint16"), nodata=7)
    mask = _mask((0, 1, 2))
    write(tmp_path / "masks" / "deep.png", mask)
    scene = prepare_folder(tmp_path, tmp_path / "target").catalogue.scenes[0]
    assert scene.image == image
    assert _codes(scene.label) == mask[0].tolist()
    scene.grid()


def test_copies_keep_pixels_alpha_and_nodata(write: Write, tmp_path: Path) -> None:
    rgba, paletted = _image(0, 4), _mask((0, 1, 2))
    write(tmp_path / "images" / "rgba.png", rgba)
    write(tmp_path / "images" / "deep.png", _image(1, 3).astype("uint16"), nodata=7)
    for name, driver, place in (("palette.png", "PNG", {}), ("index.tif", "GTiff", PLACE)):
        file, profile = tmp_path / "images" / name, _profile(paletted) | place
        with rasterio.open(file, "w", driver=driver, **profile) as target:
            target.write(paletted)
            target.write_colormap(1, {0: (*RED, 255), 1: (*BLUE, 255), 2: (*WHITE, 255)})
    for name in ("rgba", "deep", "palette", "index"):
        write(tmp_path / "masks" / f"{name}.png", _mask((0, 1)))
    catalogue = prepare_folder(tmp_path, tmp_path / "target").catalogue
    written = {scene.image.stem: scene.image for scene in catalogue}
    assert {file.parent for file in written.values()} == {tmp_path / "target" / "images"}
    with rasterio.open(written["rgba"]) as image:
        assert np.array_equal(image.read(), rgba)
        assert np.array_equal(image.dataset_mask(), rgba[3])
    with rasterio.open(written["deep"]) as image:
        assert np.array_equal(image.read(), _image(1, 3))
        assert (image.nodata, image.dtypes[0]) == (7, "uint16")
    for name in ("palette", "index"):
        with rasterio.open(written[name]) as image:
            colours = np.array([RED, BLUE, WHITE], np.uint8)[paletted[0]]
            assert np.array_equal(np.moveaxis(image.read(), 0, -1), colours)
            assert Grid.of(image).georeferenced == (name == "index")


def _label_of(scene: Any, legend: Legend) -> np.ndarray:
    """A plain rasterisation of the row, in codes."""
    grid = scene.grid()
    features = read_features(scene.label, grid, (scene.field,))
    names = {c.name: c.code for c in legend} | {str(c.code): c.code for c in legend}
    codes = np.array([names[str(value)] for value in features.values], np.uint8)
    window = rasterio.windows.Window(0, 0, grid.width, grid.height)
    return PolygonRaster(features.geometries, codes, grid).read(window)


def test_polygons_stay_where_they_are(write: Write, tmp_path: Path) -> None:
    image = write(tmp_path / "a.tif", _image(), **PLACE)
    far = PLACE | {"transform": Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)}
    write(tmp_path / "b.tif", _image(), **far)
    polygons = _write_polygons(
        tmp_path / "p.gpkg", [((0, 0, 4, 4), "wood"), (None, "wood"), ((6, 2, 9, 7), "lake")]
    )
    areas = _write_polygons(tmp_path / "squares.gpkg", [((0, 0, 10, 9), "")])
    common: dict[str, Any] = {
        "images": ("*.tif",),
        "polygons": str(polygons),
        "class_field": "kind",
    }
    target = tmp_path / "target"
    in_the_folder = FolderOptions(**common | {"polygons": "p.gpkg"})
    one_file = prepare_folder(tmp_path, target, in_the_folder)
    prepared = prepare_folder(tmp_path, target, FolderOptions(**common))
    assert one_file == prepared
    assert [(s.image, s.label, s.field, s.areas, s.background) for s in prepared.catalogue] == [
        (image, polygons, "kind", None, None)
    ]
    assert prepared.left_out == (f"{tmp_path}/b.tif: no polygon reaches it",)
    assert f"{polygons}: 1 feature without geometry left out" in prepared.notes
    legend = read_classes(str(target / "classes.csv")).legend
    assert legend.names == ("lake", "wood")
    expected = np.full(SHAPE, NODATA)
    expected[0:4, 0:4], expected[2:7, 6:9] = 1, 0
    assert np.array_equal(_label_of(prepared.catalogue.scenes[0], legend), expected)
    assert not list(target.rglob("*.tif"))

    options = FolderOptions(**common, areas=str(areas), background="other")
    prepared = prepare_folder(tmp_path, target, options)
    row = read_catalogue(target / "catalogue.csv").scenes[0]
    assert (row.areas, row.background) == (areas, "other")
    assert prepared.left_out == (f"{tmp_path}/b.tif: no annotated area reaches it",)
    assert read_classes(str(target / "classes.csv")).legend.names == ("other", "lake", "wood")

    options = FolderOptions(**common, background="other")
    prepared = prepare_folder(tmp_path, target, options)
    assert len(prepared.catalogue) == 2
    assert "no polygon reaches 1 of the images: all 'other'" in prepared.notes


def test_polygons_for_each_scene_with_codes_in_another_crs(write: Write, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("code,name\n4,wood\n9,lake\n")
    for number, name in enumerate("ab"):
        write(tmp_path / "images" / f"{name}.tif", _image(number), **PLACE)
        _write_polygons(
            tmp_path / "drawn" / f"{name}_labels.gpkg", [((0, 0, 4, 4), 4 + 5 * number)]
        )
    _write_polygons(tmp_path / "drawn" / "c.gpkg", [((0, 0, 4, 4), 4)])
    options: dict[str, Any] = {"polygons": "drawn/*.gpkg", "class_field": "kind"}
    prepared = prepare_folder(
        tmp_path, tmp_path / "target", FolderOptions(**options, classes=str(tmp_path / "c.csv"))
    )
    assert [s.label.name for s in prepared.catalogue] == ["a_labels.gpkg", "b_labels.gpkg"]
    assert {scene.split for scene in prepared.catalogue} == {"train", "val"}
    assert prepared.left_out == (f"{tmp_path}/drawn/c.gpkg: no image goes with it",)
    prepared = prepare_folder(
        tmp_path, tmp_path / "target", FolderOptions(**options, background="rest")
    )
    legend = read_classes(str(tmp_path / "target" / "classes.csv")).legend
    assert {c.code: c.name for c in legend} == {0: "rest", 4: "class 4", 9: "class 9"}
    assert (_label_of(prepared.catalogue.scenes[1], legend) == 9).sum() == 16


def _paint(value: int, **profile: Any) -> Callable[[Path, Write], object]:
    def spoil(source: Path, write: Write) -> None:
        pixels = _mask((0, 1, 2))
        pixels[0, 3, 4] = value
        write(source / "masks" / "a.png", pixels)

    return spoil


def _text(name: str, text: str) -> Callable[[Path, Write], object]:
    return lambda source, _: (source / name).write_text(text)


def _polygon_folder(rows: Any, crs: str | None = "EPSG:32633") -> Callable[[Path, Write], object]:
    def spoil(source: Path, write: Write) -> None:
        write(source / "images" / "a.tif", _image(), **PLACE)
        _write_polygons(source / "p.gpkg", rows, crs)

    return spoil


POLYGONS = {"images": ("images/a.tif",), "polygons": "{}/p.gpkg", "class_field": "kind"}
BOX = (0, 0, 4, 4)
Fault = tuple[Callable[[Path, Write], object], dict[str, Any], type[RssegError], str]
FAULTS: dict[str, Fault] = {
    "missing mask": (
        lambda s, _: (s / "masks" / "b.png").unlink(),
        {},
        CatalogueError,
        r"no mask goes with .*images/b\.png, expected one that goes by 'b'; give patterns",
    ),
    "no masks": (
        lambda s, _: (s / "masks").rename(s / "drawn"),
        {},
        CatalogueError,
        r"no mask goes with .*a\.png and 2 more of 3 images",
    ),
    "two masks": (
        lambda s, write: write(s / "masks" / "a_mask.png", _mask((0, 1))),
        {},
        CatalogueError,
        r"two masks go with the image 'a', got .*a\.png, .*a_mask\.png",
    ),
    "masks in two folders": (
        lambda s, write: write(s / "labels" / "a.png", _mask((0, 1))),
        {},
        CatalogueError,
        r"labels/a\.png and .*masks/a\.png go by the same name 'a'",
    ),
    "duplicate stems": (
        lambda s, write: write(s / "images" / "a.tif", _image()),
        {},
        CatalogueError,
        r"a\.png and .*a\.tif go by the same name 'a'; give patterns",
    ),
    "no images": (
        lambda s, _: None,
        {"images": ("sat/*",)},
        CatalogueError,
        r"no file in .* matches sat/\*; say where the images are",
    ),
    "an odd folder": (
        lambda s, write: [
            write(s / kind / "train" / "d.png", pixels)
            for kind, pixels in (("images", _image()), ("masks", _mask((0, 1))))
        ],
        {},
        CatalogueError,
        r"images/a\.png lies in no folder of a split, others do, expected train, val, test",
    ),
    "damaged image": (
        lambda s, _: (s / "images" / "a.png").write_bytes(
            (s / "images" / "a.png").read_bytes()[:90]
        ),
        {},
        SceneError,
        r"images/a\.png cannot be read",
    ),
    "damaged mask": (
        lambda s, _: (s / "masks" / "a.png").write_bytes(b"no picture"),
        {},
        SceneError,
        r"masks/a\.png cannot be opened",
    ),
    "unknown code": (
        _paint(7),
        {"classes": "x,y,z"},
        LegendError,
        r"masks/a\.png holds the code 7, which is no class, expected 0, 1, 2, 255; .*lled '7'",
    ),
    "255 may be a class": (
        lambda s, write: [write(s / "masks" / f"{n}.png", _mask((0, 255))) for n in "abc"],
        {"classes": "ground,house"},
        LegendError,
        "hold 0 and 255 only; say what 255 is: --unlabelled 255, or .*name,value",
    ),
    "unknown colour": (
        lambda s, write: (
            (s / "c.csv").write_text(TABLE),
            write(s / "masks" / "a.png", _mask((RED, BLUE, (1, 2, 3)))),
        ),
        {"classes": "{}/c.csv"},
        LegendError,
        r"masks/a\.png holds the colour #010203, which is no class",
    ),
    "colours without names for them": (
        lambda s, write: write(s / "masks" / "a.png", _mask((RED, BLUE))),
        {"classes": "x,y,z"},
        LegendError,
        r"a\.png is painted in colours, the classes have none; .*--classes FILE\.csv",
    ),
    "colours and codes": (
        lambda s, write: write(s / "masks" / "a.png", _mask((RED, BLUE))),
        {},
        LegendError,
        "some masks are coloured, some hold codes",
    ),
    "a photograph": (
        lambda s, write: write(s / "masks" / "a.png", _image(0, 1)),
        {},
        LegendError,
        r"the masks hold \d+ different values, expected 1-64",
    ),
    "fractions": (
        lambda s, write: (
            (s / "masks" / "a.png").unlink(),
            write(s / "masks" / "a.tif", np.full((1, *SHAPE), 0.5, np.float32)),
        ),
        {},
        LegendError,
        r"masks/a\.tif holds 0\.5, expected class codes",
    ),
    "two bands in 16 bits": (
        lambda s, write: write(s / "masks" / "a.png", _image().astype("uint16")),
        {},
        LegendError,
        "has 3 bands of uint16, expected one band of codes, or RGB bytes",
    ),
    "another size": (
        lambda s, write: write(s / "masks" / "a.png", _mask((0, 1))[:, 1:]),
        {},
        CatalogueError,
        r"masks/a\.png has 12 x 8 pixels, expected 12 x 9 as .*; masks are never resampled",
    ),
    "another grid": (
        lambda s, write: (
            [(s / f / "a.png").unlink() for f in ("images", "masks")],
            write(s / "images" / "a.tif", _image(), **PLACE),
            write(
                s / "masks" / "a.tif",
                _mask((0, 1)),
                crs=PLACE["crs"],
                transform=PLACE["transform"] @ Affine.translation(1, 0),
            ),
        ),
        {},
        GridMismatch,
        r"masks/a\.tif is 12 x 9 pixels .*; warp one of them",
    ),
    "groups in two splits": (
        lambda s, write: [
            write(s / split / kind / f"tile1_{split}.png", pixels)
            for split in ("train", "val")
            for kind, pixels in (("images", _image()), ("masks", _mask((0, 1))))
        ],
        {"images": ("*/images/*",), "masks": ("*/masks/*",), "group": "tile."},
        CatalogueError,
        "images of the group 'tile1' lie in the folders of 'train' and 'val'; .*--group",
    ),
    "no group": (
        lambda s, _: None,
        {"group": r"tile(\d+)"},
        CatalogueError,
        r"images/a\.png tells no group, expected --group 'tile",
    ),
    "a share beside folders": (
        lambda s, _: (
            (s / "images").rename(s / "i"),
            (s / "train").mkdir(),
            (s / "i").rename(s / "train" / "i"),
            (s / "masks").rename(s / "train" / "m"),
        ),
        {"images": ("train/i/*",), "masks": ("train/m/*",), "val_share": 0.1},
        OptionError,
        "--val-share cannot be used: folders tell the splits",
    ),
    "classes that are not there": (
        lambda s, _: None,
        {"classes": "{}/none.csv"},
        LegendError,
        r"none\.csv cannot be read as a table of classes: No such file",
    ),
    "classes with duplicate names": (
        _text("c.csv", "code,name\n0,wood\n1,wood\n"),
        {"classes": "{}/c.csv"},
        LegendError,
        "two classes share the name wood",
    ),
    "classes with duplicate colours": (
        _text("c.csv", "name,colour\nwood,#000001\nlake,#000001\n"),
        {"classes": "{}/c.csv"},
        LegendError,
        r"c\.csv, line 3: another class has the colour \(0, 0, 1\)",
    ),
    "classes without names": (
        _text("c.csv", "code,class\n0,wood\n"),
        {"classes": "{}/c.csv"},
        LegendError,
        r"c\.csv has no column 'name'",
    ),
    "a colour that is none": (
        _text("c.csv", "name,colour\nwood,green\n"),
        {"classes": "{}/c.csv"},
        LegendError,
        r"c\.csv, line 2: no colour, expected #rrggbb or 'r g b', got 'green'",
    ),
    "a code that is none": (
        _text("c.csv", "name,code\nwood,-1\n"),
        {"classes": "{}/c.csv"},
        LegendError,
        r"c\.csv, line 2: no code, expected a whole number, got '-1'",
    ),
    "polygons of no class": (
        _polygon_folder([(BOX, "wood"), (BOX, "moor")]),
        POLYGONS | {"classes": "wood,lake"},
        LegendError,
        r"p\.gpkg holds 'moor' in the field 'kind', which is no class, expected wood, lake",
    ),
    "a background of no class": (
        _polygon_folder([(BOX, "wood")]),
        POLYGONS | {"classes": "wood,lake", "background": "rest"},
        LegendError,
        "the background 'rest' is no class",
    ),
    "no such field": (
        _polygon_folder([(BOX, "wood")]),
        POLYGONS | {"class_field": None},
        OptionError,
        "has no field 'class' or 'class_id', got kind; name it with --class-field",
    ),
    "no such file": (
        _polygon_folder([(BOX, "wood")]),
        POLYGONS | {"areas": "nowhere.gpkg"},
        CatalogueError,
        r"there is no file nowhere\.gpkg, and none in .* matches",
    ),
    "polygons elsewhere": (
        _polygon_folder([((900, 900, 950, 950), "wood")]),
        POLYGONS,
        CatalogueError,
        r"no image is labelled; .*a\.tif: no polygon reaches it",
    ),
    "too many classes": (
        _polygon_folder([(BOX, f"field {i}") for i in range(65)]),
        POLYGONS,
        LegendError,
        "the polygons have 65 different classes, expected 1-64; name another field",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_clear_error(write: Write, tmp_path: Path, fault: str) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    _pairs(write, source, "abc")
    spoil, options, error, words = FAULTS[fault]
    spoil(source, write)
    given = {k: v.format(source) if isinstance(v, str) else v for k, v in options.items()}
    with pytest.raises(error, match=words):
        prepare_folder(source, target, FolderOptions(**given))
    assert not (target / "catalogue.csv").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"group": "tile("}, r"--group 'tile\(' is no regular expression"),
        ({"val_share": 1.0}, "--val-share is a share, expected 0-1"),
        ({"val_share": -0.1}, "--val-share"),
        ({"unlabelled": ("grey",)}, "a code or a colour, expected 5 or '#ffffff', got grey"),
        ({"background": "rest"}, "--background is for --polygons"),
        ({"areas": "a.gpkg"}, "--areas is for --polygons"),
        ({"class_field": "kind"}, "--class-field is for --polygons"),
        ({"polygons": "p.gpkg", "masks": ("gt/*",)}, "--masks is for masks, without --polygons"),
        ({"polygons": "p.gpkg", "unlabelled": ("5",)}, "--unlabelled is for masks"),
    ],
)
def test_options_are_checked(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        FolderOptions(**options)


def test_the_source_is_never_written_to(write: Write, tmp_path: Path) -> None:
    _pairs(write, tmp_path / "source", "abc")
    before = {p: p.read_bytes() for p in (tmp_path / "source").rglob("*.png")}
    with pytest.raises(OutputError, match="is the source itself"):
        prepare_folder(tmp_path / "source", tmp_path / "source" / ".." / "source")
    with pytest.raises(CatalogueError, match="there is no folder"):
        prepare_folder(tmp_path / "none", tmp_path / "target")
    inside = tmp_path / "source" / "prepared"
    first = prepare_folder(tmp_path / "source", inside).catalogue
    (inside / "catalogue.csv").unlink()  # as after a run that was killed
    assert prepare_folder(tmp_path / "source", inside).catalogue == first
    other = prepare_folder(tmp_path / "source", tmp_path / "target").catalogue
    assert len(other) == len(first)
    assert {p: p.read_bytes() for p in (tmp_path / "source").rglob("*.png")} == before


def test_the_command(write: Write, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    _pairs(write, source, ("t1_a", "t1_b", "t2_a"), (0, 1, 9))
    arguments = ["prepare", "folder", str(source), str(target), "--images", "images/*.png"]
    arguments += ["--masks", "masks/*.png", "--unlabelled", "9", "--group", r"t\d", "--seed", "3"]
    result = CliRunner().invoke(main, [*arguments, "--classes", "wood,lake"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{target}/catalogue.csv: ")
    result = CliRunner().invoke(main, [*arguments, "--json"])
    data = json.loads(result.stdout)
    assert sum(data["scenes"].values()) == 3
    assert data["notes"] == ["no classes were listed: they are class 0, class 1"]
    result = CliRunner().invoke(main, [*arguments, "--val-share", "2"])
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
    for plain in ("vaihingen", "alpine"):
        result = CliRunner().invoke(main, ["prepare", plain, "a", "b", "--masks", "m/*"])
        assert result.exit_code == 2


def test_real_fields(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "fields_s2"
    options = FolderOptions(
        images=("*.tif",),
        polygons=str(next(source.glob("*polygons.gpkg"))),
        areas=str(next(source.glob("*locations.gpkg"))),
        class_field="label_name",
        background="other",
    )
    prepared = prepare_folder(source, tmp_path, options)
    (scene,) = read_catalogue(tmp_path / "catalogue.csv")
    assert scene.image.parent == scene.label.parent == source.resolve()
    assert any("1 feature without geometry left out" in note for note in prepared.notes)
    legend = read_classes(str(tmp_path / "classes.csv")).legend
    assert legend.names == ("other", "field")
    assert (_label_of(scene, legend) == 1).sum() == pytest.approx(25_914, rel=0.02)


def test_real_zurich(real_data: Path, tmp_path: Path) -> None:
    colours = "road,#000000\nbuilding,#646464\ntree,#007d00\ngrass,#00ff00\nwater,#000096\n"
    (tmp_path / "c.csv").write_text("name,colour\n" + colours)
    options = FolderOptions(
        images=("sat_*.tif",),
        masks=("gt_*.tif",),
        classes=str(tmp_path / "c.csv"),
        unlabelled=("#ffffff",),
    )
    (scene,) = prepare_folder(real_data / "zurich", tmp_path / "target", options).catalogue
    assert scene.image.parent == real_data / "zurich"
    scene.grid()
    with rasterio.open(real_data / "zurich" / "gt_14.tif") as truth:
        white = (truth.read() == 255).all(axis=0)
    assert np.array_equal(np.array(_codes(scene.label)) == NODATA, white)


@pytest.mark.slow
def test_real_camvid_and_gid(real_data: Path, tmp_path: Path) -> None:
    options = FolderOptions(
        images=("train/*.png", "val/*.png"),
        masks=("trainannot/*.png", "valannot/*.png"),
        unlabelled=("11",),
    )
    catalogue = prepare_folder(real_data / "camvid", tmp_path / "camvid", options).catalogue
    assert Counter(scene.split for scene in catalogue) == {"train": 14, "val": 6}
    options = FolderOptions(
        images=("image/*/*.tif",),
        masks=("label_gray/*/*.tif",),
        classes="built-up,farmland,forest,meadow,water",
        unlabelled=("5",),
    )
    prepared = prepare_folder(real_data / "gid_mtl5", tmp_path / "gid", options)
    assert (len(prepared.catalogue), prepared.left_out) == (644, ())
    assert len(prepared.catalogue.split("val")) == 129
    for scene in list(prepared.catalogue)[::50]:
        kind, number = scene.image.parent.name, scene.image.stem  # it stays where it is
        with rasterio.open(real_data / "gid_mtl5" / "label_gray" / kind / f"{number}.tif") as label:
            truth = label.read(1)
        codes = np.array(_codes(scene.label))
        assert np.array_equal(np.where(codes == NODATA, 5, codes), truth)
