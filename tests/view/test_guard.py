"""What the server refuses, asked as no browser would ask it."""

from __future__ import annotations

import asyncio

import pytest
from starlette.responses import PlainTextResponse

from rsseg.view.guard import HEADERS, Guard

PORT = 8123
HERE = {"host": f"127.0.0.1:{PORT}"}
Headers = list[tuple[str, str]]


def ask(
    headers: Headers, method: str = "GET", app: Guard | None = None
) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of an answer."""
    app = app or Guard(PlainTextResponse("let through"), PORT)
    said: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request"}

    async def send(message: dict) -> None:
        said.append(message)

    raw = [(name.encode(), text.encode("latin-1")) for name, text in headers]
    scope = {"type": "http", "method": method, "path": "/", "headers": raw}
    asyncio.run(app(scope, receive, send))
    told = {name.decode(): text.decode() for name, text in said[0]["headers"]}
    return said[0]["status"], told, b"".join(each.get("body", b"") for each in said).decode()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": f"localhost:{PORT}"},
        {"origin": f"http://127.0.0.1:{PORT}"},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ],
)
def test_this_machines_browser_is_answered(headers: dict[str, str]) -> None:
    status, _, text = ask([*(HERE | headers).items()])
    assert (status, text) == (200, "let through")
    assert ask([*(HERE | headers).items()], "HEAD")[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        f"evil.example:{PORT}",
        "127.0.0.1",
        f"127.0.0.1:{PORT + 1}",
        f"127.0.0.1:{PORT}0",
        f"127.0.0.1.evil.example:{PORT}",
        f"user@127.0.0.1:{PORT}",
        f"0.0.0.0:{PORT}",
        f"[::1]:{PORT}",
        "",
    ],
)
def test_other_names_of_this_machine_are_refused(host: str) -> None:
    assert ask([("host", host)])[0] == 421


def test_browsers_leave_out_port_80() -> None:
    app = Guard(PlainTextResponse("let through"), 80)
    assert ask([("host", "127.0.0.1"), ("origin", "http://127.0.0.1")], app=app)[0] == 200
    assert ask([("host", "localhost:80")], app=app)[0] == 200
    assert ask([("host", "127.0.0.1:8080")], app=app)[0] == 421


def test_a_host_that_is_missing_or_given_twice_is_refused() -> None:
    assert ask([])[0] == 400
    assert ask([*HERE.items(), ("host", "evil.example")])[0] == 400
    assert ask([*HERE.items(), *HERE.items()])[0] == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": f"https://127.0.0.1:{PORT}"},
        {"origin": f"http://127.0.0.1:{PORT + 1}"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_pages_of_other_sites_are_refused(headers: dict[str, str]) -> None:
    status, told, text = ask([*(HERE | headers).items()])
    assert status == 403
    assert "access-control-allow-origin" not in told
    assert "let through" not in text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"])
def test_other_methods_are_refused(method: str) -> None:
    status, told, _ = ask([*HERE.items()], method)
    assert (status, told["allow"]) == (405, "GET, HEAD")


def test_every_answer_has_the_headers_that_protect_it() -> None:
    for headers in ([*HERE.items()], [("host", "evil.example")]):
        _, told, _ = ask(headers)
        assert HEADERS.items() <= told.items()
    policy = HEADERS["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert not {"*", "http:", "https:", "data:", "blob:"} & set(policy.replace(";", " ").split())
    assert "unsafe" not in policy
