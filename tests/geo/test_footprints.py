"""Tables of footprints: what they name, and what was written read by others."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely

from rsseg.errors import MissingExtra, OptionError, SceneError
from rsseg.geo.footprints import is_table, read_footprints, write_footprints

BOXES = [shapely.box(n, 0, n + 1, 1) for n in range(2)]
SUFFIXES = ("parquet", "gpkg", "geojson", "fgb")


def table(target: Path, **columns: Any) -> Path:
    frame = geopandas.GeoDataFrame(columns, geometry=BOXES, crs="EPSG:4326")
    if target.suffix == ".parquet":
        frame.to_parquet(target)
    else:
        frame.to_file(target)
    return target


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_files_of_a_table(tmp_path: Path, suffix: str) -> None:
    names = ["a.tif", "https://host/b.tif?sig=1"]
    path = table(
        tmp_path / f"t.{suffix}", id=["x", "y"], path=names, other=["/c.tif", "s3://b/d.tif"]
    )
    assert is_table(path)
    # FlatGeobuf has an order of its own
    assert sorted(read_footprints(path)) == [str(tmp_path / "a.tif"), names[1]]
    assert sorted(read_footprints(path, "other")) == ["/c.tif", "s3://b/d.tif"]
    with pytest.raises(OptionError, match="has no column 'others', got .*; did you mean 'other'"):
        read_footprints(path, "others")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_table_that_names_no_file(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(OptionError, match="no column that is known to name files, expected path"):
        read_footprints(table(tmp_path / f"t.{suffix}", id=["x", "y"]))
    path = table(tmp_path / f"u.{suffix}", path=["a.tif", None])
    with pytest.raises(SceneError, match="1 of 2 rows of .* name no file"):
        read_footprints(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(SceneError, match="cannot be read as"):
        read_footprints(path)
    with pytest.raises(SceneError, match="there is no file"):
        read_footprints(tmp_path / f"none.{suffix}")


def test_a_geopackage_of_pixels_is_a_scene(tmp_path: Path, make_scene: Any) -> None:
    scene = make_scene("scene.gpkg", driver="GPKG", photometric=None, alpha=None)
    assert not is_table(scene)
    assert not is_table(make_scene())


@pytest.mark.parametrize("suffix", ["parquet", "gpkg"])
def test_what_is_written_is_read_by_others(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"index.{suffix}"
    both = shapely.MultiPolygon([BOXES[1], shapely.box(5, 5, 6, 6)])
    columns = {"name": ["a", "b", "ü"], "width": [7, 8, 9], "gsd": [0.5, float("nan"), 1.0]}
    for _ in range(2):  # the second time in its place
        write_footprints(path, [BOXES[0], both, None], columns)
    read = geopandas.read_parquet if suffix == "parquet" else geopandas.read_file
    frame = read(path)
    assert list(frame["name"]) == ["a", "b", "ü"]
    assert list(frame["width"]) == [7, 8, 9]
    assert np.array_equal(frame["gsd"], [0.5, np.nan, 1.0], equal_nan=True)
    assert frame.crs.to_authority() in (("OGC", "CRS84"), ("EPSG", "4326"))
    assert frame.geometry[0].equals(BOXES[0])
    assert frame.geometry[1].equals(both)
    assert frame.geometry[2] is None
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_without_pyarrow_its_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table(tmp_path / "t.parquet", path=["a", "b"])
    real = builtins.__import__

    def lacking(name: str, *rest: Any) -> Any:
        if name == "pyarrow":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(MissingExtra, match=r"pip install 'rsseg\[parquet\]'"):
        read_footprints(path)
    with pytest.raises(MissingExtra, match=r"pip install 'rsseg\[parquet\]'"):
        write_footprints(tmp_path / "o.parquet", [None], {"name": ["a"]})
    assert not (tmp_path / "o.parquet").exists()
