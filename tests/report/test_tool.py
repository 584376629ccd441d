"""The page of a map, read as a browser reads it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from rsseg.errors import (
    GridMismatch,
    LegendError,
    MissingExtra,
    OptionError,
    OutputError,
    SceneError,
)
from rsseg.legend import LAND_COVER, NODATA, LandClass, Legend
from rsseg.report import TruthOptions, report

GENERATOR = np.random.default_rng(3)
CODES = np.kron(GENERATOR.integers(0, 5, (10, 8)), np.ones((10, 10))).astype(np.uint8)
VOID = {"meta", "link", "img", "input", "br"}


class Page(HTMLParser):
    """What a page holds; a tag that is not closed in order is an error."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.source = path.read_text("utf-8")
        self.feed(self.source)
        assert self.open == []
        ids = [attributes["id"] for _, attributes in self.tags if "id" in attributes]
        assert len(ids) == len(set(ids))

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.get_starttag_text().endswith("/>") or tag not in ("line", "rect", "path"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text.append(" ".join(data.split()))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self):
        return " ".join(text for text in self.text if text).replace("\xa0", " ")


def paged(*args, **options):
    done = report(*args, **options)
    return done, Page(args[1])


def test_a_page_has_all_that_was_given_and_asks_nothing_of_a_network(
    make_map, make_scene, tmp_path
):
    shares = make_scene("shares.tif", pixels=GENERATOR.random((1, 100, 80), np.float32))
    done, page = paged(
        make_map(CODES),
        tmp_path / "r.html",
        scene=make_scene(height=100, width=80),
        truth=make_map(CODES[::-1].copy(), "truth.tif"),
        confidence=shares,
        title="Town & <b>country</b>",
    )
    assert done.bytes == (tmp_path / "r.html").stat().st_size < 500_000
    for heading in ("Map", "Area of each class", "Confidence", "Least certain places", "Accuracy",
                    "Confusion matrix", "Where the map is wrong most", "Provenance"):  # fmt: skip
        assert heading in page.text
    assert page.text.count("Town & <b>country</b>") == 2, "title and heading, as text"
    assert "b" not in {tag for tag, _ in page.tags}
    assert all(image["src"].startswith("data:image/") for image in page.all("img"))
    assert all(image["alt"] for image in page.all("img"))
    addresses = [value for _, attributes in page.tags for key, value in attributes.items()
                 if key in ("src", "href", "srcset", "action", "data")]  # fmt: skip
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"https?://|@import|url\(", page.source)
    assert done.oa == pytest.approx((CODES[::-1] == CODES).mean())
    assert f"{100 * done.oa:.1f} %" in page.words


def test_the_same_files_give_the_same_bytes(make_map, make_scene, tmp_path):
    paths = make_map(CODES), make_scene(height=100, width=80)
    for name in ("a.html", "b.html"):
        report(paths[0], tmp_path / name, scene=paths[1], title="x")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_areas_are_told_by_class(make_map, tmp_path):
    done, page = paged(make_map(CODES), tmp_path / "r.html")
    for known in LAND_COVER:
        pixels = int((known.code == CODES).sum())
        assert done.classes[known.name] == pixels
        assert done.areas[known.name] == pytest.approx(pixels / 4)
        assert f"{known.name} {100 * pixels / 8000:.1f} %" in page.words
    assert "classified 2,000 m² 8,000" in page.words
    assert done.mean_confidence is None
    assert page.all("input") == [], "without a scene there is nothing to slide over"


@pytest.mark.parametrize(
    ("crs", "transform", "said"),
    [
        (None, Affine.identity(), "The map has no place on the ground"),
        ("EPSG:4326", Affine(1e-5, 0, 15, 0, -1e-5, 45), "Areas are those on the ellipsoid."),
        ("EPSG:32633", Affine(0.8, 0.6, 4e5, 0.6, -0.8, 5e6), "36.9° right of up"),
        ("EPSG:2263", Affine(2, 0, 9e5, 0, -2, 2e5), "US survey foot"),
    ],
)
def test_any_grid_has_a_page(make_map, make_scene, tmp_path, crs, transform, said):
    raster = make_map(CODES, crs=crs, transform=transform)
    scene = make_scene(height=100, width=80, crs=crs, transform=transform)
    done, page = paged(raster, tmp_path / "r.html", scene=scene)
    assert said in page.words
    assert (done.areas is None) == (crs is None)


@pytest.mark.parametrize("codes", [np.full((40, 30), NODATA, np.uint8), np.zeros((1, 1), np.uint8)])
def test_maps_of_nothing_and_of_one_pixel(make_map, make_scene, tmp_path, codes):
    raster = make_map(codes)
    shares = np.full((1, *codes.shape), 255, np.uint8)
    done, page = paged(
        raster,
        tmp_path / "r.html",
        scene=make_scene(height=codes.shape[0], width=codes.shape[1]),
        confidence=make_scene("shares.tif", pixels=shares, nodata=255, validity="nodata"),
        truth=raster,
    )
    assert sum(done.classes.values()) + done.nodata_pixels == codes.size
    assert "Confidence" not in page.text, "no pixel has one"
    assert "Accuracy" in page.text


def test_long_and_thin_maps(make_map, tmp_path):
    for shape in ((3000, 1), (1, 3000)):
        codes = GENERATOR.integers(0, 5, shape, dtype=np.uint8)
        done, _ = paged(make_map(codes), tmp_path / "r.html", overwrite=True)
        assert sum(done.classes.values()) == 3000


def test_names_are_escaped_wherever_they_stand(make_map, tmp_path):
    bad = '"><script>alert(1)</script>'
    legend = Legend((LandClass(0, bad, (9, 9, 9)), LandClass(1, "x", (1, 1, 1))))
    codes = GENERATOR.integers(0, 2, (64, 64), dtype=np.uint8)
    raster = make_map(codes, legend=legend)
    with rasterio.open(raster, "r+") as target:
        target.update_tags(RSSEG_SCENE=bad, NOTE=bad)
    truth = make_map(1 - codes, "truth.tif", legend=legend)
    _, page = paged(raster, tmp_path / "r.html", truth=truth)
    assert len(page.all("script")) == 1
    assert bad in page.text


def test_a_map_without_colours_and_noise_of_many_classes_stays_small(make_scene, tmp_path):
    pixels = GENERATOR.integers(0, 250, (1, 800, 800), dtype=np.uint8)
    scene = make_scene(pixels=GENERATOR.integers(0, 255, (3, 800, 800), dtype=np.uint8))
    raster = make_scene("map.tif", pixels=pixels)
    done, page = paged(raster, tmp_path / "r.html", scene=scene, truth=raster)
    assert done.bytes < 3_000_000
    assert "class 249" in page.text
    assert any("is it a map of classes?" in note for note in done.notes)


def test_points_estimate_the_whole_map(make_map, tmp_path):
    places = [(400_000.2 + 5 * x, 4_999_999.8 - 5 * y) for x in range(8) for y in range(10)]
    names = [LAND_COVER.classes[CODES[10 * y, 10 * x]].name for x in range(8) for y in range(10)]
    truth = tmp_path / "truth.gpkg"
    frame = geopandas.GeoDataFrame({"class": names}, geometry=shapely.points(places))
    frame.set_crs("EPSG:32633").to_file(truth)
    done, page = paged(make_map(CODES), tmp_path / "r.html", truth=truth)
    assert done.oa == 1
    assert "Estimates for the whole map" in page.text
    assert "water 100.0 ± 0.0 100.0 ± 0.0" in page.words
    assert "Where the map is wrong most" not in page.text


def test_a_page_that_is_there_stays_unless_told(make_map, tmp_path):
    raster, out = make_map(CODES), tmp_path / "r.html"
    out.write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        report(raster, out)
    assert out.read_text() == "mine"
    report(raster, out, overwrite=True)
    assert out.read_text("utf-8").startswith("<!doctype html>")
    with pytest.raises(OptionError, match="a name ending in .html"):
        report(raster, tmp_path / "r.pdf")
    with pytest.raises(OutputError, match="there is no folder"):
        report(raster, tmp_path / "none" / "r.html")


def test_what_cannot_be_used_is_refused_and_leaves_nothing(make_map, make_scene, tmp_path):
    raster, out = make_map(CODES), tmp_path / "out" / "r.html"
    out.parent.mkdir()
    damaged = tmp_path / "damaged.tif"
    damaged.write_bytes(make_map(CODES, "whole.tif").read_bytes()[:700])
    other = Legend.of({"moor": (1, 2, 3)})
    wrong = [
        ({"raster": tmp_path / "none.tif"}, SceneError, "there is no file"),
        ({"raster": make_scene("three.tif")}, SceneError, "not a class raster"),
        ({"raster": damaged}, SceneError, "damaged"),
        ({"scene": make_scene(height=8, width=8)}, GridMismatch, "rio warp"),
        ({"confidence": make_scene("s.tif", bands=1)}, GridMismatch, "rio warp"),
        ({"truth": make_map(CODES[1:], "t.tif")}, GridMismatch, "gdalwarp"),
        ({"truth": make_map(0 * CODES, "o.tif", legend=other)}, LegendError, "no class in common"),
        ({"truth": raster, "options": TruthOptions(erode=-1)}, OptionError, "distance"),
        ({"options": TruthOptions(erode=2)}, OptionError, "name the truth too"),
        ({"bands": (1,)}, OptionError, "name the scene too"),
    ]
    for options, error, said in wrong:
        with pytest.raises(error, match=said):
            report(**({"raster": raster, "out": out} | options))
        assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "options", "error", "reason"),
    [
        ("raster", {}, GridMismatch, "gdalwarp"),
        ("polygons", {"field": "kind"}, OptionError, "no field 'kind'"),
        ("polygons", {"layer": "b"}, SceneError, "no layer 'b'"),
        ("polygons", {"erode": 300.0}, OptionError, "at most 256"),
        ("points", {"erode": 3.0}, OptionError, "erode cannot be used"),
        ("wheat", {}, LegendError, "no class in common"),
    ],
)
def test_unusable_truth_is_refused_before_any_work(
    make_map, tmp_path, kind, options, error, reason
):
    seen = []
    truth = make_map(CODES[1:], "truth.tif")
    if kind != "raster":
        shape = shapely.box(400_000, 4_999_990, 400_010, 5_000_000)
        named = {"class": ["wheat" if kind == "wheat" else "land"]}
        shapes = [shape.centroid if kind == "points" else shape]
        truth = tmp_path / "truth.gpkg"
        geopandas.GeoDataFrame(named, geometry=shapes, crs="EPSG:32633").to_file(truth)
    with pytest.raises(error, match=reason):
        report(
            make_map(CODES),
            tmp_path / "r.html",
            truth=truth,
            options=TruthOptions(**options),
            on_progress=lambda *told: seen.append(told),
        )
    assert seen == []


def test_a_full_disk_is_told_and_leaves_the_old_page(make_map, tmp_path, monkeypatch):
    out = tmp_path / "r.html"
    out.write_text("old")

    def full(path, data):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OutputError, match="No space left on device"):
        report(make_map(CODES), out, overwrite=True)
    assert out.read_text() == "old"
    assert not list(tmp_path.glob("*unfinished*"))


def test_without_jinja2_the_command_that_gets_it_is_told(make_map, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(MissingExtra, match=r"pip install 'rsseg\[report\]'"):
        report(make_map(CODES), tmp_path / "r.html")
