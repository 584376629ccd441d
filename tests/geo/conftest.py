"""A server of files on loopback, for scenes over a network."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest


class Server:
    """What a test says to the server and asks of it; see ``range_server.py``.

    Args:
        url: Its address, without a slash at the end.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def tell(self, **changes: Any) -> None:
        """Change what it does."""
        with urlopen(f"{self.url}/.book", data=json.dumps(changes).encode()):
            pass

    def fail(self, how: int | str, times: int = 1, beyond: int = -1) -> None:
        """Let the next requests for bytes beyond an offset fail; for ever if ``times`` < 0."""
        self.tell(how=how, times=times, beyond=beyond)

    def refuse(self, how: int | str, times: int = 1) -> None:
        """Let the next writings fail; for ever if ``times`` < 0."""
        self.tell(put_how=how, put_times=times)

    @property
    def written(self) -> list[str]:
        """Paths of the objects that were written, in order."""
        with urlopen(f"{self.url}/.book") as answer:
            return list(json.load(answer)["written"])

    @property
    def asked(self) -> dict[str, int]:
        """How often each kind of request came, by method and name; numbers of shards left out."""
        with urlopen(f"{self.url}/.book") as answer:
            return dict(json.load(answer)["asked"])

    @property
    def pending(self) -> dict[str, str]:
        """Paths of the multipart uploads that were begun and neither completed nor aborted."""
        with urlopen(f"{self.url}/.book") as answer:
            return dict(json.load(answer)["pending"])

    @property
    def seen(self) -> list[tuple[str, str, int | None]]:
        """Method, path and first byte asked for of each request so far."""
        with urlopen(f"{self.url}/.book") as answer:
            return [tuple(each) for each in json.load(answer)["seen"]]


@contextmanager
def serving(folder: Path, program: str = "range_server.py") -> Iterator[Server]:
    """A server of a folder while the context lasts, in a process of its own."""
    command = [sys.executable, str(Path(__file__).with_name(program))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        server = Server(process.stdout.readline().strip())
        server.tell(folder=str(folder))
        try:
            yield server
        finally:
            process.terminate()


@contextmanager
def storing(folder: Path, environment: pytest.MonkeyPatch) -> Iterator[Server]:
    """An object store of a folder, each folder in it a bucket, which GDAL takes for that of S3."""
    with serving(folder, "object_server.py") as server:
        for name, value in {
            "AWS_S3_ENDPOINT": server.url.removeprefix("http://"),
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_NO_SIGN_REQUEST": "YES",
            "AWS_REGION": "eu-central-1",
            "GDAL_HTTP_RETRY_DELAY": "0.01",
            "GDAL_HTTP_MAX_RETRY": "1",
        }.items():
            environment.setenv(name, value)
        yield server


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An object store with the empty bucket ``maps``, which is ``tmp_path / "store/maps"``."""
    (tmp_path / "store" / "maps").mkdir(parents=True)
    with storing(tmp_path / "store", monkeypatch) as server:
        yield server


@pytest.fixture(scope="session")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that lives as long as the tests."""
    with serving(tmp_path_factory.mktemp("served")) as server:
        yield server


@pytest.fixture
def server(running_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, of ``tmp_path``, which GDAL asks again without waiting long."""
    monkeypatch.setenv("GDAL_HTTP_RETRY_DELAY", "0.01")
    known = ["ETag", "Last-Modified"]
    running_server.tell(
        folder=str(tmp_path), seen=[], how=None, times=0, validators=known, ranges=True
    )
    return running_server
