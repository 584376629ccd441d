import os

import numpy as np
import pytest

from rsseg.data import label_index
from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.label_index import index_labels
from rsseg.errors import LegendError
from rsseg.legend import NODATA, LandClass, Legend

LEGEND = Legend(tuple(LandClass(code, f"c{code}", (code,) * 3) for code in (9, 4, 200)))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RSSEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def catalogue(make_scene):
    generator = np.random.default_rng(0)
    rows = []
    for number, (height, width) in enumerate([(50, 70), (40, 30)]):
        image = make_scene(f"{number}.tif", height=height, width=width)
        codes = generator.choice([9, 4, NODATA], (1, height, width), p=[0.02, 0.8, 0.18])
        label = make_scene(f"{number}_label.tif", pixels=codes.astype(np.uint8))
        rows.append(LabelledScene(image, label, "train", str(number)))
    return Catalogue(tuple(rows))


def _indices(scene, shape):
    import rasterio

    with rasterio.open(scene.label) as label:
        return LEGEND.indices[label.read(1)].ravel()


@pytest.mark.parametrize("strip", [1, 71, 1 << 24])
@pytest.mark.parametrize("kept", [4096, 15])
def test_counts_and_pixels_are_those_of_the_labels(catalogue, monkeypatch, strip, kept):
    monkeypatch.setattr(label_index, "_STRIP", strip)
    monkeypatch.setattr(label_index, "PIXELS", kept)
    index = index_labels(catalogue, LEGEND, cached=False)
    assert index.shapes == ((50, 70), (40, 30))
    for scene, shape, counts, pixels in zip(
        catalogue, index.shapes, index.counts, index.pixels, strict=True
    ):
        classes = _indices(scene, shape)
        for wanted in range(3):
            there = np.flatnonzero(classes == wanted)
            assert counts[wanted] == len(there)
            assert len(pixels[wanted]) == min(kept, len(there))
            assert np.isin(pixels[wanted], there).all()
            assert (np.diff(pixels[wanted]) > 0).all()


def test_pixels_are_the_same_for_any_strip_and_drawn_evenly(catalogue, monkeypatch):
    monkeypatch.setattr(label_index, "PIXELS", 400)
    drawn = []
    for strip in (1, 1000, 1 << 24):
        monkeypatch.setattr(label_index, "_STRIP", strip)
        drawn.append(index_labels(catalogue, LEGEND, cached=False).pixels[0][1])
    assert np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(drawn[0], drawn[2])
    halves = np.mean(drawn[0] < 50 * 70 // 2)
    assert halves == pytest.approx(0.5, abs=0.08)


def test_the_index_is_made_once_and_anew_when_a_label_changes(catalogue, monkeypatch, tmp_path):
    first = index_labels(catalogue, LEGEND)
    opened = []
    monkeypatch.setattr(
        label_index, "open_labels", lambda *a: opened.append(a) or (_ for _ in ()).throw(OSError)
    )
    again = index_labels(catalogue, LEGEND)
    assert opened == []
    assert np.array_equal(first.counts, again.counts)
    assert all(
        np.array_equal(one, other)
        for mine, theirs in zip(first.pixels, again.pixels, strict=True)
        for one, other in zip(mine, theirs, strict=True)
    )
    monkeypatch.undo()
    monkeypatch.setenv("RSSEG_CACHE", str(tmp_path / "cache"))
    for damaged in (tmp_path / "cache" / "labels").iterdir():
        damaged.write_bytes(damaged.read_bytes()[:40])
    assert np.array_equal(index_labels(catalogue, LEGEND).counts, first.counts)
    label = catalogue.scenes[0].label
    pixels = label.read_bytes()
    label.write_bytes(pixels)
    os.utime(label, ns=(1, 1))
    index_labels(catalogue, LEGEND)
    assert len(list((tmp_path / "cache" / "labels").iterdir())) == 3


def test_codes_outside_the_legend_are_refused_and_nothing_is_cached(catalogue, tmp_path):
    few = Legend(LEGEND.classes[:1])
    with pytest.raises(LegendError, match=r"0_label\.tif holds the code 4"):
        index_labels(catalogue, few)
    assert list((tmp_path / "cache" / "labels").glob("*")) == []


def test_a_part_of_a_scene_and_coarse_labels(make_scene):
    from rasterio.windows import Window

    image = make_scene("image.tif", height=40, width=60)
    coarse = np.full((1, 20, 30), 4, np.uint8)
    coarse[0, 5, 7] = 9
    from affine import Affine

    label = make_scene(
        "label.tif",
        pixels=coarse,
        transform=Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000) @ Affine.scale(2),
    )
    row = LabelledScene(image, label, "train", "", window=Window(10, 8, 20, 16))
    index = index_labels(Catalogue((row,)), LEGEND, label_stride=2, cached=False)
    assert index.shapes == ((16, 20),)
    assert index.counts.tolist() == [[4, 16 * 20 - 4, 0]]
    assert index.pixels[0][0].tolist() == [2 * 20 + 4, 2 * 20 + 5, 3 * 20 + 4, 3 * 20 + 5]
