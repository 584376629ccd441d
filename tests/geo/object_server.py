"""A small object store on loopback that speaks as S3 does, path-style, and fails when told to.

Beside what ``range_server.py`` does, it takes whole objects, multipart uploads, which it lists and
aborts, and deletions. ``pending`` of the book are the uploads that were begun.
``put_how`` and ``put_times`` of the book are failures of writing.
"""

from __future__ import annotations

import re
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlparse

from range_server import BOOK, Handler, Server  # a program's folder is where it looks first

BOOK |= {"put_how": None, "put_times": 0, "written": [], "pending": {}}
UPLOADS: dict[str, dict[int, bytes]] = {}


class Store(Handler, BaseHTTPRequestHandler):
    """Objects in files of ``BOOK["folder"]``: the first part of a path is the bucket."""

    def do_GET(self) -> None:
        query = parse_qs(urlparse(self.path).query, keep_blank_values=True)
        if "uploads" not in query:
            super().do_GET()
            return
        bucket, prefix = urlparse(self.path).path.strip("/"), query.get("prefix", [""])[0]
        listed = "".join(
            f"<Upload><Key>{key}</Key><UploadId>{name}</UploadId></Upload>"
            for name, path in BOOK["pending"].items()
            if (key := path.removeprefix(f"/{bucket}/")).startswith(prefix)
        )
        self._tell(
            200, f"<ListMultipartUploadsResult>{listed}</ListMultipartUploadsResult>".encode()
        )

    def do_PUT(self) -> None:
        data, query = self._body(), parse_qs(urlparse(self.path).query)
        if self._refused():
            return
        if not self._place().parts[len(Path(BOOK["folder"]).parts) :][1:] or not self._bucket():
            self._tell(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        elif "uploadId" in query:
            number = int(query["partNumber"][0])
            UPLOADS[query["uploadId"][0]][number] = data
            self._tell(200, b"", ETag=f'"{number}"')
        else:
            self._keep(data)
            self._tell(200, b"", ETag='"whole"')

    def do_POST(self) -> None:
        query = parse_qs(urlparse(self.path).query, keep_blank_values=True)
        if self.path == "/.book":
            super().do_POST()
            return
        self._body()
        if self._refused():
            return
        if "uploads" in query:
            name = f"upload{len(UPLOADS)}"
            UPLOADS[name] = {}
            BOOK["pending"][name] = urlparse(self.path).path
            text = f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId>"
            self._tell(200, f"{text}</InitiateMultipartUploadResult>".encode())
        else:
            parts = UPLOADS[query["uploadId"][0]]
            del BOOK["pending"][query["uploadId"][0]]
            self._keep(b"".join(parts[number] for number in sorted(parts)))
            self._tell(200, b"<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")

    def do_DELETE(self) -> None:
        query = parse_qs(urlparse(self.path).query)
        if "uploadId" in query:
            BOOK["pending"].pop(query["uploadId"][0])
        else:
            self._place().unlink(missing_ok=True)
        self._tell(204, b"")

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _refused(self) -> bool:
        if BOOK["put_times"] == 0:
            return False
        BOOK["put_times"] -= 1
        if BOOK["put_how"] == "drop":
            self._hang_up()
        else:
            self._tell(BOOK["put_how"], b"<Error><Code>Failed</Code></Error>")
        return True

    def _place(self) -> Path:
        return Path(BOOK["folder"]) / urlparse(self.path).path.lstrip("/")

    def _bucket(self) -> bool:
        name = re.match(r"/([^/]+)", self.path)
        return name is not None and (Path(BOOK["folder"]) / name[1]).is_dir()

    def _keep(self, data: bytes) -> None:
        place = self._place()
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        BOOK["written"].append(urlparse(self.path).path)

    def _tell(self, status: int, text: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Store)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
