"""What a folder of maps tells other software: items, a table and a VRT, of what is there."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from pystac.validation import validate_dict

from rsseg import __version__
from rsseg.errors import OptionError, OutputError
from rsseg.geo.stac import Asset, Item
from rsseg.prediction import PredictOptions
from rsseg.prediction.many_scenes.outcomes import SceneOutcome
from rsseg.prediction.many_scenes.results_index import ResultsIndex, index_results, require_index
from rsseg.prediction.many_scenes.scenes import predict_scenes

WHEN = "2023-05-01T10:30:00Z"
Run = Callable[..., list[SceneOutcome]]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "maps"


@pytest.fixture
def run(out: Path, make_bundle: Any, pointwise: Any) -> Run:
    """A function that maps scenes with a pointwise network and small windows."""

    def start(*scenes: Any, folder: Any = out, **more: Any) -> list[SceneOutcome]:
        options = PredictOptions(tile_size=32, **more.pop("options", {}))
        given = {"bundle": make_bundle(), "network": pointwise()} | more
        return list(predict_scenes(scenes, folder, options=options, **given))

    return start


def at(column: float, row: float = 0, pixel: float = 0.5) -> Affine:
    return Affine(pixel, 0, 400_000 + 0.5 * column, 0, -pixel, 5_000_000 - 0.5 * row)


def require_valid(item: dict[str, Any]) -> None:
    """Check an item by pystac's own copy of the schema; those of extensions are on the web."""
    validate_dict(item | {"stac_extensions": []})


def items_in(folder: Path) -> list[pystac.Item]:
    return list(pystac.ItemCollection.from_file(str(folder / "items.json")).items)


def test_items_are_valid_and_tell_what_the_maps_are(
    run: Run, make_scene: Any, out: Path, make_bundle: Any, tmp_path: Path
) -> None:
    valid = np.random.default_rng(0).random((40, 70)) > 0.2
    scene = make_scene("in/a.tif", valid=valid, validity="nodata")
    with rasterio.open(scene, "r+") as target:
        target.update_tags(TIFFTAG_DATETIME="2022:08:09 10:11:12")
    beside = {"confidence": tmp_path / "sure", "probabilities": tmp_path / "all"}
    (outcome,) = run(scene, polygons=out, options=beside)
    index = index_results(out)
    assert (index.maps, index.notes) == (1, ())
    (raw,) = json.loads((out / "items.json").read_text())["features"]
    assert outcome.item == raw
    require_valid(raw)
    (item,) = items_in(out)
    with rasterio.open(out / "a.tif") as made:
        assert item.properties["proj:code"] == made.crs.to_string() == "EPSG:32633"
        assert item.properties["proj:shape"] == [40, 70]
        assert item.properties["proj:transform"] == list(made.transform)[:6]
        codes, counts = np.unique(made.read(1), return_counts=True)
    assert item.properties["gsd"] == 0.5
    assert item.properties["processing:software"] == {"rsseg": __version__}
    assert item.properties["datetime"] == "2022-08-09T10:11:12Z"
    assert item.bbox == pytest.approx([13.728, 45.1462, 13.7284, 45.1464], abs=1e-3)
    assert {name: asset.href for name, asset in item.assets.items()} == {
        "map": "./a.tif",
        "confidence": "../sure/a.tif",
        "probabilities": "../all/a.tif",
        "polygons": "./a.gpkg",
    }
    band = raw["assets"]["map"]["raster:bands"][0]
    assert (band["data_type"], band["nodata"]) == ("uint8", 255)
    share = 100 * valid.mean()
    assert band["statistics"]["valid_percent"] == pytest.approx(share, abs=1e-3)
    classes = raw["assets"]["map"]["classification:classes"]
    assert classes[-1] == {"value": 255, "name": "nodata", "title": "no class", "nodata": True}
    told = {known["value"]: known for known in classes[:-1]}
    for known in make_bundle().legend:
        assert told[known.code]["title"] == known.name
        assert told[known.code]["name"] == known.name.replace(" ", "_")
        assert told[known.code]["color_hint"] == "{:02X}{:02X}{:02X}".format(*known.colour)
    seen = dict(zip(codes.tolist(), counts.tolist(), strict=True))
    assert {code: told[code]["count"] for code in told if code in seen} == {
        code: count for code, count in seen.items() if code != 255
    }
    assert item.ext.proj.code == "EPSG:32633"
    assert item.assets["confidence"].ext.raster.bands[0].scale == 1 / 254
    known = item.assets["map"].ext.classification.classes[0]
    assert known.color_hint == told[known.value]["color_hint"]
    shares = raw["assets"]["probabilities"]["raster:bands"]
    assert [each["name"] for each in shares] == list(make_bundle().legend.names)
    assert shares[0]["scale"] == 1 / 254


def test_the_table_lists_the_maps(run: Run, make_scene: Any, out: Path) -> None:
    run(make_scene("in/a.tif", 40, 70), make_scene("in/b.tif", 50, 60, crs=None), polygons=None)
    index = index_results(out)
    assert [Path(file).name for file in index.files] == ["items.json", "index.parquet"]
    frame = geopandas.read_parquet(out / "index.parquet")
    assert list(frame["name"]) == ["a", "b"]
    assert list(frame["map"]) == ["./a.tif", "./b.tif"]
    assert list(frame["crs"]) == ["EPSG:32633", ""]
    assert [list(frame[side]) for side in ("height", "width")] == [[40, 50], [70, 60]]
    pixels = [sum(json.loads(text).values()) for text in frame["pixels"]]
    assert pixels == [40 * 70, 50 * 60]
    assert frame.geometry[0].centroid.x == pytest.approx(13.728, abs=1e-3)
    assert frame.geometry[1] is None
    (_, lost) = items_in(out)
    assert lost.geometry is None
    require_valid(lost.to_dict())


def test_without_pyarrow_the_table_is_a_geopackage(
    run: Run, make_scene: Any, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(make_scene("in/a.tif"))
    real = builtins.__import__

    def lacking(name: str, *rest: Any) -> Any:
        if name == "pyarrow":
            raise ImportError(name)
        return real(name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", lacking)
        index = index_results(out)
    assert [Path(file).name for file in index.files] == ["items.json", "index.gpkg"]
    assert "pip install 'rsseg[parquet]'" in index.notes[0]
    assert list(geopandas.read_file(out / "index.gpkg")["name"]) == ["a"]


def test_the_index_is_of_all_maps_that_are_there(run: Run, make_scene: Any, out: Path) -> None:
    scenes = [make_scene(f"in/{name}.tif") for name in "abc"]
    run(*scenes[:2])
    index_results(out)
    run(*scenes[1:])
    (out / "a.tif").unlink()
    assert index_results(out).maps == 2
    assert [item.id for item in items_in(out)] == ["b", "c"]
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    again = run(*scenes[1:])
    assert [outcome.state for outcome in again] == ["skipped"] * 2
    assert all(outcome.item is not None for outcome in again)
    assert "item" not in again[0].to_json()
    index_results(out)
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before
    assert index_results(out, names=["c"]).maps == 1


def test_files_of_others_are_kept(run: Run, make_scene: Any, out: Path) -> None:
    out.mkdir()
    require_index(out)
    (out / "index.vrt").write_text("precious")
    with pytest.raises(
        OutputError, match=r"index\.vrt is already there, where the list of the maps"
    ):
        require_index(out)
    require_index(out, overwrite=True)
    with pytest.raises(OptionError, match=r"index\.vrt is an input"):
        require_index(out, inputs=[out / ".." / "maps" / "index.vrt"], overwrite=True)
    (out / "index.vrt").unlink()
    run(make_scene("in/a.tif"))
    index_results(out)
    require_index(out)


def test_nothing_to_tell_of(out: Path) -> None:
    out.mkdir()
    assert index_results(out, vrt=True) == ResultsIndex(0, (str(out / "items.json"),), ())
    assert items_in(out) == []


def test_all_maps_as_one(run: Run, make_scene: Any, out: Path, read: Any) -> None:
    run(*(make_scene(f"in/{n}.tif", 40, 50, transform=at(50 * n), seed=n) for n in range(3)))
    index = index_results(out, vrt=True)
    assert (Path(index.files[-1]).name, index.notes) == ("index.vrt", ())
    side_by_side = np.hstack([read(out / f"{n}.tif") for n in range(3)])
    assert np.array_equal(read(out / "index.vrt"), side_by_side)
    run(make_scene("in/3.tif", 40, 50, transform=at(0, 40, pixel=1)))
    (out / "index.vrt").unlink()
    index = index_results(out, vrt=True)
    assert index.notes == (
        "there is no index.vrt: the maps have pixels of several sizes, "
        "expected 0.5 as ./0.tif, got 1 of ./3.tif",
    )
    assert not (out / "index.vrt").exists()


def singles(make_scene: Any, name: str, **more: Any) -> tuple[list[Path], Path]:
    """A scene as a file for each band, blue first, and as one file."""
    whole = make_scene(f"in/{name}.tif", 40, 70, **more)
    with rasterio.open(whole) as dataset:
        planes = dict(zip(("red", "green", "blue"), dataset.read(), strict=True))
    files = {
        band: make_scene(f"{band}_{name}.tif", pixels=plane[None], photometric=None)
        for band, plane in planes.items()
    }
    return [files["blue"], files["green"], files["red"]], whole


def test_an_item_of_a_file_for_each_band_is_mapped_as_one_file_is(
    run: Run, make_scene: Any, out: Path, tmp_path: Path, read: Any
) -> None:
    files, whole = singles(make_scene, "x")
    assets = [
        Asset(p.stem, str(p), "image/tiff", ("data",), (p.stem.split("_")[0],)) for p in files
    ]
    href = str(tmp_path / "in" / "x.json")
    item = Item("scene x", tuple(assets), "some", href, (("datetime", WHEN),))
    (outcome,) = run(item)
    assert outcome.state == "done", outcome.error
    assert (Path(outcome.out), outcome.scene) == (out / "scene_x.tif", href)
    run(whole, folder=tmp_path / "one")
    assert np.array_equal(read(out / "scene_x.tif"), read(tmp_path / "one" / "x.tif"))
    assert run(item)[0].state == "skipped"
    index_results(out)
    (made,) = items_in(out)
    assert made.properties["datetime"] == WHEN
    (link,) = made.get_links("derived_from")
    assert link.href == "../in/x.json"
    with rasterio.open(out / "scene_x.tif") as dataset:
        assert dataset.tags()["RSSEG_SCENE"] == "scene x.vrt"
    files[0].unlink()
    (lost,) = run(item, options={"overwrite": True})
    assert lost.state == "failed"
    assert lost.error == f"there is no file {files[0]}"


def test_the_bands_of_an_asset_are_those_its_item_tells(
    run: Run, make_scene: Any, out: Path, tmp_path: Path, read: Any
) -> None:
    whole = make_scene("in/rgb.tif", 40, 70)
    with rasterio.open(whole) as dataset:
        planes = dataset.read()
    turned = make_scene(
        "nbgr.tif", pixels=np.stack([planes[0] // 2, *planes[::-1]]), photometric=None
    )
    asset = Asset("a", str(turned), "image/tiff", ("data",), ("nir", "blue", "green", "red"))
    run(Item("x", (asset,)), whole)
    assert np.array_equal(read(out / "x.tif"), read(out / "rgb.tif"))
    named = run(Item("y", (asset, Asset("b", str(whole), "image/tiff"))), assets=["b"])
    assert named[0].state == "done"
    assert np.array_equal(read(out / "y.tif"), read(out / "rgb.tif"))
    gray = [Asset(n, str(make_scene(f"{n}.tif", bands=1)), "image/tiff") for n in ("c", "d")]
    (few,) = run(Item("y", tuple(gray)), assets=["c", "d"])
    assert str(few.error).startswith("item y has too few bands, expected 3")
    (failed,) = run(Item("z", (Asset("text", "z.json", "application/json"),)))
    assert (failed.state, failed.scene) == ("failed", "item z")
    assert "name one, or one for each band, by --asset" in str(failed.error)


def test_keys_of_sources_are_written_nowhere(run: Run, make_scene: Any, out: Path) -> None:
    asset = Asset("a", str(make_scene("in/a.tif")), "image/tiff", ("data",))
    run(Item("a", (asset,), href="https://user:word@host/a.json?sig=secret"))
    index_results(out)
    (made,) = items_in(out)
    assert made.get_links("derived_from")[0].href == "https://host/a.json"
    for path in out.rglob("*"):
        assert not path.is_file() or b"secret" not in path.read_bytes()


def test_a_schema_can_fail() -> None:
    with pytest.raises(pystac.STACValidationError):
        require_valid({"type": "Feature", "stac_version": "1.1.0", "id": "a", "links": 3})
