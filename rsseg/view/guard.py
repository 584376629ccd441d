"""What a server of one person's files answers at all: this machine's browser, asking for them.

A page of another site can make a browser ask this machine. It is known by its ``Host`` when it has
its own name lead here (DNS rebinding), else by ``Origin`` or ``Sec-Fetch-Site``.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = ("GET", "HEAD")

HEADERS = {
    "content-security-policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "cache-control": "no-store",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""Sent with every answer."""

_HERE = (None, "none", "same-origin")
_ONCE = ("host", "origin", "sec-fetch-site")


class Guard:
    """An ASGI application that refuses what is not for it, and lets the rest through to another.

    Args:
        app: The other.
        port: Where it is reached, on 127.0.0.1.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        names = "127.0.0.1", "localhost"
        self._hosts = tuple(f"{name}:{port}" for name in names)
        if port == 80:  # browsers do not name it
            self._hosts += names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the other application do so."""
        if scope["type"] != "http":
            raise RuntimeError("this server speaks HTTP only")

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = [(name.encode(), text.encode()) for name, text in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *told]}
            await send(message)

        app = self._refusal(scope) or self._app
        await app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        """The answer to what is refused."""
        told = _headers(scope)
        if any(len(values) > 1 for values in told.values()) or told["host"] == []:
            return PlainTextResponse("A header is missing or given twice.", 400)
        host, origin, site = (next(iter(told[name]), None) for name in _ONCE)
        if host not in self._hosts:
            return PlainTextResponse("This server has another name.", 421)
        if origin not in (None, *(f"http://{name}" for name in self._hosts)) or site not in _HERE:
            return PlainTextResponse("Pages of other sites get no answer.", 403)
        if scope["method"] not in METHODS:
            allowed = {"allow": ", ".join(METHODS)}
            return PlainTextResponse("Files are only looked at.", 405, allowed)
        return None


def _headers(scope: Scope) -> dict[str, Sequence[str]]:
    """Values of the headers that tell who asks."""
    return {
        name: [text.decode("latin-1") for key, text in scope["headers"] if key == name.encode()]
        for name in _ONCE
    }
