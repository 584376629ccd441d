"""Objects in stores: whole or not there, patience with failures, reasons in one line."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsseg.errors import OutputError, SceneError
from rsseg.geo import gdal_files, objects
from rsseg.geo.objects import (
    is_address,
    is_object,
    joined,
    object_headers,
    object_names,
    object_size,
    put_object,
    read_object,
    remove_objects,
    require_store,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file.bin"
    path.write_bytes(np.random.default_rng(0).bytes(100_003))
    return path


def kept(tmp_path: Path) -> list[str]:
    """The files in the bucket."""
    bucket = tmp_path / "store" / "maps"
    return sorted(str(p.relative_to(bucket)) for p in bucket.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    "name", ["s3://b/a.tif", "gs://b/a", "az://b/a", "/vsis3/b/a", "/vsimem/a"]
)
def test_names_of_objects(name: str) -> None:
    assert is_object(name)
    assert not is_address(name)
    assert joined("s3://b/maps/", "a.tif") == "s3://b/maps/a.tif"


@pytest.mark.parametrize(
    "name", ["a.tif", "/data/s3/a.tif", "s3/a.tif", "https://host/a.tif", "C:/a"]
)
def test_names_of_others(name: str) -> None:
    assert not is_object(name)
    assert is_address(name) == name.startswith("https")
    assert joined("maps", "a.tif") == Path("maps/a.tif")


def test_headers_are_those_of_the_store(file: Path, store: Any) -> None:
    put_object(file, "s3://maps/a.bin")
    told = object_headers("s3://maps/a.bin")
    assert told["content-range"].endswith(f"/{file.stat().st_size}")
    assert all(name == name.lower() for name in told)
    kept_in_memory = "/vsimem/rsseg-headers/a.bin"
    put_object(file, kept_in_memory)
    assert object_headers(kept_in_memory) == {}
    remove_objects([kept_in_memory])
    with pytest.raises(SceneError, match=r"^there is no file s3://maps/none\.bin$"):
        object_headers("s3://maps/none.bin")


@pytest.mark.parametrize("folder", ["/vsimem/rsseg-tests", "s3://maps/deep/er"])
def test_a_file_and_back(file: Path, store: Any, folder: str) -> None:
    name = f"{folder}/a.bin"
    assert object_size(name) is None
    put_object(file, name)
    assert object_size(name) == 100_003
    assert read_object(name) == file.read_bytes()
    file.write_bytes(b"other")
    put_object(file, name)
    assert read_object(name) == b"other"
    assert remove_objects([name])
    assert object_size(name) is None
    with pytest.raises(SceneError, match="there is no file"):
        read_object(name)


def test_an_empty_file(tmp_path: Path, store: Any) -> None:
    (tmp_path / "empty").touch()
    put_object(tmp_path / "empty", "s3://maps/empty")
    assert object_size("s3://maps/empty") == 0
    assert read_object("s3://maps/empty") == b""


def test_a_small_file_is_one_request(file: Path, store: Any) -> None:
    put_object(file, "s3://maps/a.bin")
    assert store.written == ["/maps/a.bin"]


@pytest.mark.slow
def test_a_large_file_comes_whole(tmp_path: Path, store: Any) -> None:
    large = tmp_path / "large"
    large.write_bytes(np.random.default_rng(1).bytes(60_000_000))
    put_object(large, "s3://maps/large")
    assert store.written == ["/maps/large"]
    assert (tmp_path / "store/maps/large").read_bytes() == large.read_bytes()


@pytest.mark.parametrize("how", [500, 503, "drop"])
def test_passing_failures_of_writing_are_overcome(file: Path, store: Any, how: int | str) -> None:
    store.refuse(how, times=2)
    put_object(file, "s3://maps/a.bin")
    assert read_object("s3://maps/a.bin") == file.read_bytes()


def test_passing_failures_of_reading_are_overcome(file: Path, store: Any) -> None:
    put_object(file, "s3://maps/a.bin")
    for how in (500, "drop"):
        store.fail(how, times=2)
        assert read_object("s3://maps/a.bin") == file.read_bytes()


@pytest.mark.parametrize("size", [10_000, 100_003, 9_000_000])
def test_an_answer_that_was_cut_off_is_not_taken_for_all(
    tmp_path: Path, store: Any, size: int
) -> None:
    (tmp_path / "store/maps/a.bin").write_bytes(np.random.default_rng(0).bytes(size))
    store.fail("cut", times=2)
    assert read_object("s3://maps/a.bin") == (tmp_path / "store/maps/a.bin").read_bytes()
    store.fail("cut", times=-1)
    with pytest.raises(SceneError, match=rf"a\.bin cannot be read: \d+ bytes have come of {size}"):
        read_object("s3://maps/a.bin")


@pytest.mark.parametrize("how", [500, 403, "drop"])
def test_lasting_failures_leave_nothing(
    file: Path, store: Any, tmp_path: Path, how: int | str
) -> None:
    store.refuse(how, times=-1)
    with pytest.raises(OutputError, match=r"s3://maps/a\.bin cannot be written, tried 3") as caught:
        put_object(file, "s3://maps/a.bin")
    assert "may the key that is set write" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert kept(tmp_path) == []


def test_what_cannot_be_read_to_its_end_is_not_there(
    file: Path, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing a handle completes an object, so it is not closed."""
    real, calls = Path.open, []

    class Broken:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self.inner.close()

        def read(self, size: int) -> bytes:
            calls.append(size)
            if len(calls) % 2 == 0:
                raise OSError("the disk has gone")
            return self.inner.read(1000)

    monkeypatch.setattr(Path, "open", lambda self, *rest: Broken(real(self, *rest)))
    with pytest.raises(OutputError, match="the disk has gone"):
        put_object(file, "s3://maps/a.bin")
    assert kept(tmp_path) == []
    assert store.written == []


def test_parts_of_an_upload_that_failed_are_removed(
    file: Path, store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store would keep them for ever, unseen and at a price."""
    monkeypatch.setenv("VSIS3_CHUNK_SIZE_BYTES", "30000")
    pending = []
    real = gdal_files.abort_uploads

    def noted(name: str) -> None:
        pending.append(dict(store.pending))
        real(name)

    monkeypatch.setattr(gdal_files, "abort_uploads", noted)

    class Breaking(io.FileIO):
        def read(self, size: int = -1) -> bytes:
            if self.tell():
                raise OSError("the disk has gone")
            return super().read(70_000)

    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, *rest: Breaking(self) if self == file else opened(self, *rest)
    )
    with pytest.raises(OutputError, match="the disk has gone"):
        put_object(file, "s3://maps/a.bin")
    assert len(pending) == 1
    assert len(pending[0]) == 3, "one for each attempt"
    assert store.pending == {}
    assert kept(tmp_path) == []


def test_what_arrives_short_is_told(
    file: Path, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "object_size", lambda name: 7)
    with pytest.raises(OutputError, match="7 bytes have arrived of 100003"):
        put_object(file, "s3://maps/a.bin")


@pytest.mark.parametrize("folder", ["/vsimem/rsseg-names", "s3://maps/deep"])
def test_what_lies_in_a_folder(file: Path, store: Any, folder: str) -> None:
    store.tell(page=2)
    assert object_names(folder, "z") == []
    for name in ("z", "a &b", "c/d", "e"):
        put_object(b"1234", f"{folder}/{name}")
    assert sorted(object_names(folder, "z")) == ["a &b", "c", "e", "z"]
    assert read_object(f"{folder}/a &b") == b"1234"
    put_object(b"5", f"{folder}/f")
    assert "f" in object_names(folder, "z"), "nothing is remembered"
    assert remove_objects([f"{folder}/{name}" for name in ("z", "a &b", "c/d", "e", "f")])
    assert object_names(folder, "z") == []


def test_many_objects_are_deleted_by_one_request(store: Any) -> None:
    names = [f"s3://maps/part_{number}" for number in range(5)]
    for name in names:
        put_object(b"1", name)
    assert remove_objects(names)
    assert [count for kind, count in store.asked.items() if "DELETE" in kind] == [1]
    assert not remove_objects(names[:1]) or object_size(names[0]) is None


def test_a_folder_that_may_not_be_listed(store: Any) -> None:
    put_object(b"1", "s3://maps/deep/z")
    store.tell(list_how=403)
    with pytest.raises(OutputError, match="s3://maps/deep cannot be listed.*read and list") as told:
        object_names("s3://maps/deep", "z")
    assert "\n" not in str(told.value)


def test_no_bucket(file: Path, store: Any) -> None:
    with pytest.raises(OutputError, match=r"s3://none/a\.bin cannot be written.*bucket"):
        put_object(file, "s3://none/a.bin")


def test_a_store_is_tried_before_any_work(file: Path, store: Any, tmp_path: Path) -> None:
    require_store("s3://maps/a.tif", overwrite=False)
    assert kept(tmp_path) == []
    put_object(file, "s3://maps/a.tif")
    with pytest.raises(OutputError, match="already there; add --overwrite"):
        require_store("s3://maps/a.tif", overwrite=False)
    require_store("s3://maps/a.tif", overwrite=True)
    store.refuse(403, times=-1)
    with pytest.raises(OutputError, match="may the key that is set write"):
        require_store("s3://maps/a.tif", overwrite=True)


def test_blanks_in_an_address(file: Path, server: Any) -> None:
    file.rename(file.with_name("größe 1.bin"))
    data = read_object(f"{server.url}/gr%C3%B6%C3%9Fe%201.bin")
    assert read_object(f"{server.url}/größe 1.bin") == data


def test_an_address_is_fetched(file: Path, server: Any) -> None:
    address = f"{server.url}/file.bin?signature=secret"
    server.fail(500, times=2)
    assert read_object(address) == file.read_bytes()
    for how, words in ((404, "there is no file"), (403, "may not be read (HTTP 403)")):
        server.fail(how)
        with pytest.raises(SceneError, match=re.escape(words)) as caught:
            read_object(address)
        assert "secret" not in str(caught.value)
    server.fail("drop", times=-1)
    with pytest.raises(SceneError, match="cannot be read, tried 3 times"):
        read_object(address)
