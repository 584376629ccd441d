"""Folders and files of a dataset, however it was unpacked."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsseg.data.datasets.layout import (
    DEPTH,
    first_files,
    folders,
    named_files,
    require_own_files,
)
from rsseg.errors import CatalogueError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_folders_are_found_in_any_case_and_the_nearest_first(tmp_path: Path) -> None:
    for name in ("b/TOP", "Top/top", "a/b/top", ".hidden/top", "__MACOSX/top", "a/topping"):
        (tmp_path / name).mkdir(parents=True)
    touch(tmp_path / "c" / "top")  # a file
    found = [path.relative_to(tmp_path.resolve()).as_posix() for path in folders(tmp_path, "top")]
    assert found == ["Top", "Top/top", "b/TOP", "a/b/top"]
    assert folders(tmp_path / "Top", "top")[0] == (tmp_path / "Top").resolve()
    assert folders(tmp_path / "none", "top") == []


def test_folders_are_looked_for_to_a_depth(tmp_path: Path) -> None:
    parts = [f"level{level}" for level in range(1, DEPTH + 2)]
    (tmp_path / Path(*parts)).mkdir(parents=True)
    assert [len(folders(tmp_path, part)) for part in parts] == [1] * DEPTH + [0]


def test_files_are_named_by_what_is_captured(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("x_2.tif", "X_10.TIF", "y_3.tif", "x_4.tif.aux.xml")))
    (tmp_path / "x_5.tif").mkdir()
    touch(tmp_path / ".x_6.tif", tmp_path / "deeper" / "x_7.tif")
    found = named_files([tmp_path], r"x_(\d+)\.tif")
    assert found == {"2": tmp_path / "x_2.tif", "10": tmp_path / "X_10.TIF"}


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "One.tif", tmp_path / "b" / "oNE.tif")
    where = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(CatalogueError, match=r"a/One\.tif and .*b/oNE\.tif are both 'oNE'"):
        named_files(where, r"(.+)\.tif")


def test_the_first_folder_name_with_files_counts(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    touch(tmp_path / "deep" / "old" / "1.tif", tmp_path / "older" / "2.tif")
    assert set(first_files(tmp_path, ["new", "old", "older"], r"(\d)\.tif")) == {"1"}
    assert first_files(tmp_path, ["new"], r"(\d)\.tif") == {}


def test_no_file_is_written_twice_or_over_a_source(tmp_path: Path) -> None:
    a, b = tmp_path / "1" / "a.png", tmp_path / "2" / "a.png"
    out = tmp_path / "out"
    require_own_files([(a, [out / "a.tif"]), (b, [out / "b.tif"])], [a, b])
    with pytest.raises(CatalogueError, match=r"1/a\.png and .*2/a\.png would both become A\.tif"):
        require_own_files([(a, [out / "a.tif"]), (b, [out / "A.tif"])], [a, b])
    with pytest.raises(CatalogueError, match=r"1/a\.png would be overwritten; choose another"):
        require_own_files([(a, [out / ".." / "1" / "a.png"])], [a, b])
