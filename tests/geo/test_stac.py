"""Items that STAC lists: all of them, with their files where they are."""

from __future__ import annotations

import builtins
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
import pytest

from rsseg.errors import MissingExtra, SceneError
from rsseg.geo.stac import Asset, Item, is_stac_name, read_items

COG = pystac.MediaType.COG
WHEN = datetime(2023, 5, 1, 10, 30, tzinfo=UTC)


def item(name: str, href: str = "./scene.tif", **fields: Any) -> pystac.Item:
    made = pystac.Item(name, None, None, WHEN, {})
    made.add_asset("image", pystac.Asset(href, media_type=COG, roles=["data"], extra_fields=fields))
    return made


def features(*items: pystac.Item, **more: Any) -> dict[str, Any]:
    told = [each.to_dict(include_self_link=False) for each in items]
    return {"type": "FeatureCollection", "features": told, **more}


def write(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """A catalogue with an item of its own, and one with two in a collection below it."""
    root = pystac.Catalog("root", "all")
    extent = pystac.Extent(
        pystac.SpatialExtent([[0, 0, 1, 1]]), pystac.TemporalExtent([[WHEN, None]])
    )
    below = pystac.Collection("below", "some", extent)
    root.add_child(below)
    root.add_item(item("own"))
    for name in ("a", "b"):
        below.add_item(item(name, f"../../data/{name}.tif"))
    root.normalize_hrefs(str(tmp_path / "root"))
    root.save(pystac.CatalogType.SELF_CONTAINED)
    return tmp_path / "root" / "catalog.json"


def test_a_catalogue_is_walked(catalogue: Path) -> None:
    found = read_items(catalogue)
    assert found is not None
    told = {each.id: each for each in found}
    assert sorted(told) == ["a", "b", "own"]
    folder = catalogue.parent
    assert told["own"].href == str(folder / "own" / "own.json")
    assert told["own"].assets[0].href == str(folder / "own" / "scene.tif")
    assert told["a"].collection == "below"
    assert Path(told["a"].assets[0].href).resolve() == folder / "data" / "a.tif"
    below = read_items(folder / "below" / "collection.json")
    assert below is not None
    assert [each.id for each in below] == ["a", "b"]


def test_a_catalogue_on_a_server(catalogue: Path, server: Any) -> None:
    server.tell(folder=str(catalogue.parent))
    server.fail(500, times=2)
    found = read_items(f"{server.url}/catalog.json")
    assert found is not None
    assert {each.assets[0].href for each in found} == {
        f"{server.url}/own/scene.tif",
        f"{server.url}/data/a.tif",
        f"{server.url}/data/b.tif",
    }
    server.fail(500, times=-1, beyond=-1)
    with pytest.raises(SceneError, match="tried 3 times"):
        read_items(f"{server.url}/catalog.json")
    server.fail(500, times=0)
    (catalogue.parent / "own" / "own.json").unlink()
    with pytest.raises(SceneError, match=rf"^there is no file {server.url}/own/own\.json"):
        read_items(f"{server.url}/catalog.json")


def test_a_catalogue_in_a_store(catalogue: Path, store: Any, tmp_path: Path) -> None:
    catalogue.parent.rename(tmp_path / "store" / "maps" / "root")
    found = read_items("s3://maps/root/catalog.json")
    assert found is not None
    assert {each.assets[0].href for each in found} == {
        "s3://maps/root/own/scene.tif",
        "s3://maps/root/data/a.tif",
        "s3://maps/root/data/b.tif",
    }


def test_an_item_collection(tmp_path: Path) -> None:
    far = item("far", "https://host/x/far.tif?sig=1")
    path = write(tmp_path / "items.json", features(item("near"), far))
    found = read_items(path)
    assert found == [
        Item(
            "near",
            (Asset("image", str(tmp_path / "scene.tif"), COG, ("data",)),),
            times=(("datetime", "2023-05-01T10:30:00Z"),),
        ),
        Item(
            "far",
            (Asset("image", "https://host/x/far.tif?sig=1", COG, ("data",)),),
            times=(("datetime", "2023-05-01T10:30:00Z"),),
        ),
    ]
    assert read_items(write(tmp_path / "one.json", far.to_dict())) is not None


def test_the_pages_of_an_item_collection(tmp_path: Path, server: Any) -> None:
    url = server.url
    pages = [("1.json", "a", "2.json"), ("2.json", "b", "3.json"), ("3.json", "c", "1.json")]
    for name, own, following in pages:
        links = [{"rel": "next", "href": f"{url}/{following}"}]
        write(tmp_path / name, features(item(own), links=links))
    found = read_items(f"{url}/1.json")
    assert found is not None
    assert [each.id for each in found] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("fields", "bands"),
    [
        ({}, ()),
        (
            {"bands": [{"name": "B04", "eo:common_name": "Red"}, {"name": "B08"}, {}]},
            ("red", "b08", ""),
        ),
        ({"eo:bands": [{"name": "B8A", "common_name": "nir08"}]}, ("nir08",)),
        ({"eo:common_name": "green"}, ("green",)),
    ],
)
def test_names_of_bands(tmp_path: Path, fields: dict[str, Any], bands: tuple[str, ...]) -> None:
    found = read_items(write(tmp_path / "items.json", features(item("a", **fields))))
    assert found is not None
    assert found[0].assets[0].bands == bands


def test_a_span_of_time(tmp_path: Path) -> None:
    span = {"start_datetime": "2023-05-01T00:00:00Z", "end_datetime": "2023-06-01T00:00:00Z"}
    made = pystac.Item("a", None, None, None, dict(span))
    found = read_items(write(tmp_path / "items.json", features(made)))
    assert found is not None
    assert dict(found[0].times) == span


def test_other_geojson_is_none_of_it(tmp_path: Path) -> None:
    plain = {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {}}]}
    assert read_items(write(tmp_path / "plain.geojson", plain)) is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"type": "Point"}, "is no STAC, expected an item, a collection or a catalogue"),
        ([1], "is no STAC, got a JSON list"),
        ({"type": "Catalog", "id": "c"}, "cannot be read as STAC: "),
        ({"type": "Feature", "stac_version": "1.0.0", "id": "x"}, "cannot be read as STAC: "),
        (
            {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "description": "", "links": []},
            "lists no item",
        ),
    ],
)
def test_what_is_no_stac_is_refused(tmp_path: Path, data: Any, words: str) -> None:
    with pytest.raises(SceneError, match=words) as caught:
        read_items(write(tmp_path / "it.json", data))
    assert "it.json" in str(caught.value)


def test_a_link_to_nowhere_is_told(catalogue: Path) -> None:
    (catalogue.parent / "below" / "b" / "b.json").unlink()
    with pytest.raises(SceneError, match=r"b/b\.json"):
        read_items(catalogue)
    with pytest.raises(SceneError, match="there is no file"):
        read_items(catalogue.with_name("none.json"))
    catalogue.write_text("{")
    with pytest.raises(SceneError, match="is no JSON"):
        read_items(catalogue)


def test_without_pystac_its_extra_is_named(
    catalogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def lacking(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "pystac":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(MissingExtra, match=r"pip install 'rsseg\[stac\]'"):
        read_items(catalogue)


def test_names_of_stac_files() -> None:
    assert is_stac_name("a/collection.json")
    assert is_stac_name("https://host/catalog.JSON?token=1")
    assert not is_stac_name("a.tif")
