"""Which assets of an item are its scene."""

from __future__ import annotations

from typing import Any

import pytest

from rsseg.errors import SceneError
from rsseg.geo.assets import Choice, choose_assets
from rsseg.geo.stac import Asset, Item

COG, TIFF = "image/tiff; application=geotiff; profile=cloud-optimized", "image/tiff"
RGB = ("red", "green", "blue")


def asset(key: str, *bands: str, kind: str = COG, roles: tuple[str, ...] = ("data",)) -> Asset:
    return Asset(key, f"{key}.tif", kind, roles, bands)


def files(*assets: Asset, wanted: tuple[str, ...] = RGB, named: Any = ()) -> Choice:
    return choose_assets(Item("x", assets), wanted, named)


def test_one_raster_with_all_bands() -> None:
    assert files(asset("image", "nir", "red", "green", "blue")) == Choice(
        ("image.tif",), bands=(2, 3, 4)
    )


def test_a_band_by_its_own_name_before_one_of_the_same_meaning() -> None:
    chosen = files(asset("image", "nir08", "nir", "red"), wanted=("nir", "red"))
    assert chosen.bands == (2, 3)
    narrow, wide = asset("B8A", "nir08"), asset("B08", "nir")
    assert files(narrow, wide, asset("B04", "red"), wanted=("red", "nir")).files == (
        "B04.tif",
        "B08.tif",
    )


def test_a_raster_for_each_band_in_the_order_of_the_model() -> None:
    singles = [
        asset(name, band)
        for name, band in zip("bgrn", ("blue", "green", "red", "nir"), strict=True)
    ]
    assert files(*singles) == Choice(("r.tif", "g.tif", "b.tif"), RGB)
    assert files(asset("red"), asset("green"), asset("blue")).files == (
        "red.tif",
        "green.tif",
        "blue.tif",
    ), "an asset may be called after its band"


def test_the_better_of_several() -> None:
    visual = asset("visual", *RGB, roles=("visual",))
    jp2 = asset("visual-jp2", *RGB, kind="image/jp2", roles=("visual",))
    assert files(jp2, asset("plain", *RGB, kind=TIFF, roles=("visual",)), visual).files == (
        "visual.tif",
    )
    assert files(visual, asset("data", *RGB, kind=TIFF)).files == ("data.tif",)


def test_pictures_of_a_scene_are_no_scenes() -> None:
    small = [asset(role, *RGB, roles=(role,)) for role in ("thumbnail", "overview")]
    text = asset("text", *RGB, kind="application/json")
    with pytest.raises(SceneError, match="does not tell which of its assets are red, green, blue"):
        files(*small, text)
    assert files(*small, text, asset("only")).files == ("only.tif",)


def test_the_one_raster_or_the_one_that_holds_data() -> None:
    assert files(asset("a")) == Choice(("a.tif",))
    assert files(asset("a", roles=()), asset("b")).files == ("b.tif",)
    assert files(Asset("a", "https://host/a.TIF?sig=1"), Asset("b", "b.json")).files == (
        "https://host/a.TIF?sig=1",
    )
    with pytest.raises(SceneError, match=r"got a, b \(nir\); name one, or one for each"):
        files(asset("a"), asset("b", "nir"))


def test_assets_that_are_named() -> None:
    both = asset("a", "nir", *RGB), asset("b")
    assert files(*both, named=["b"]) == Choice(("b.tif",))
    assert files(*both, named=["a"]) == Choice(("a.tif",), bands=(2, 3, 4))
    assert files(asset("a", roles=("visual",)), asset("b"), named=["visual"]).files == ("a.tif",)
    singles = asset("b", "blue"), asset("g", "green"), asset("r", "red")
    assert files(*singles, named=["b", "g", "r"]).files == ("r.tif", "g.tif", "b.tif")
    untold = asset("x"), asset("y")
    assert files(*untold, named=["y", "x"]) == Choice(("y.tif", "x.tif"), ("y", "x"))
    with pytest.raises(SceneError, match="item x has no asset 'c', got a "):
        files(*both, named=["c"])
    with pytest.raises(SceneError, match="several assets in the role 'data'"):
        files(*both, named=["data"])
