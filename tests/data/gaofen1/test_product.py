"""Scenes as delivered: found, read, and refused with one sentence."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

from rsseg.data.gaofen1.product import find_products, read_product
from rsseg.errors import BandError, SceneError

NAME = "GF1_PMS1_E116.8_N39.9_20130501_L1A0000123456"


@pytest.fixture
def scene(delivered, tmp_path) -> Path:
    """A delivered folder to spoil."""
    return Path(shutil.copytree(delivered, tmp_path / delivered.name))


def file(scene: Path, kind: str, suffix: str) -> Path:
    return scene / f"{NAME}-{kind}{suffix}"


def replace_text(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_delivered_scene_is_read(delivered, miniature) -> None:
    product = read_product(delivered)
    assert (product.name, product.camera, product.year) == (NAME, "PMS1", 2013)
    assert (product.pan.height, product.pan.width) == (240, 256)
    assert (product.mss.height, product.mss.width) == (60, 64)
    assert product.pan.rpc.height_off == 480


def test_gdal_reads_the_rpb_that_was_written(delivered, miniature, models) -> None:
    """All 20 coefficients of the four polynomials, and the offsets, come back."""
    product = read_product(delivered)
    model = models[1].fit(miniature().mss)
    rpc = product.mss.rpc
    lists = (rpc.line_num_coeff, rpc.line_den_coeff, rpc.samp_num_coeff, rpc.samp_den_coeff)
    np.testing.assert_allclose(lists, model.coefficients, rtol=1e-14, atol=0)
    assert (rpc.line_off, rpc.samp_scale) == (model.offsets["line"], model.scales["samp"])


def test_the_footprint_is_where_the_camera_looked(delivered, miniature) -> None:
    west, south, east, north = read_product(delivered).pan.footprint()
    camera = miniature().pan
    corners = camera.see(*np.meshgrid([west, east], [south, north]), np.full((2, 2), 480.0))
    middle = camera.see(np.array((west + east) / 2), np.array((south + north) / 2), np.array(480.0))
    np.testing.assert_allclose(middle, [119.5, 127.5], atol=0.5)
    assert corners.min() < -0.5, "the box around a turned scene reaches beyond it"
    assert abs((north - south) * 111.0e3 - 580) < 40


def test_folders_in_a_folder_are_found(delivered, miniature, tmp_path) -> None:
    shutil.copytree(delivered, tmp_path / delivered.name)
    other = "GF1_PMS2_E116.9_N39.9_20140501_L1A0000123457"
    miniature(rows=8, columns=8).deliver(tmp_path, other)
    (tmp_path / "notes").mkdir()
    products = find_products(tmp_path)
    assert [product.name for product in products] == [NAME, other]
    assert [product.camera for product in products] == ["PMS1", "PMS2"]
    assert [product.name for product in find_products(delivered)] == [NAME]


@pytest.mark.parametrize("kind", ["PAN1", "MSS1"])
@pytest.mark.parametrize("suffix", [".rpb", ".xml"])
def test_a_missing_file_is_named(scene, kind, suffix) -> None:
    file(scene, kind, suffix).unlink()
    with pytest.raises(SceneError, match=rf"incomplete: there is no {NAME}-{kind}{suffix}"):
        read_product(scene)


def test_a_missing_multispectral_image_is_named(scene) -> None:
    file(scene, "MSS1", ".tiff").unlink()
    with pytest.raises(SceneError, match="incomplete: there is no .*-MSS1.tiff"):
        read_product(scene)


def test_multispectral_files_of_another_scene_are_not_taken(scene) -> None:
    """Their name tells."""
    for suffix in (".tiff", ".rpb", ".xml"):
        path = file(scene, "MSS1", suffix)
        path.rename(path.with_name(path.name.replace("123456", "123999")))
    with pytest.raises(SceneError, match="there is no .*123456-MSS1.tiff"):
        read_product(scene)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("2013-05-01 11:12:40", "2014-09-09 11:12:40", "expected CenterTime 2013-05-01, got 2014"),
        ("PMS1", "PMS2", "expected SensorID PMS1, got PMS2"),
    ],
)
def test_metadata_of_another_scene_are_refused(scene, old, new, words) -> None:
    replace_text(file(scene, "MSS1", ".xml"), old, new)
    with pytest.raises(SceneError, match=f"is of another scene than.*{words}"):
        read_product(scene)


def test_an_rpc_that_leads_elsewhere_is_refused(scene) -> None:
    replace_text(file(scene, "MSS1", ".rpb"), "latOffset = 39.9", "latOffset = 38.1")
    with pytest.raises(SceneError, match="its RPC does not lead to the ground of"):
        read_product(scene)


def test_an_rpb_without_numbers_is_refused(scene) -> None:
    file(scene, "PAN1", ".rpb").write_text("END;\n", encoding="ascii")
    with pytest.raises(SceneError, match="PAN1.rpb holds no RPC"):
        read_product(scene)


def write(path: Path, pixels: np.ndarray) -> None:
    """Replace an image; written elsewhere first, for GDAL takes the metadata away with the old."""
    bands, height, width = pixels.shape
    shape = {"count": bands, "height": height, "width": width, "dtype": pixels.dtype}
    elsewhere = path.parent.parent / "other.tiff"
    with rasterio.open(elsewhere, "w", driver="GTiff", **shape) as target:
        target.write(pixels)
    elsewhere.replace(path)


def test_a_missing_band_is_refused(scene) -> None:
    write(file(scene, "MSS1", ".tiff"), np.ones((3, 60, 64), np.uint16))
    with pytest.raises(BandError, match="has 3 bands, expected 4: blue, green, red, nir"):
        read_product(scene)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.ones((4, 60, 64), np.float32), "holds float32, expected digital numbers as uint16"),
        (np.ones((4, 30, 32), np.uint16), "32 x 30 pixels, expected a quarter of the 256 x 240"),
    ],
)
def test_other_pixels_are_refused(scene, pixels, words) -> None:
    write(file(scene, "MSS1", ".tiff"), pixels)
    with pytest.raises(SceneError, match=words):
        read_product(scene)


def test_a_damaged_xml_is_refused(scene) -> None:
    file(scene, "PAN1", ".xml").write_text("<ProductMetaData>", encoding="utf-8")
    with pytest.raises(SceneError, match="PAN1.xml is damaged"):
        read_product(scene)


def test_an_archive_is_to_be_unpacked(tmp_path) -> None:
    archive = tmp_path / f"{NAME}.tar.gz"
    archive.write_bytes(b"")
    for source in (archive, tmp_path):
        with pytest.raises(SceneError, match=f"tar -xzf {NAME}.tar.gz"):
            find_products(source)


def test_what_is_no_scene_is_refused(tmp_path) -> None:
    with pytest.raises(SceneError, match="holds no Gaofen-1 PMS scene, expected GF1_PMS1"):
        find_products(tmp_path)
    with pytest.raises(SceneError, match="there is no folder"):
        find_products(tmp_path / "none")


def test_two_scenes_in_one_folder_are_refused(scene) -> None:
    path = file(scene, "PAN1", ".tiff")
    shutil.copy(path, path.with_name(path.name.replace("123456", "123999")))
    with pytest.raises(SceneError, match="holds 2 panchromatic images"):
        read_product(scene)
