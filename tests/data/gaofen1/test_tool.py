"""`prepare`: a folder as delivered in, a scene that the sampler reads out."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely

from rsseg.data import read_catalogue
from rsseg.data.gaofen1 import FieldPolygons, prepare
from rsseg.errors import OptionError, OutputError, RssegError, SceneError
from rsseg.geo.grid import Grid

NAME = "GF1_PMS1_E116.8_N39.9_20130501_L1A0000123456"


@pytest.fixture
def fields(tmp_path, centre) -> Path:
    """Two fields near the centre of the scene."""
    east, north = centre
    boxes = [(-100, -40, -20, 60), (10, -60, 90, 20)]
    shapes = [shapely.box(east + w, north + s, east + e, north + n) for w, s, e, n in boxes]
    pyogrio.raw.write(
        tmp_path / "fields.gpkg",
        np.array(shapely.to_wkb(shapes), dtype=object),
        [np.array(["wheat", "maize"])],
        ["crop"],
        geometry_type="Polygon",
        crs="EPSG:32650",
    )
    return tmp_path / "fields.gpkg"


def test_a_scene_becomes_a_sharp_geotiff(miniature, tmp_path) -> None:
    """Against the ground itself: the furrows are there, which the 8 m bands all but miss."""
    scene = miniature(furrows=0.4)
    source, dem = scene.deliver(tmp_path), scene.dem(tmp_path / "dem.tif")
    prepared = prepare(source, tmp_path / "out", dem=dem)
    assert prepared.images == (tmp_path / "out" / f"{NAME}.tif",)
    assert prepared.catalogue is None
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{NAME}.tif"]
    with rasterio.open(prepared.images[0]) as dataset:
        pixels, grid = dataset.read().astype(float), Grid.of(dataset)
        assert dataset.descriptions == ("blue", "green", "red", "nir")
        assert dataset.crs.to_epsg() == 32650
        assert (dataset.res, dataset.nodata) == ((2, 2), 0)
        assert dataset.tags()["SENSOR"] == "GF1 PMS1"
    column, row = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    truth = scene.ground(*(grid.transform @ (column, row)))
    inner = np.hypot(column - grid.width / 2, row - grid.height / 2) < 90
    assert (pixels[:, inner] > 0).all()
    assert np.abs(pixels - truth)[:, inner].mean(axis=1).max() < 4, "digital numbers"
    furrows = truth - miniature().ground(*(grid.transform @ (column, row)))
    for band, lines in zip(pixels, furrows, strict=True):
        contrast = np.polyfit(lines[inner], band[inner], 1)[0]
        assert 0.8 < contrast < 1.2, "of what the ground has"


def test_progress_ends_with_all(delivered, tmp_path) -> None:
    seen = []
    prepare(delivered, tmp_path / "out", on_progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert {total for _, total in seen} == {len(seen)}


def test_twice_gives_the_same_bytes(delivered, tmp_path) -> None:
    first = prepare(delivered, tmp_path / "a").images[0].read_bytes()
    assert first == prepare(delivered, tmp_path / "b").images[0].read_bytes()


def test_polygons_become_a_label_and_a_catalogue(delivered, fields, tmp_path) -> None:
    polygons = FieldPolygons(fields, "crop", background="other", split="val")
    prepared = prepare(delivered, tmp_path / "out", fields=polygons)
    catalogue = read_catalogue(tmp_path / "out" / "catalogue.csv")
    assert len(catalogue) == 1
    row = next(iter(catalogue))
    assert (row.split, row.group) == ("val", NAME)
    row.grid()  # refuses a label on another grid than its image
    with rasterio.open(row.label) as label, rasterio.open(row.image) as image:
        codes, valid = label.read(1), image.read(1) > 0
    assert (codes[~valid] == 255).all()
    assert set(codes[valid]) == {0, 1, 2}
    assert prepared.pixels == {"maize": 1600, "wheat": 2000, "other": valid.sum() - 3600}


def test_a_folder_of_scenes_becomes_one_catalogue(miniature, fields, tmp_path) -> None:
    """A scene that no polygon lies on is written, but not listed."""
    source, other = tmp_path / "source", "GF1_PMS2_E116.8_N39.9_20140501_L1A0000123457"
    for name in (NAME, other):
        miniature(rows=24, columns=24).deliver(source, name)
    prepared = prepare(source, tmp_path / "out", fields=FieldPolygons(fields, "crop"))
    assert [image.stem for image in prepared.images] == [NAME, other]
    groups = [scene.group for scene in read_catalogue(tmp_path / "out" / "catalogue.csv")]
    assert groups == [NAME, other]
    lon = source / other
    for path in lon.glob("*.rpb"):
        text = path.read_text(encoding="ascii")
        path.write_text(text.replace("longOffset = 116.8", "longOffset = 116.9"), encoding="ascii")
    prepared = prepare(source, tmp_path / "out", fields=FieldPolygons(fields, "crop"))
    assert prepared.catalogue is not None
    assert [scene.group for scene in prepared.catalogue] == [NAME]
    assert f"{other}: no polygon lies on it, it is not in the catalogue" in prepared.notes


def test_notes_say_what_was_taken_for_granted(delivered, miniature, tmp_path) -> None:
    plain = prepare(delivered, tmp_path / "out").notes
    assert any("all ground is taken to lie at 480 m" in note for note in plain)
    assert any("digital numbers are kept" in note for note in plain)
    table = tmp_path / "gains.csv"
    table.write_text("band,gain,offset\nblue,.2,0\ngreen,.2,0\nred,.2,0\nnir,.2,0\n")
    dem = miniature().dem(tmp_path / "dem.tif")
    full = prepare(delivered, tmp_path / "radiance", dem=dem, gains=table)
    assert full.notes == (f"{NAME}: radiances in steps of 0.01 W/(m2 sr um)",)
    with rasterio.open(full.images[0]) as dataset:
        assert dataset.scales == (0.01,) * 4
        radiance = dataset.read()
    with rasterio.open(prepare(delivered, tmp_path / "out", dem=dem).images[0]) as dataset:
        numbers = dataset.read()
    valid = numbers[0] > 0
    assert np.abs(radiance[:, valid] * 0.01 - numbers[:, valid] * 0.2).max() <= 0.11


def nothing_final(target: Path) -> bool:
    return not target.exists() or not list(target.iterdir())


def test_polygons_elsewhere_are_refused_before_any_work(delivered, tmp_path) -> None:
    pyogrio.raw.write(
        tmp_path / "far.gpkg",
        np.array([shapely.to_wkb(shapely.box(10, 50, 11, 51))], dtype=object),
        [np.array(["wheat"])],
        ["crop"],
        geometry_type="Polygon",
        crs="EPSG:4326",
    )
    fields = FieldPolygons(tmp_path / "far.gpkg", "crop")
    with pytest.raises(SceneError, match=r"no polygon of .*far.gpkg lies on the ground"):
        prepare(delivered, tmp_path / "out", fields=fields)
    assert nothing_final(tmp_path / "out")


@pytest.mark.parametrize("kind", ["PAN1", "MSS1"])
def test_a_truncated_image_leaves_nothing(delivered, tmp_path, kind) -> None:
    source = Path(shutil.copytree(delivered, tmp_path / NAME))
    path = source / f"{NAME}-{kind}.tiff"
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(SceneError, match=f"{kind}.tiff cannot be (read|opened)"):
        prepare(source, tmp_path / "out")
    assert nothing_final(tmp_path / "out")


def test_the_same_scene_twice_is_refused(delivered, tmp_path) -> None:
    for folder in ("a", "b"):
        shutil.copytree(delivered, tmp_path / "source" / folder)
    with pytest.raises(SceneError, match="holds the scene .* more than once"):
        prepare(tmp_path / "source", tmp_path / "out")


def test_a_target_that_is_a_file_is_refused(delivered, tmp_path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="cannot be written to"):
        prepare(delivered, tmp_path / "out")


def test_a_wrong_table_is_refused_before_any_work(delivered, tmp_path) -> None:
    with pytest.raises(OptionError):
        prepare(delivered, tmp_path / "out", gains=tmp_path / "none.csv")
    assert nothing_final(tmp_path / "out")


@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_an_interrupted_run_leaves_what_stood_there(delivered, tmp_path, share) -> None:
    target = tmp_path / "out"
    before = prepare(delivered, target).images[0].read_bytes()

    def stop(done: int, total: int) -> None:
        if done > share * total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(delivered, target, on_progress=stop)
    assert [path.name for path in target.iterdir()] == [f"{NAME}.tif"]
    assert (target / f"{NAME}.tif").read_bytes() == before


KILLED = """
import os, signal, sys
from rsseg.data.gaofen1 import prepare
def kill(done, total):
    if done == total:
        os.kill(os.getpid(), signal.SIGKILL)
prepare(sys.argv[1], sys.argv[2], on_progress=kill)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_run_leaves_no_final_file_and_the_next_one_cleans_up(delivered, tmp_path) -> None:
    target = tmp_path / "out"
    run = subprocess.run([sys.executable, "-c", KILLED, delivered, target], check=False)
    assert run.returncode == -signal.SIGKILL
    left = [path.name for path in target.iterdir()]
    assert left
    assert all(name.startswith(".") for name in left)
    prepare(delivered, target)
    assert [path.name for path in target.iterdir()] == [f"{NAME}.tif"]


def test_errors_are_one_sentence(tmp_path) -> None:
    with pytest.raises(RssegError) as caught:
        prepare(tmp_path / "none", tmp_path / "out")
    assert "\n" not in str(caught.value)
