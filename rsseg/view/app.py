"""The pages and tiles of a map by their addresses; there are no others."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from importlib.resources import files
from typing import TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from rsseg.errors import RssegError
from rsseg.view.guard import Guard
from rsseg.view.plane import TILE, Bounds
from rsseg.view.viewed import ViewedMap

CLASSES = "classes"
POLYGONS = "polygons"
SIZES = (TILE, 2 * TILE)
"""Rows and columns of tiles, the second for screens of fine pixels."""

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_LEFT = 499  # the status by which servers log that whoever asked has left
Answer = TypeVar("Answer")
_Endpoint = Callable[[Request], Awaitable[Response]]
_LOG = logging.getLogger(__name__)


def create_app(viewed: ViewedMap, port: int, workers: Executor, slots: int) -> ASGIApp:
    """The application that shows a map to this machine's browser.

    Args:
        viewed: The map.
        port: Where it is served, on 127.0.0.1.
        workers: Threads that read.
        slots: How many of them there are. Requests wait for one of them, and those that nobody
            waits for any more are dropped.

    What fails is answered with ``{"error": ...}``; what should not have failed is logged as well.
    """
    reader = _Reader(workers, slots)

    async def tile(request: Request) -> Response:
        bounds, zoom, size = _tile(viewed, request)
        if bounds is None:
            return Response(status_code=204)
        layer = request.path_params["layer"]
        if layer == CLASSES:
            codes = await reader.read(request, lambda: viewed.classes.tile(bounds, size))
            return Response(codes, media_type="application/octet-stream")
        if layer == POLYGONS and viewed.polygons is not None:
            polygons = viewed.polygons
            return JSONResponse(await reader.read(request, lambda: polygons.tile(bounds)))
        if layer not in viewed.pictures:
            raise HTTPException(404)
        picture, native = viewed.pictures[layer], zoom >= viewed.plane.zoom
        png = await reader.read(request, lambda: picture.tile(bounds, size, native=native))
        return Response(png, media_type="image/png")

    async def point(request: Request) -> Response:
        u, v = _number(request, "u"), _number(request, "v")
        return JSONResponse(await reader.read(request, lambda: viewed.at(u, v)))

    async def description(request: Request) -> Response:
        return JSONResponse(viewed.describe())

    routes = [
        Route("/map", _answering(description)),
        Route("/at", _answering(point)),
        Route("/tiles/{layer}/{zoom}/{column}/{row}", _answering(tile)),
        *(Route(path, _constant(name)) for path, name in _pages().items()),
    ]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return Guard(app, port)


class _Reader:
    """Threads that read, for those who still wait."""

    def __init__(self, workers: Executor, slots: int) -> None:
        self._workers, self._slots = workers, asyncio.Semaphore(slots)

    async def read(self, request: Request, work: Callable[[], Answer]) -> Answer:
        async with self._slots:
            if await request.is_disconnected():
                raise HTTPException(_LEFT)
            return await asyncio.get_running_loop().run_in_executor(self._workers, work)


def _pages() -> dict[str, str]:
    """The page's files by their address."""
    folder = files("rsseg.view") / "page"
    names = [entry.name for entry in folder.iterdir() if entry.name.rpartition(".")[2] in _TYPES]
    return {"/": "index.html"} | {f"/page/{name}": name for name in names if name != "index.html"}


def _constant(name: str) -> _Endpoint:
    body = (files("rsseg.view") / "page" / name).read_bytes()
    kind = _TYPES[name.rpartition(".")[2]]

    async def answer(request: Request) -> Response:
        return Response(body, media_type=kind)

    return answer


def _tile(viewed: ViewedMap, request: Request) -> tuple[Bounds | None, int, int]:
    """Bounds, zoom and size of a tile that is asked for; no bounds where the map is not."""
    numbers = [request.path_params[name] for name in ("zoom", "column", "row")]
    size = request.query_params.get("size", str(TILE))
    if not all(_is_count(text) for text in (*numbers, size)) or int(size) not in SIZES:
        raise HTTPException(404)
    zoom, column, row = map(int, numbers)
    return viewed.plane.tile(zoom, column, row), zoom, int(size)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _number(request: Request, name: str) -> float:
    try:
        value = float(request.query_params[name])
    except (KeyError, ValueError):
        raise HTTPException(400, f"{name} is a number") from None
    if not math.isfinite(value):
        raise HTTPException(400, f"{name} is a number")
    return value


def _answering(endpoint: _Endpoint) -> _Endpoint:
    """Let an endpoint say why it gives no answer: what fails in it must not end in silence."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except HTTPException as error:
            return _told(error.detail, error.status_code)
        except RssegError as error:
            return _told(str(error), 500)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            _LOG.error("%s failed: %s", request.url.path, reason)
            _LOG.debug("", exc_info=error)
            return _told(f"this is a fault of rsseg, {reason}", 500)

    return answer


def _told(reason: str, status: int) -> Response:
    return JSONResponse({"error": reason}, status)
