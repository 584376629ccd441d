"""What an output says of how it was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rsseg import __version__
from rsseg.geo.remote import public_name
from rsseg.prediction.planning.plan import Plan

_TOLD = (
    "model",
    "bands",
    "window",
    "footprint",
    "stride",
    "blend",
    "engine",
    "precision",
    "tta",
    "stretch",
)
"""Entries of the journal that are told, where they are set."""


def tags_of(work: Plan) -> dict[str, str]:
    """Tags for the outputs of a plan: no times, places or machine-bound numbers."""
    journal = work.journal
    tags = {
        f"RSSEG_{key.upper()}": _text(journal[key]) for key in _TOLD if journal[key] is not None
    }
    if work.pixel_is_point:
        tags["AREA_OR_POINT"] = "Point"
    return tags | {
        "RSSEG_VERSION": __version__,
        "RSSEG_ARCHITECTURE": work.bundle.architecture,
        "RSSEG_SCENE": Path(public_name(work.scene)).name,
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
