"""Which scenes are meant, and what their maps are called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsseg.errors import OptionError, SceneError
from rsseg.geo.scene_list import find_scenes, is_many, output_names
from rsseg.geo.stac import Item


def test_a_folder_is_its_rasters_by_name(tmp_path: Path) -> None:
    for name in ("b.TIF", "a.tif", "c.vrt", "a.tif.ovr", "a.tif.aux.xml", ".d.tif", "notes.md"):
        (tmp_path / name).touch()
    (tmp_path / "e.tif").mkdir()
    assert is_many(tmp_path)
    assert find_scenes([tmp_path]) == [str(tmp_path / name) for name in ("a.tif", "b.TIF", "c.vrt")]


def test_a_list_is_its_lines(tmp_path: Path) -> None:
    text = "# of May\n a.tif \n\nfar/b.tif\n/data/c.tif\nhttps://host/d.tif?sig=1\n/vsis3/x/e.tif\n"
    (tmp_path / "scenes.txt").write_text(text)
    assert is_many(tmp_path / "scenes.txt")
    assert find_scenes([tmp_path / "scenes.txt", "f.tif"]) == [
        str(tmp_path / "a.tif"),
        str(tmp_path / "far" / "b.tif"),
        "/data/c.tif",
        "https://host/d.tif?sig=1",
        "/vsis3/x/e.tif",
        "f.tif",
    ]


def test_items_and_tables_stand_for_what_they_list(tmp_path: Path) -> None:
    asset = {"href": "a.tif", "type": "image/tiff"}
    times = {"datetime": "2023-05-01T00:00:00Z"}
    item = {"type": "Feature", "stac_version": "1.0.0", "id": "x", "geometry": None, "links": []}
    item |= {"properties": times, "assets": {"image": asset}}
    listed, plain = tmp_path / "items.json", tmp_path / "plain.geojson"
    listed.write_text(json.dumps({"type": "FeatureCollection", "features": [item]}))
    row = {"type": "Feature", "geometry": None, "properties": {"path": "b.tif", "more": "c.tif"}}
    plain.write_text(json.dumps({"type": "FeatureCollection", "features": [row]}))
    assert is_many(listed)
    assert is_many("https://host/catalog.json?token=1")
    found = find_scenes([listed, plain, "d.tif"])
    assert isinstance(found[0], Item)
    assert (found[0].id, found[0].assets[0].href) == ("x", str(tmp_path / "a.tif"))
    assert found[1:] == [str(tmp_path / "b.tif"), "d.tif"]
    assert find_scenes([plain], "more") == [str(tmp_path / "c.tif")]


def test_outputs_of_items_are_called_by_their_ids() -> None:
    scenes = [Item("S2/a b:1", ()), Item("x", (), "one"), Item("x", (), "two"), "y.tif"]
    assert list(output_names(scenes).values()) == ["S2_a_b_1", "one_x", "two_x", "y"]
    twice = Item("x", (), href="https://host/x.json?key=1")
    with pytest.raises(OptionError, match=r"^https://host/x\.json is named twice"):
        output_names([twice, twice])


def test_files_and_addresses_stand_for_themselves(tmp_path: Path) -> None:
    for name in ("a.tif", "https://host/list.txt", "/vsicurl/https://host/a.tif"):
        assert not is_many(name)
        assert find_scenes([name]) == [name]


def test_nothing_to_find_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match="holds no scene"):
        find_scenes([tmp_path])
    with pytest.raises(SceneError, match=r"there is no file .*none\.txt"):
        find_scenes([tmp_path / "none.txt"])
    (tmp_path / "scenes.txt").write_text("# nothing\n")
    with pytest.raises(SceneError, match="names no scene"):
        find_scenes([tmp_path / "scenes.txt"])
    (tmp_path / "scenes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SceneError, match="cannot be read"):
        find_scenes([tmp_path / "scenes.txt"])


@pytest.mark.parametrize(
    ("scenes", "names"),
    [
        (["x/a.tif", "b.vrt"], ["a", "b"]),
        (["x/a.tif", "y/a.tif", "y/b.tif"], ["x_a", "y_a", "b"]),
        (["p/x/a.tif", "q/x/a.tif"], ["p_x_a", "q_x_a"]),
        (["a.tif", "y/a.tif"], ["a", "y_a"]),
        (["x/A.tif", "y/a.tif"], ["x_A", "y_a"]),
        (["/x/a.tif", "/x/x_a.tif"], ["a", "x_a"]),
        (["https://u:p@host/s1/TCI.tif?sig=1", "https://host/s2/TCI.tif"], ["s1_TCI", "s2_TCI"]),
    ],
)
def test_outputs_have_names_of_their_own(scenes: list[str], names: list[str]) -> None:
    assert list(output_names(scenes).values()) == names


def test_what_cannot_be_told_apart_is_refused() -> None:
    with pytest.raises(OptionError, match="named twice"):
        output_names(["a.tif", "a.tif"])
    with pytest.raises(OptionError, match=r"x/a\.tif and x/a\.vrt would have the same output"):
        output_names(["x/a.tif", "x/a.vrt"])
