"""A map in the browser: tiles of a class raster and what belongs to it, served to this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsseg.lazy import names_from

if TYPE_CHECKING:
    from rsseg.view.tool import Started, view

__all__ = ["Started", "view"]

__getattr__ = names_from(__name__, {"Started": "tool", "view": "tool"})
