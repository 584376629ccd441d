"""GeoParquet as its specification and its readers want it."""

import json

import geopandas
import numpy as np
import pyproj
import pytest
import shapely
from rasterio.crs import CRS

from rsseg.legend import LAND_COVER
from rsseg.vectorise import rows
from rsseg.vectorise.geoparquet import write_geoparquet
from rsseg.vectorise.layers import write_layers
from rsseg.vectorise.rows import Layer, Rows

parquet = pytest.importorskip("pyarrow.parquet")

UTM = CRS.from_epsg(32633)


def table(count=20):
    x = 400_000 + 10 * np.arange(count)
    polygons = shapely.box(x, 5_000_000, x + 10, 5_000_000 + 1 + np.arange(count))
    codes = (np.arange(count) % 3).astype(np.int32)
    confidence = np.where(codes == 0, np.nan, 0.5)
    names = np.array(LAND_COVER.names, object)[codes]
    return Rows.of(
        polygons, codes, names, shapely.area(polygons), shapely.length(polygons), confidence
    )


def test_metadata(tmp_path):
    path = tmp_path / "a.parquet"
    write_geoparquet(path, Layer("a", UTM, confidence=True), [table()])
    metadata = json.loads(parquet.read_metadata(path).metadata[b"geo"])
    assert metadata["version"] == "1.1.0"
    column = metadata["columns"][metadata["primary_column"]]
    assert (column["encoding"], column["geometry_types"]) == ("WKB", ["Polygon"])
    assert column["orientation"] == "counterclockwise"
    assert column["bbox"] == [400_000, 5_000_000, 400_200, 5_000_020]
    sides = ("xmin", "ymin", "xmax", "ymax")
    assert column["covering"] == {"bbox": {side: ["bbox", side] for side in sides}}
    assert pyproj.CRS.from_json_dict(column["crs"]).to_epsg() == 32633


def test_columns(tmp_path):
    path = tmp_path / "a.parquet"
    write_geoparquet(path, Layer("a", UTM, confidence=True), [table()])
    found = parquet.read_table(path)
    kinds = {name: str(found.schema.field(name).type) for name in found.schema.names}
    assert kinds == {
        "class_id": "int32",
        "class": "string",
        "area_m2": "double",
        "perimeter_m": "double",
        "mean_conf": "double",
        "geometry": "binary",
        "bbox": "struct<xmin: double not null, ymin: double not null, xmax: double not null, "
        "ymax: double not null>",
    }
    assert found["mean_conf"].null_count == (table().codes == 0).sum()
    boxes = np.array([list(box.values()) for box in found["bbox"].to_pylist()])
    assert np.array_equal(boxes, shapely.bounds(table().polygons))
    assert geopandas.read_parquet(path).crs.to_epsg() == 32633


def test_batches_are_row_groups_and_a_window_reads_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "_BATCH", 4)
    path = tmp_path / "a.parquet"
    write_layers(path, Layer("a", UTM, confidence=True), [table()], lambda: LAND_COVER)
    assert parquet.read_metadata(path).num_row_groups == 5
    found = geopandas.read_parquet(path, bbox=(400_041, 5_000_000, 400_059, 5_000_001))
    assert found["class_id"].tolist() == [1, 2]


def test_a_crs_without_a_code_is_kept(tmp_path):
    own = "+proj=laea +lat_0=47.5 +lon_0=14.25 +datum=WGS84 +units=m +type=crs"
    path = tmp_path / "a.parquet"
    write_geoparquet(path, Layer("a", CRS.from_string(own), confidence=True), [table()])
    assert geopandas.read_parquet(path).crs.equals(own)
