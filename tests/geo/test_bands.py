"""Bands by what they show."""

from __future__ import annotations

from typing import Any

import pytest
import rasterio
from rasterio.enums import ColorInterp

from rsseg.errors import BandError
from rsseg.geo.bands import band_names, choose_bands, common_name, find_band, told_names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("NIR", "nir"),
        ("Near Infrared", "nir"),
        ("near-infrared (842 nm)", "nir"),
        ("nir08", "nir"),
        ("Red", "red"),
        ("Band Red", "red"),
        ("red_edge", "rededge"),
        ("b", None),  # it may follow a
        ("SWIR 1", "swir16"),
        ("Panchromatic", "pan"),
        ("B4", None),
        ("4", None),
        ("", None),
        (None, None),
        ("infrared edge of the world", None),
        ("gray", None),
    ],
)
def test_common_names(text: str | None, name: str | None) -> None:
    assert common_name(text) == name


def test_descriptions_in_any_order_and_spelling(make_scene: Any) -> None:
    path = make_scene(bands=4, descriptions=("Near Infrared", "Blue", "GREEN (550)", "red"))
    with rasterio.open(path) as dataset:
        assert told_names(dataset) == ["nir", "blue", "green", "red"]
        found = [find_band(dataset, name) for name in ("red", "green", "blue", "nir", "NIR")]
        assert found == [4, 3, 2, 1, 1]
        assert choose_bands(dataset, ["nir", 2, "red"], "x") == (1, 2, 4)


def test_colours_speak_where_the_file_is_silent(make_scene: Any) -> None:
    path = make_scene(bands=4, descriptions=("B04", "B03", "B02", ""), photometric="minisblack")
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [
            ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined
        ]  # fmt: skip
    with rasterio.open(path) as dataset:
        assert [find_band(dataset, name) for name in ("red", "green", "blue")] == [3, 2, 1]
        assert find_band(dataset, "b04") == 1
        assert find_band(dataset, "nir") is None


def test_the_colours_of_a_false_colour_picture_do_not_count(make_scene: Any) -> None:
    with rasterio.open(make_scene(descriptions=("nir", "red", "green"))) as dataset:
        assert dataset.colorinterp[0] == ColorInterp.red
        assert [find_band(dataset, name) for name in ("nir", "red", "green", "blue")] == [
            1,
            2,
            3,
            None,
        ]  # noqa: E501


def test_the_tag_of_a_catalogue_counts(make_scene: Any) -> None:
    path = make_scene(bands=2, descriptions=("B8A", "B04"))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(1, common_name="nir08")
        dataset.update_tags(2, COMMON_NAME="red")
    with rasterio.open(path) as dataset:
        assert [find_band(dataset, name) for name in ("red", "nir", "b8a")] == [2, 1, 1]


def test_the_very_name_goes_before_its_kin(make_scene: Any) -> None:
    with rasterio.open(make_scene(bands=3, descriptions=("nir", "nir08", "x"))) as dataset:
        assert find_band(dataset, "nir08") == 2
        assert find_band(dataset, "nir") == 1
    with rasterio.open(make_scene(bands=1, descriptions=("nir",))) as dataset:
        assert find_band(dataset, "nir08") == 1


def test_alpha_is_found_by_no_name_of_a_colour(make_scene: Any) -> None:
    with rasterio.open(make_scene(validity="alpha")) as dataset:
        assert band_names(dataset) == ["red", "green", "blue", "alpha"]
        assert choose_bands(dataset, None, "x") == (1, 2, 3)
        with pytest.raises(BandError, match="x has no band 'nir', got red, green, blue, alpha"):
            choose_bands(dataset, ["nir"], "x")
