"""Labels by colours and by numbers, against a search pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rsseg.data.datasets.decoding import ColourTable, colour_codes, read_colours, read_numbers
from rsseg.errors import CatalogueError, LegendError, SceneError
from rsseg.legend import NODATA, Legend

RED, BLUE, GREY = (200, 0, 0), (0, 0, 200), (90, 90, 90)
CODES = {RED: 0, BLUE: 7, GREY: NODATA}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(
    height=st.integers(1, 700),
    width=st.integers(1, 6),
    tolerance=st.sampled_from([0, 1, 40]),
    creation=st.sampled_from(
        [
            {},
            {"tiled": True, "blockxsize": 16, "blockysize": 16},
            {"blockysize": 100},
            {"blockysize": 10_000, "interleave": "pixel"},
        ]
    ),
    seed=st.integers(0, 99),
)
def test_every_pixel_gets_the_code_of_its_colour(
    height: int,
    width: int,
    tolerance: int,
    creation: dict[str, Any],
    seed: int,
    write: Any,
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(seed)
    drawn = np.array(list(CODES), np.int64)[rng.integers(0, 3, (height, width))]
    noise = rng.integers(-tolerance - 1, tolerance + 2, drawn.shape)
    pixels = np.moveaxis(np.clip(drawn + noise, 0, 255), -1, 0).astype(np.uint8)
    if creation.get("blockysize", 0) > height and "tiled" not in creation:
        creation = creation | {"blockysize": height}
    path = write(tmp_path / "label.tif", pixels, **creation)
    codes = read_colours(path, CODES, tolerance=tolerance, strays=1.0)
    expected = np.full((height, width), NODATA)
    for colour, code in CODES.items():
        away = np.abs(np.moveaxis(pixels, 0, -1).astype(int) - colour).max(axis=-1)
        expected[away <= tolerance] = code
    assert np.array_equal(codes, expected)


def test_any_codes_are_told_from_unknown_colours() -> None:
    codes = {(i, 255 - i, i // 2): i for i in range(256)}
    pixels = np.moveaxis(np.array([[*codes, (1, 2, 3)]], np.uint8), -1, 0)
    decoded, unknown = ColourTable(codes).decode(pixels)
    assert decoded.dtype == np.uint8
    assert decoded.tolist() == [[*range(256), NODATA]]
    assert np.argwhere(unknown).tolist() == [[0, 256]]


def test_palettes_and_alpha_are_understood(write: Any, tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).integers(0, 3, (20, 30), dtype=np.uint8)
    colours = np.array(list(CODES), np.uint8)
    rgba = np.concatenate([np.moveaxis(colours[drawn], -1, 0), np.full((1, 20, 30), 9, np.uint8)])
    expected = np.array(list(CODES.values()))[drawn]
    shape = {"count": 1, "height": 20, "width": 30, "dtype": "uint8"}
    with rasterio.open(tmp_path / "p.png", "w", driver="PNG", **shape) as target:
        target.write(drawn, 1)
        target.write_colormap(1, {i: (*map(int, c), 255) for i, c in enumerate(colours)})
    for path in (tmp_path / "p.png", write(tmp_path / "a.png", rgba)):
        assert np.array_equal(read_colours(path, CODES), expected)


def test_the_place_of_an_unknown_colour_is_told_beyond_the_first_strip(
    write: Any, tmp_path: Path
) -> None:
    pixels = np.zeros((3, 900, 4), np.uint8)
    pixels[0] = 200
    pixels[:, 777, 2] = (1, 2, 3)
    path = write(tmp_path / "label.tif", pixels)
    with pytest.raises(LegendError, match=r"label\.tif has 1 pixel of unknown colours, expected "):
        read_colours(path, CODES)
    with pytest.raises(LegendError, match=r"got \(1, 2, 3\) at row 777, column 2$"):
        read_colours(path, CODES, strays=0.9 / 3600)
    told: list[tuple[Path, int]] = []
    codes = read_colours(path, CODES, strays=1 / 3600, on_strays=lambda *each: told.append(each))
    assert told == [(path, 1)]
    assert [tuple(place) for place in np.argwhere(codes != 0)] == [(777, 2)]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32"])
def test_numbers_of_any_type(dtype: str, write: Any, tmp_path: Path) -> None:
    drawn = np.random.default_rng(1).integers(0, 3, (1, 600, 5)).astype(dtype)
    codes = read_numbers(write(tmp_path / "label.tif", drawn), {0: NODATA, 1: 4, 2: 0})
    assert np.array_equal(codes, np.array([NODATA, 4, 0])[drawn[0]])
    wrong = [3, *([] if dtype == "uint8" else [257]), *([] if dtype[0] == "u" else [-1])]
    for number in wrong:
        drawn[0, 500, 3] = number
        path = write(tmp_path / "wrong.tif", drawn)
        with pytest.raises(LegendError, match=rf"got {number} at row 500, column 3"):
            read_numbers(path, {0: NODATA, 1: 4, 2: 0})


def test_other_kinds_are_refused(write: Any, tmp_path: Path) -> None:
    gray = write(tmp_path / "gray.tif", np.zeros((1, 4, 4), np.uint8))
    wide = write(tmp_path / "wide.tif", np.zeros((3, 4, 4), np.uint16))
    with pytest.raises(CatalogueError, match="gray.tif has 1 bands, expected RGB or a palette"):
        read_colours(gray, CODES)
    with pytest.raises(CatalogueError, match="wide.tif holds uint16, expected bytes"):
        read_colours(wide, CODES)
    with pytest.raises(CatalogueError, match="wide.tif has 3 bands, expected one band"):
        read_numbers(wide, {0: 0})
    with pytest.raises(SceneError, match="there is no file"):
        read_numbers(tmp_path / "none.tif", {0: 0})


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("size", [24, 300])
def test_incomplete_pngs_are_noticed(share: float, size: int, write: Any, tmp_path: Path) -> None:
    """GDAL reads noise from these, and no error, where it may read the whole picture at once."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, size, size), dtype=np.uint8)
    path = write(tmp_path / "label.png", pixels)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(SceneError, match="label.png cannot be read; it is damaged or incomplete"):
        read_colours(path, CODES, strays=1.0)


def test_colours_by_name_become_codes() -> None:
    legend = Legend.of({"a": (1, 1, 1), "b": (2, 2, 2)})
    assert colour_codes(legend, {"b": RED, "a": BLUE}) == {RED: 1, BLUE: 0}
