"""Pages in a headless Chromium, watched: what they ask for, and what goes wrong in them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

CHROMIUM = "/usr/bin/chromium"
"""Where Debian puts it; ``$CHROMIUM`` names another."""

_INSIDE = ("about", "blob", "data", "file")
_GRAVE = ("serious", "critical")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A running Chromium (Playwright's ``Browser``); skips where there is none.

    For one module only: while it runs, nothing else in this process can start an asyncio loop.
    """
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("CHROMIUM") or CHROMIUM
    if shutil.which(path) is None:
        pytest.skip(f"there is no Chromium at {path}; apt-get install chromium, or set CHROMIUM")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path)
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """A function that opens an address or a file as a watched page, and returns Playwright's page.

    A request off this machine is refused. It fails the test when it ends, as do errors on the
    console, errors nobody caught, and answers of 400 and more. ``page.requests`` lists the
    addresses a page asked for; a test that expects a complaint takes it from ``page.complaints``.
    """
    contexts, pages = [], []

    def open_one(
        address: str | Path,
        *,
        width: int = 1280,
        height: int = 800,
        dark: bool = False,
        **options: Any,
    ) -> Any:
        """Open a page and wait until it has loaded.

        Args:
            address: URL, or a file.
            width: Of the window in CSS pixels; 360 is a small phone.
            height: Of the window in CSS pixels.
            dark: Whether the reader prefers dark colours.
            options: Of Playwright's ``Browser.new_context``, such as ``has_touch``.
        """
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            **options,
        )
        contexts.append(context)
        page = context.new_page()
        page.requests, page.complaints = [], []
        pages.append(page)
        _watch(context, page)
        url = address.resolve().as_uri() if isinstance(address, Path) else address
        page.goto(url, wait_until="load")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert [complaint for page in pages for complaint in page.complaints] == []


@pytest.fixture
def barriers() -> Callable[[Any], list[str]]:
    """A function that lists what axe finds grave in a page: what bars people from using it."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")

    def find(page: Any) -> list[str]:
        found = axe.Axe().run(page).response["violations"]
        return [
            f"{each['id']} ({each['impact']}): {each['help']}, at {node['target']}"
            for each in found
            if each["impact"] in _GRAVE
            for node in each["nodes"]
        ]

    return find


def is_inside(url: str) -> bool:
    """Whether an address is of this machine."""
    parts = urlsplit(url)
    return parts.scheme in _INSIDE or parts.hostname == "127.0.0.1"


def _watch(context: Any, page: Any) -> None:
    def ask(route: Any) -> None:
        url = route.request.url
        page.requests.append(url)
        if is_inside(url):
            route.continue_()
        else:
            page.complaints.append(f"asks for {url}")
            route.abort()

    def hear(message: Any) -> None:
        if message.type == "error":
            page.complaints.append(f"console: {message.text}")

    def answer(response: Any) -> None:
        if response.status >= 400:
            page.complaints.append(f"{response.status} of {response.url}")

    def connect(socket: Any) -> None:
        if not is_inside(socket.url):
            page.complaints.append(f"connects to {socket.url}")

    context.route("**/*", ask)
    page.on("console", hear)
    page.on("pageerror", lambda error: page.complaints.append(f"error: {error}"))
    page.on("response", answer)
    page.on("websocket", connect)
