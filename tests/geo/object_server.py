"""A small object store on loopback that speaks as S3 does, path-style, and fails when told to.

Beside what ``range_server.py`` does, it lists folders, a few names at a time, takes whole objects,
multipart uploads, which it lists and aborts, and deletions, of several objects too. ``pending`` of
the book are the uploads that were begun. ``put_how`` and ``put_times`` of the book are failures of
writing, ``list_how`` is one of listing. ``asked`` counts requests by kind and suffix of the name.
"""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlparse
from xml.sax.saxutils import escape, unescape

from range_server import BOOK, Handler, Server  # a program's folder is where it looks first

BOOK |= {"put_how": None, "put_times": 0, "written": [], "pending": {}}
BOOK |= {"list_how": None, "page": 1000, "asked": {}}
UPLOADS: dict[str, dict[int, bytes]] = {}
_COUNTING = threading.Lock()


class Store(Handler, BaseHTTPRequestHandler):
    """Objects in files of ``BOOK["folder"]``: the first part of a path is the bucket."""

    def do_GET(self) -> None:
        query = parse_qs(urlparse(self.path).query, keep_blank_values=True)
        if "delimiter" in query:
            self._list(query)
            return
        if "uploads" not in query:
            if self.path != "/.book":
                self._count("GET")
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

    def do_HEAD(self) -> None:
        self._count("HEAD")
        super().do_HEAD()

    def do_PUT(self) -> None:
        self._count("PUT")
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
        data = self._body()
        if "delete" in query:
            self._count("DELETE")
            keys = [unescape(key) for key in re.findall(r"<Key>(.*?)</Key>", data.decode())]
            for key in keys:
                (self._place() / key).unlink(missing_ok=True)
            told = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
            self._tell(200, f"<DeleteResult>{told}</DeleteResult>".encode())
            return
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
        self._count("DELETE")
        query = parse_qs(urlparse(self.path).query)
        if "uploadId" in query:
            BOOK["pending"].pop(query["uploadId"][0])
        else:
            self._place().unlink(missing_ok=True)
        self._tell(204, b"")

    def _list(self, query: dict[str, list[str]]) -> None:
        """What lies in a folder, as ListObjects of S3 tells it."""
        self._count("LIST")
        if BOOK["list_how"] is not None:
            self._tell(BOOK["list_how"], b"<Error><Code>AccessDenied</Code></Error>")
            return
        prefix, marker = (query.get(name, [""])[0] for name in ("prefix", "marker"))
        folder = self._place() / prefix
        there = [each for each in folder.iterdir() if not _bare(each)] if folder.is_dir() else []
        found = sorted(f"{prefix}{each.name}{'/' * each.is_dir()}" for each in there)
        left = [key for key in found if key > marker]
        page = left[: BOOK["page"]]
        listed = "".join(
            f"<CommonPrefixes><Prefix>{escape(key)}</Prefix></CommonPrefixes>"
            if key.endswith("/")
            else f"<Contents><Key>{escape(key)}</Key><Size>{(self._place() / key).stat().st_size}"
            "</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in page
        )
        more = len(left) > len(page)
        after = f"<NextMarker>{escape(page[-1])}</NextMarker>" if more else ""
        told = f"<Prefix>{escape(prefix)}</Prefix><IsTruncated>{str(more).lower()}</IsTruncated>"
        self._tell(200, f"<ListBucketResult>{told}{after}{listed}</ListBucketResult>".encode())

    def _count(self, kind: str) -> None:
        name = Path(urlparse(self.path).path).name
        what = f"{kind} {re.sub(r'part_[0-9]+', 'part', name)}" if kind != "LIST" else kind
        with _COUNTING:
            BOOK["asked"][what] = BOOK["asked"].get(what, 0) + 1

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
        return Path(BOOK["folder"]) / unquote(urlparse(self.path).path).lstrip("/")

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


def _bare(place: Path) -> bool:
    """Whether it is a folder without files below, which a store would not know."""
    return place.is_dir() and not any(each.is_file() for each in place.rglob("*"))


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Store)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
