"""``rsseg view`` on the command line, and the server it starts."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from click.testing import CliRunner
from rasterio.crs import CRS

import rsseg.view
from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA
from rsseg_cli.main import main

CODE = "from rsseg_cli.main import main; main()"
Server = tuple[subprocess.Popen, int]


@pytest.fixture
def land_map(tmp_path: Path) -> Path:
    return _write_map(tmp_path / "map.tif", 64)


def _write_map(path: Path, side: int) -> Path:
    grid = Grid(side, side, Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000), CRS.from_epsg(32633))
    codes = np.random.default_rng(0).integers(0, 5, (1, side, side), np.uint8)
    write_raster(path, codes, grid, nodata=NODATA, legend=LAND_COVER)
    return path


@contextmanager
def _started(*arguments: object) -> Iterator[Server]:
    """A running ``rsseg view``, and its port."""
    call = [sys.executable, "-c", CODE, "view", *map(str, arguments), "--no-browser", "--json"]
    with subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            told = json.loads(server.stdout.readline())
            assert told["address"] == f"http://127.0.0.1:{told['port']}/"
            yield server, told["port"]
        finally:
            server.terminate()  # softly, so that its temporary folder goes
            try:
                server.wait(timeout=20)
            finally:
                server.kill()


def _ask(port: int, raw: bytes) -> bytes:
    """The answer to the bytes of a request."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(raw)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


def _get(port: int, address: str, host: str | None = None) -> bytes:
    host = host or f"127.0.0.1:{port}"
    return _ask(
        port, f"GET {address} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    )


@pytest.mark.slow
def test_it_answers_this_machine_alone(tmp_path: Path) -> None:
    path = _write_map(tmp_path / "map.tif", 64)
    (tmp_path / "secret.txt").write_text("secret")
    with _started(path) as (server, port):
        assert _get(port, "/").startswith(b"HTTP/1.1 200 ")
        assert b'"name":"map.tif"' in _get(port, "/map")
        for address in (
            "/../secret.txt",
            f"/{tmp_path}/secret.txt",
            "/page/../../../../../../../../../../etc/passwd",
            "/page/%2e%2e%2f%2e%2e%2fpyproject.toml",
            "/secret.txt",
            f"http://127.0.0.1:{port}/map",
            "/map.tif",
            "*",
        ):
            answer = _get(port, address)
            assert answer.split(b" ", 2)[1] in (b"404", b"400"), address
            assert b"secret" not in answer.partition(b"\r\n\r\n")[2]
            assert b"root:" not in answer
        assert _get(port, "/map", "evil.example").startswith(b"HTTP/1.1 421 ")
        assert _get(port, "/map", f"evil.example:{port}").startswith(b"HTTP/1.1 421 ")
        assert _ask(port, b"GET /map HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        host = f"Host: 127.0.0.1:{port}\r\nConnection: close\r\n"
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
            told = _ask(port, f"{method} /map HTTP/1.1\r\n{host}Content-Length: 0\r\n\r\n".encode())
            assert told.startswith(b"HTTP/1.1 405 "), method
        origin = f"GET /map HTTP/1.1\r\n{host}Origin: http://evil.example\r\n\r\n"
        assert _ask(port, origin.encode()).startswith(b"HTTP/1.1 403 ")
        assert _ask(port, b"no HTTP at all\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert _ask(port, f"GET /{'a' * 100_000} HTTP/1.1\r\n{host}\r\n".encode())[9:10] == b"4"
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n"
        socketed = f"GET /map HTTP/1.1\r\n{host}{upgrade}\r\n"
        assert b" 101 " not in _ask(port, socketed.encode())
        assert _get(port, "/").startswith(b"HTTP/1.1 200 "), "it is still there"
        others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}
        for name in others - {"127.0.0.1", "127.0.1.1", "::1"}:
            with pytest.raises(OSError):  # noqa: PT011 - refused or unreachable
                socket.create_connection((name, port), timeout=2)
        assert server.poll() is None


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of posix")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    path = _write_map(tmp_path / "map.tif", 5000)  # so large that it gets overviews
    with _started(path) as (server, port):
        assert server.stderr is not None
        assert "has no overviews" in server.stderr.readline()
        assert list(temporary.glob("*/*.ovr"))
        about = json.loads(_get(port, "/map").partition(b"\r\n\r\n")[2])
        stop = threading.Event()
        asking = [
            threading.Thread(target=_ask_for_ever, args=(port, about, stop)) for _ in range(6)
        ]
        for thread in asking:
            thread.start()
        time.sleep(1)
        server.send_signal(how)
        began = time.monotonic()
        assert server.wait(timeout=20) == 0
        assert time.monotonic() - began < 6, "seconds, on a machine that does other things too"
        stop.set()
        for thread in asking:
            thread.join()
        assert server.stderr.read() == ""
    assert list(temporary.iterdir()) == []


def _ask_for_ever(port: int, about: dict, stop: threading.Event) -> None:
    """Look at the whole map again and again."""
    zoom = about["zoom"] - 4
    side = 2 * 20_037_508.342789244 / 2**zoom
    column = int((about["extent"][0] + 20_037_508.342789244) / side)
    row = int((20_037_508.342789244 - about["extent"][3]) / side)
    try:
        while not stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", f"/tiles/classes/{zoom}/{column}/{row}")
            connection.getresponse().read()
            connection.close()
    except (OSError, http.client.HTTPException):
        pass  # the server has ended


def test_a_port_that_is_taken_is_refused(land_map: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = CliRunner().invoke(main, ["view", str(land_map), "--port", str(port)])
    assert done.exit_code == 2
    assert f"port {port} cannot be used: Address already in use" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_cannot_be_shown_is_refused(land_map: Path) -> None:
    done = CliRunner().invoke(main, ["view", "none.tif", "--no-browser"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "there is no file none.tif" in done.stderr
    done = CliRunner().invoke(main, ["view", str(land_map), "--bands", "1,2,3"])
    assert done.exit_code == 2
    assert "name the scene too" in done.stderr


def test_a_missing_library_is_named(land_map: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "rio_tiler" else find(name)
    )
    done = CliRunner().invoke(main, ["view", str(land_map)])
    assert done.exit_code == 1
    assert done.stderr == "Error: rio-tiler is not installed; pip install 'rsseg[view]'\n"


@pytest.mark.parametrize(
    ("options", "display", "opened"),
    [([], ":0", True), (["--no-browser"], ":0", False), ([], "", False)],
)
@pytest.mark.skipif(sys.platform != "linux", reason="other desktops always have a display")
def test_the_browser_is_opened_on_a_desktop(
    land_map: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    display: str,
    opened: bool,
) -> None:
    seen: list[str] = []
    done = threading.Event()
    started = rsseg.view.Started("http://127.0.0.1:8123/", 8123, ("it is so",))

    def fake_view(raster: str, *, on_start: Callable, **options: object) -> None:
        assert raster == str(land_map)
        on_start(started)

    def open_address(address: str) -> None:
        seen.append(address)
        done.set()

    monkeypatch.setattr(rsseg.view, "view", fake_view)
    monkeypatch.setattr(webbrowser, "open", open_address)
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    result = CliRunner().invoke(main, ["view", str(land_map), *options])
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{land_map}: http://127.0.0.1:8123/ (Ctrl-C ends)\n"
    assert result.stderr == "note: it is so\n"
    if opened:
        assert done.wait(5)
    assert seen == (["http://127.0.0.1:8123/"] if opened else [])


@pytest.mark.slow
def test_it_loads_neither_torch_nor_an_engine(land_map: Path) -> None:
    code = (
        "import sys, uvicorn\n"
        "uvicorn.Server.run = lambda *_, **__: None\n"
        "from rsseg_cli.main import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "sys.exit(str({'torch', 'openvino'} & set(sys.modules) or ''))\n"
    )
    call = [sys.executable, "-c", code, "view", str(land_map), "--no-browser"]
    child = subprocess.run(call, capture_output=True, text=True, check=False)
    assert child.stderr.strip() == ""
    assert child.stdout.startswith(f"{land_map}: http://127.0.0.1:")
