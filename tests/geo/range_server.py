"""A server of files on loopback that answers ranges, and fails when told to.

It is a program of its own, since rasterio holds Python's lock while GDAL opens a file: a server in
the same process could not answer. ``POST /.book`` changes what it does, ``GET /.book`` tells what
it was asked.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

BOOK: dict[str, Any] = {
    "folder": ".",  # what is served
    "seen": [],  # method, path with query, and first byte asked for of each request
    "how": None,  # the failure: a status, ``drop`` (close at once), ``cut`` (close in mid answer)
    "times": 0,  # how often; below 0 for ever
    "beyond": -1,  # only requests for later bytes fail
    "validators": ["ETag", "Last-Modified"],  # headers sent by which a file is known
    "ranges": True,  # whether parts of a file are given
}


class Handler(BaseHTTPRequestHandler):
    """Files of ``BOOK["folder"]``, or failures."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_HEAD(self) -> None:
        self._serve(body=False)

    def do_GET(self) -> None:
        if self.path == "/.book":
            self._answer(json.dumps(BOOK).encode())
        else:
            self._serve(body=True)

    def do_POST(self) -> None:
        BOOK.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._answer(b"{}")

    def _serve(self, *, body: bool) -> None:
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        asked = asked if BOOK["ranges"] else None
        first = int(asked[1]) if asked else 0
        BOOK["seen"].append((self.command, self.path, first if asked else None))
        failure = self._failure(first)
        path = Path(BOOK["folder"]) / unquote(self.path.split("?")[0]).lstrip("/")
        if failure == "drop":
            self._hang_up()
        elif isinstance(failure, int) or not path.is_file():
            self.send_response(failure if isinstance(failure, int) else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(path, asked, first, cut=failure == "cut", body=body)

    def _send(
        self, path: Path, asked: re.Match[str] | None, first: int, *, cut: bool, body: bool
    ) -> None:
        data, status = path.read_bytes(), path.stat()
        last = min(int(asked[2] or len(data)) if asked else len(data), len(data) - 1)
        part = data[first : last + 1]
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        if BOOK["ranges"]:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(part)))
        known = {
            "ETag": f'"{status.st_mtime_ns:x}"',
            "Last-Modified": self.date_time_string(int(status.st_mtime)),
        }
        for name in BOOK["validators"]:
            self.send_header(name, known[name])
        self.end_headers()
        if cut:
            self.wfile.write(part[: len(part) // 2])
            self._hang_up()
        elif body:
            with contextlib.suppress(OSError):  # whoever asked may have left
                self.wfile.write(part)

    def _failure(self, first: int) -> int | str | None:
        if BOOK["times"] == 0 or first <= BOOK["beyond"]:
            return None
        BOOK["times"] -= 1
        return BOOK["how"]  # type: ignore[no-any-return]

    def _answer(self, text: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)


class Server(ThreadingHTTPServer):
    """Keeps silent about connections that were closed."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Print nothing."""


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
