"""Several files as one scene: the same pixels as pasting them by hand, or a reason why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from rsseg.errors import GridMismatch, SceneError
from rsseg.geo.scene import Scene
from rsseg.geo.together import as_one_scene, as_one_stack

TRANSFORM = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
KINDS = ("none", "nodata", "alpha", "mask")


def at(column: float, row: float, transform: Affine = TRANSFORM) -> Affine:
    return transform @ Affine.translation(column, row)


def whole(scene: Scene) -> Window:
    return Window(0, 0, scene.grid.width, scene.grid.height)


def pasted(files: list[Path]) -> tuple[np.ndarray, np.ndarray, Affine]:
    """What the files show together: the first valid one at each pixel, found pixel by pixel."""
    scenes = [Scene(path) for path in files]
    corners = [~TRANSFORM @ (s.grid.transform.c, s.grid.transform.f) for s in scenes]
    corners = [(round(x), round(y)) for x, y in corners]
    left, top = (min(corner[axis] for corner in corners) for axis in (0, 1))
    right = max(x + s.grid.width for (x, _), s in zip(corners, scenes, strict=True))
    bottom = max(y + s.grid.height for (_, y), s in zip(corners, scenes, strict=True))
    count, dtype = len(scenes[0].bands), scenes[0].dtype
    pixels = np.zeros((count, bottom - top, right - left), dtype)
    valid = np.zeros(pixels.shape[1:], bool)
    for (x, y), scene in zip(corners, scenes, strict=True):
        raw, known = scene.read(whole(scene))
        rows = slice(y - top, y - top + scene.grid.height)
        columns = slice(x - left, x - left + scene.grid.width)
        new = known & ~valid[rows, columns]
        pixels[:, rows, columns][:, new] = raw[:, new]
        valid[rows, columns] |= known
        scene.close()
    return pixels, valid, at(left, top)


def same_as_pasted(files: list[Path]) -> None:
    pixels, valid, transform = pasted(files)
    with as_one_scene(files) as name, Scene(name) as scene:
        assert scene.grid.transform.almost_equals(transform)
        assert (scene.grid.height, scene.grid.width) == valid.shape
        raw, known = scene.read(whole(scene))
        assert raw.dtype == pixels.dtype
        assert np.array_equal(known, valid)
        assert np.array_equal(raw[:, valid], pixels[:, valid])
        part = Window(3, 5, 40, 30)  # reaches beyond the smaller ones
        assert np.array_equal(scene.read(part)[1][:20, :20], valid[5:25, 3:23])


@pytest.mark.parametrize("seed", range(24))
def test_files_of_any_kind_and_place_are_pasted(make_scene: Any, seed: int) -> None:
    """Each seed draws two to five files: their places, sizes, holes and kinds of validity."""
    generator = np.random.default_rng(seed)
    dtype = ("uint8", "uint16", "uint8", "float32")[seed % 4]
    bands = (1, 3)[seed // 4 % 2]
    kinds = [kind for kind in KINDS if not (kind == "alpha" and dtype == "float32")]
    uniform = generator.choice(kinds) if seed % 3 == 0 else None
    files = []
    for number in range(generator.integers(2, 6)):
        kind = str(uniform or generator.choice(kinds))
        height, width = generator.integers(20, 60, 2)
        valid = np.ones((height, width), bool)
        if kind != "none":
            valid = generator.random((height, width)) > 0.2
            valid[: generator.integers(0, 15)] = False
        pixels = generator.integers(1, 9, (bands, height, width)).astype(dtype)
        if kind == "nodata":
            pixels[generator.random(pixels.shape) < 0.1] = 0  # in some bands, the pixel is valid
            pixels[0][(pixels == 0).all(axis=0)] = 1
        place = at(*generator.integers(-40, 40, 2).tolist())
        files.append(
            make_scene(
                f"{number}.tif",
                pixels=pixels,
                valid=valid,
                validity=kind,
                transform=place,
                nodata=0,
                tiled=True,
                blockxsize=16,
                blockysize=32,
            )
        )
    same_as_pasted(files)


def test_tiles_of_a_scene_are_that_scene(make_scene: Any, tmp_path: Path) -> None:
    scene = make_scene("whole.tif", 60, 90, valid=np.random.default_rng(0).random((60, 90)) > 0.3,
                       validity="nodata")  # fmt: skip
    tiles = []
    with rasterio.open(scene) as dataset:
        for row in (0, 30):
            for column in (0, 30, 60):
                part = Window(column, row, 30, 30)
                tiles.append(tmp_path / f"tile_{row}_{column}.tif")
                place = dataset.transform @ Affine.translation(column, row)
                shape = {"height": 30, "width": 30, "transform": place}
                with rasterio.open(tiles[-1], "w", **dataset.profile | shape) as tile:
                    tile.write(dataset.read(window=part))
                    tile.colorinterp = dataset.colorinterp
    for bands in (None, [3], ["green", "red"]):
        with (
            as_one_scene(tiles[::-1]) as name,
            Scene(name, bands) as ours,
            Scene(scene, bands) as one,
        ):
            assert ours.grid == one.grid
            assert (ours.bands, ours.band_names, ours.dtype) == (
                one.bands,
                one.band_names,
                one.dtype,
            )
            for window in (whole(one), Window(-7, 11, 64, 64), Window(29, 29, 2, 2)):
                mine, theirs = ours.read(window), one.read(window)
                assert np.array_equal(mine[1], theirs[1])
                assert np.array_equal(mine[0], theirs[0])
            assert ours.block_height <= 60


def test_holes_between_files_are_invalid(make_scene: Any) -> None:
    files = [
        make_scene("a.tif", 10, 10, transform=at(0, 0)),
        make_scene("b.tif", 10, 10, transform=at(15, 4)),
    ]
    expected = np.zeros((14, 25), bool)
    expected[:10, :10] = expected[4:, 15:] = True
    with as_one_scene(files) as name, Scene(name) as scene:
        assert np.array_equal(scene.valid(whole(scene)), expected)


def test_files_without_holes_need_no_mask(make_scene: Any) -> None:
    files = [make_scene(f"{n}.tif", 10, 10, transform=at(10 * n, 0)) for n in range(3)]
    with as_one_scene(files) as name, rasterio.open(name) as dataset:
        assert "MaskBand" not in Path(name).read_text()
        assert dataset.nodata is None


@pytest.mark.parametrize("swap", [False, True])
def test_the_order_of_the_list_decides(make_scene: Any, swap: bool) -> None:
    files = [
        make_scene(f"{value}.tif", pixels=np.full((3, 9, 9), value, np.uint8)) for value in (10, 20)
    ]
    with as_one_scene(files[::-1] if swap else files) as name, Scene(name) as scene:
        assert (scene.read(whole(scene))[0] == (20 if swap else 10)).all()


def test_a_turned_grid(make_scene: Any) -> None:
    turned = TRANSFORM @ Affine.rotation(30)
    files = [
        make_scene("a.tif", 12, 12, transform=turned),
        make_scene("b.tif", 12, 12, transform=at(12, 3, turned), seed=1),
    ]
    with as_one_scene(files) as name, Scene(name) as scene, Scene(files[1]) as second:
        assert (scene.grid.height, scene.grid.width) == (15, 24)
        assert np.array_equal(scene.read(Window(12, 3, 12, 12))[0], second.read(whole(second))[0])


def test_one_file_is_itself(make_scene: Any) -> None:
    scene = make_scene()
    with as_one_scene([scene]) as name:
        assert name == str(scene)


def test_the_name_tells_what_it_is_and_nothing_stays(make_scene: Any) -> None:
    files = [make_scene(f"t{n}.tif", transform=at(64 * n, 0)) for n in range(3)]
    with as_one_scene(files) as name:
        assert Path(name).name == "t0_and_2_more.vrt"
    assert not Path(name).parent.exists()


def test_a_file_that_vanishes_is_named(make_scene: Any) -> None:
    files = [make_scene(f"{n}.tif", transform=at(64 * n, 0)) for n in range(2)]
    with as_one_scene(files) as name:
        files[1].unlink()
        with Scene(name) as scene, pytest.raises(SceneError, match=r"there is no file .*1\.tif"):
            scene.read(whole(scene))


OTHERS = {
    "crs": ({"crs": "EPSG:32632"}, r"expected EPSG:32633, got EPSG:32632"),
    "resolution": ({"transform": TRANSFORM @ Affine.scale(2)}, "expected pixels of 0.5, got 1"),
    "turned": ({"transform": TRANSFORM @ Affine.rotation(1)}, "got "),
    "flipped": ({"transform": TRANSFORM @ Affine.scale(1, -1)}, "turned ones"),
    "between": ({"transform": at(64.3, 0)}, "it lies 0.30 pixels beside their grid"),
    "bands": ({"bands": 4}, "expected 3 bands, got 4 bands"),
    "type": ({"dtype": "uint16"}, "its type differs, expected uint8, got uint16"),
    "names": (
        {"descriptions": ("nir", "red", "green")},
        "expected red, green, blue, got nir, red, green",
    ),
    "nowhere": ({"crs": None}, "no place on the ground"),
    "far": ({"transform": at(2**31, 0)}, "too far apart"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_others_are_refused_by_name_and_reason(make_scene: Any, kind: str) -> None:
    change, reason = OTHERS[kind]
    files = [
        make_scene("first.tif"),
        make_scene("second.tif", transform=at(64, 0)),
        make_scene("other.tif", **change),
    ]
    with pytest.raises((SceneError, GridMismatch), match=reason) as caught, as_one_scene(files):
        pass
    if kind != "far":
        assert "other.tif" in str(caught.value)
        assert "second.tif" not in str(caught.value)


def test_a_hundredth_of_a_pixel_is_forgiven(make_scene: Any) -> None:
    files = [make_scene("a.tif"), make_scene("b.tif", transform=at(64.004, -0.003))]
    with as_one_scene(files) as name, Scene(name) as scene:
        assert (scene.grid.height, scene.grid.width) == (64, 128)


def test_missing_files_and_none_are_refused(make_scene: Any, tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="no file was named"), as_one_scene([]):
        pass
    files = [make_scene(), tmp_path / "none.tif"]
    with pytest.raises(SceneError, match=r"there is no file .*none\.tif"), as_one_scene(files):
        pass


def test_a_pile_of_files_is_pasted(make_scene: Any) -> None:
    """More overlaps than a file is cut by."""
    generator = np.random.default_rng(0)
    files = [
        make_scene(
            f"{number}.tif",
            pixels=generator.integers(1, 9, (3, 30, 30), np.uint8),
            valid=generator.random((30, 30)) > 0.8,
            validity="nodata",
            transform=at(number % 5, -(number // 5)),
        )
        for number in range(22)
    ]
    same_as_pasted(files)


@pytest.mark.parametrize("validity", ["none", "nodata", "mask"])
@pytest.mark.parametrize("shape", [(41, 53), (57, 91), (130, 170), (300, 401)])
def test_no_seam_shows_when_files_are_resampled(
    make_scene: Any, validity: str, shape: tuple[int, int]
) -> None:
    files = [
        make_scene(
            f"{row}_{column}.tif",
            pixels=np.full((3, 50, 50), 100, np.uint8),
            valid=np.ones((50, 50), bool),
            validity=validity,
            transform=at(43 * column, 47 * row),
        )
        for row in range(3)
        for column in range(3)
    ]
    with as_one_scene(files) as name, Scene(name) as scene:
        for window in (whole(scene), Window(31, 17, 70, 90)):
            pixels, valid = scene.read(window, shape)
            assert (pixels == 100).all()
            assert valid.all()


def test_files_of_a_band_each_are_one_scene(make_scene: Any) -> None:
    whole = make_scene("whole.tif", height=40, width=50, dtype="uint16")
    with rasterio.open(whole) as dataset:
        planes = dataset.read()
    files = [
        str(make_scene(f"B{n}.tif", pixels=plane[None], photometric=None))
        for n, plane in enumerate(planes)
    ]
    order = [files[2], files[0], files[1]]
    with (
        as_one_stack(order, ["nir", "red", "green"], "item") as path,
        Scene(path) as scene,
        Scene(whole) as one,
    ):
        assert Path(path).name == "item.vrt"
        assert scene.grid == one.grid
        assert scene.band_names == ("nir", "red", "green")
        window = Window(-3, 10, 60, 20)
        expected = one.read(window)[0][[2, 0, 1]]
        assert np.array_equal(scene.read(window)[0], expected)
        assert scene.read(window)[1].sum() == 50 * 20
    assert not Path(path).exists()


@pytest.mark.parametrize("validity", ["nodata", "mask", "mixed", "none and nodata"])
def test_a_pixel_of_a_stack_is_invalid_where_all_files_say_so(
    make_scene: Any, validity: str
) -> None:
    rng, files, valid = np.random.default_rng(0), [], np.zeros((40, 50), bool)
    for number in range(3):
        here = rng.random((40, 50)) > 0.5
        kind = {"mixed": ("nodata", "mask")[number % 2]}.get(validity, validity)
        if kind == "none and nodata":
            kind = "none" if number == 1 else "nodata"
            here |= number == 1
        scene = make_scene(f"{number}.tif", bands=1, valid=here, validity=kind, seed=number)
        files.append(str(scene))
        valid |= here
    with as_one_stack(files, ["red", "green", "blue"], "item") as path, Scene(path) as scene:
        assert np.array_equal(scene.read(Window(0, 0, 50, 40))[1], valid)


def test_files_that_are_no_stack_are_refused(make_scene: Any) -> None:
    first = str(make_scene("a.tif", bands=1))
    with (
        pytest.raises(GridMismatch, match=r"b\.tif is 60 x 64"),
        as_one_stack([first, str(make_scene("b.tif", bands=1, width=60))], ["x", "y"], "i"),
    ):
        pass
    other = str(make_scene("c.tif", bands=1, dtype="uint16"))
    with (
        pytest.raises(SceneError, match="its type differs, expected uint8, got uint16"),
        as_one_stack([first, other], ["x", "y"], "i"),
    ):
        pass


def test_the_file_that_fails_is_named(make_scene: Any, tmp_path: Path) -> None:
    files = []
    for number in range(3):
        east = TRANSFORM @ Affine.translation(64 * number, 0)
        files.append(make_scene(f"{number}.tif", 64, 64, transform=east, compress="deflate"))
    data = files[1].read_bytes()
    files[1].write_bytes(data[:-3000] + bytes(3000))
    with as_one_scene(files) as path, Scene(path) as scene:
        with pytest.raises(SceneError, match="which lies at rows 0-63, columns 0-191 of") as caught:
            scene.read(Window(0, 0, 192, 64))
        assert str(caught.value).startswith(f"{files[1]} cannot be read")
    with as_one_scene([files[0], files[2]]) as path, Scene(path) as scene:
        files[2].unlink()
        with pytest.raises(SceneError, match=rf"^there is no file {files[2]}, which lies at"):
            scene.read(Window(64, 0, 128, 64))
