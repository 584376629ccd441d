"""Whether a scene fits a model: bands by name, and values of another range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rsseg.errors import BandError, OptionError
from rsseg.geo.scene import Scene
from rsseg.prediction.planning.fit import choose_bands, note_bands, note_radiometry, stretched

RGB, NRG = ("red", "green", "blue"), ("nir", "red", "green")


def chosen(path: Any, bundle: Any) -> tuple[tuple[int, ...], list[str]]:
    with Scene(path) as scene:
        bands = choose_bands(scene, bundle, chosen=False)
        return bands, list(note_bands(scene, bundle, bands))


@pytest.mark.parametrize(
    ("descriptions", "wanted", "bands"),
    [
        (("blue", "green", "red", "nir"), RGB, (3, 2, 1)),
        (("Blue", "GREEN", "Red (665 nm)", "Near Infrared"), NRG, (4, 3, 2)),
        (("nir", "red", "green"), NRG, (1, 2, 3)),
        (("a", "b", "c", "nir"), NRG, (4, 1, 2)),  # red and green by their colours
        (("b1", "b2", "b3"), ("b3", "b1"), (3, 1)),
        (("a", "b", "c", "d"), ("3", "2", "1"), (3, 2, 1)),  # a model may know bands by number
        (("blue", "green", "red", "nir"), ("4", "1"), (4, 1)),
    ],
)
def test_names_decide_without_a_note(
    make_scene: Any, make_bundle: Any, descriptions: tuple[str, ...], wanted: Any, bands: Any
) -> None:
    path = make_scene(bands=len(descriptions), descriptions=descriptions)
    assert chosen(path, make_bundle(bands=wanted)) == (bands, [])


def test_a_scene_that_says_it_has_other_bands_is_refused(make_scene: Any, make_bundle: Any) -> None:
    path = make_scene(descriptions=NRG)
    with pytest.raises(BandError, match=r"expected red, green, blue, got nir, red, green; choose"):
        chosen(path, make_bundle(bands=RGB))
    with Scene(path, [1, 2, 3]) as scene:  # the user knows better
        assert choose_bands(scene, make_bundle(bands=RGB), chosen=True) == (1, 2, 3)


def test_colours_that_are_not_the_models_are_noted(make_scene: Any, make_bundle: Any) -> None:
    """A false-colour picture that calls its bands red, green and blue."""
    bands, notes = chosen(make_scene(), make_bundle(bands=NRG))
    assert bands == (1, 2, 3)
    assert notes == ["bands 1, 2, 3 were taken as nir, red, green; choose others by --bands"]


def test_nameless_bands_of_the_right_number_need_no_note(make_scene: Any, make_bundle: Any) -> None:
    path = make_scene(photometric="minisblack")
    assert chosen(path, make_bundle(bands=RGB)) == ((1, 2, 3), [])


def test_numbers_that_the_scene_does_not_have_are_noted(make_scene: Any, make_bundle: Any) -> None:
    bands, notes = chosen(make_scene(), make_bundle(bands=("4", "1")))
    assert bands == (1, 2)
    assert notes == ["bands 1, 2 were taken as 4, 1; choose others by --bands"]


def test_a_number_is_that_band_also_where_it_is_marked_as_alpha(
    make_scene: Any, make_bundle: Any
) -> None:
    """As GDAL marks the fourth of four bands of bytes; the model was trained on it all the same."""
    path = make_scene(bands=4, photometric="rgb", alpha="yes")
    bands, notes = chosen(path, make_bundle(bands=("4", "2", "1")))
    assert bands == (4, 2, 1)
    (note,) = notes
    assert note.startswith("band 4, which the file marks as alpha, was taken as the model's band 4")
    with pytest.raises(BandError, match=r"has too few bands.* is read only if --bands names it"):
        chosen(path, make_bundle(bands=("a", "b", "c", "d")))
    with Scene(path, [4, 2, 1]) as scene:
        bundle = make_bundle(bands=("4", "2", "1"))
        assert list(note_bands(scene, bundle, choose_bands(scene, bundle, chosen=True))) == []
    with pytest.raises(BandError, match=r"has too few bands, expected 2 .*, got 1$"):
        chosen(make_scene("one.tif", bands=1), make_bundle(bands=("a", "b")))


@pytest.mark.parametrize(
    ("scene", "model", "words"),
    [
        ("uint8", "uint8", None),
        ("uint16", "uint16", None),
        ("uint16", "uint8", "holds uint16 pixels .* add --stretch p2,p98"),
        ("float32", "uint8", "holds float32 pixels .* add --stretch"),
        ("uint8", "uint16", "8-bit pixels and the model expects values up to about 10000"),
        ("uint8", "float32", "up to about 1;"),
    ],
)
def test_other_ranges_are_noted(
    make_scene: Any, make_bundle: Any, scene: str, model: str, words: str | None
) -> None:
    import re

    with Scene(make_scene(dtype=scene)) as opened:
        notes = list(note_radiometry(opened, make_bundle(dtype=model)))
    assert len(notes) == (words is not None)
    assert words is None or re.search(words, notes[0])


@pytest.mark.parametrize(("dtype", "nodata"), [("uint16", 0), ("uint16", 65_535), ("float32", -9)])
def test_a_stretch_leaves_nodata_out(
    make_scene: Any, make_bundle: Any, dtype: str, nodata: float
) -> None:
    """Percentiles are of the valid pixels, counted here from all of them."""
    generator = np.random.default_rng(0)
    valid = generator.random((80, 90)) > 0.4
    pixels = (generator.random((3, 80, 90)) * 3000 + 200).astype(dtype)
    path = make_scene(pixels=pixels, valid=valid, validity="nodata", nodata=nodata)
    bundle = make_bundle(dtype="uint8")
    with Scene(path) as scene:
        scaled, note = stretched(scene, bundle, (2.0, 98.0))
    low, high = np.percentile(pixels[:, valid].astype(float), (2, 98), axis=1)
    black = (low * scaled.normalisation.gain + scaled.normalisation.offset).tolist()
    bright = (high * scaled.normalisation.gain + scaled.normalisation.offset).tolist()
    old = bundle.normalisation
    assert black == pytest.approx(old.offset.tolist(), abs=1e-3)
    assert bright == pytest.approx((255 * old.gain + old.offset).tolist(), abs=1e-3)
    assert f"{low[0]:g}-{high[0]:g}" in note


def test_a_stretch_of_a_large_scene_is_that_of_its_overview(
    make_scene: Any, make_bundle: Any
) -> None:
    generator = np.random.default_rng(0)
    pixels = generator.integers(1000, 2000, (1, 1500, 1100)).astype("uint16")
    valid = np.ones((1500, 1100), bool)
    valid[:, :500] = False
    path = make_scene(pixels=pixels, valid=valid, validity="nodata", nodata=0)
    with Scene(path) as scene:
        scaled, _ = stretched(scene, make_bundle(bands=("pan",)), (0.0, 100.0))
    low = scaled.normalisation.raw_mean[0] - scaled.normalisation.scale[0] * 0.4
    assert 1000 <= low <= 1500, "no nodata has crept in"
    assert 300 <= scaled.normalisation.scale[0] <= 1000


def test_nothing_to_stretch(make_scene: Any, make_bundle: Any) -> None:
    path = make_scene(valid=np.zeros((9, 9), bool), validity="nodata", dtype="uint16")
    bundle = make_bundle()
    with Scene(path) as scene:
        same, note = stretched(scene, bundle, (2, 98))
    assert same is bundle
    assert "no valid pixel" in note
    with (
        Scene(make_scene("flat.tif", pixels=np.full((3, 9, 9), 7, np.uint16))) as scene,
        pytest.raises(OptionError, match=r"flat\.tif cannot be stretched: a band has 7 at both"),
    ):
        stretched(scene, bundle, (2, 98))
