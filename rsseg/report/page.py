"""Templates, filled in and written as one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsseg import __version__
from rsseg.errors import MissingExtra, OutputError
from rsseg.replacing import replacing
from rsseg.report import wording

SUFFIXES = (".html", ".htm")
"""Names of reports end so."""


def require_templates() -> None:
    """Check that pages can be made, before any work.

    Raises:
        MissingExtra: If jinja2 is not installed.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise MissingExtra("jinja2", "report") from None


def write_page(template: str, out: str | Path, values: Mapping[str, Any]) -> int:
    """Fill in a template and write it whole or not at all.

    Args:
        template: Its name in the folder ``templates``.
        out: The page.
        values: What it speaks of; all of it is escaped.

    Returns:
        The bytes written.

    Raises:
        MissingExtra: If jinja2 is not installed.
        OutputError: If the page cannot be written.
    """
    page = _render(template, values).encode("utf-8")
    try:
        with replacing(out) as unfinished:
            unfinished.write_bytes(page)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error.strerror}") from error
    return len(page)


def _render(template: str, values: Mapping[str, Any]) -> str:
    require_templates()
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates"), encoding="utf-8"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "share": wording.share,
        "score": wording.score,
        "count": wording.count,
    }
    return environment.get_template(template).render(version=__version__, **values)
