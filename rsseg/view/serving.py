"""A server that only this machine reaches, until it is interrupted."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from rsseg.errors import OptionError
from rsseg.geo.opening import hold_gdal_cache

HOST = "127.0.0.1"
WORKERS = min(8, max(2, os.cpu_count() or 2))
"""Threads that read tiles."""

CACHE = 256 * 2**20
"""Bytes of decoded blocks that GDAL keeps."""


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """A socket that this machine reaches at a port, 0 for any that is free.

    Raises:
        OptionError: If the port is taken, or may not be used.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as waiting:
        if os.name == "posix":  # elsewhere it would let two processes share a port
            waiting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            waiting.bind((HOST, port))
            waiting.listen(128)
        except OSError as error:
            raise OptionError(
                f"port {port} cannot be used: {error.strerror}",
                remedy="choose another, or none for any that is free",
            ) from error
        yield waiting


def serve(waiting: socket.socket, make_app: Callable[[ThreadPoolExecutor], ASGIApp]) -> None:
    """Answer what comes to a socket, until Ctrl-C or a request to end; what is read is given up.

    Args:
        waiting: The socket.
        make_app: Makes the application, given the threads that it may use.
    """
    workers = ThreadPoolExecutor(
        WORKERS, thread_name_prefix="tiles", initializer=hold_gdal_cache, initargs=(CACHE,)
    )
    try:
        config = uvicorn.Config(
            make_app(workers),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # what odd requests are is not the user's concern
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        uvicorn.Server(config).run(sockets=[waiting])
    except KeyboardInterrupt:
        pass  # the way in which one ends it
    finally:
        workers.shutdown(wait=True, cancel_futures=True)


@contextmanager
def ending_softly() -> Iterator[None]:
    """Let a request to end (SIGTERM) do what Ctrl-C does, so that temporary files go."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
