"""In what two plans differ, in words of the command line."""

from __future__ import annotations

from collections.abc import Iterable

_LAYERS = "layers"
_WORDS = {
    _LAYERS: "what is written of each pixel (--confidence, --probabilities, --min-confidence)",
    "footprint": "footprint of the windows",
}


def differences(keys: Iterable[str]) -> str:
    """What entries of a plan's journal stand for, as a list in a sentence."""
    return ", ".join(_WORDS.get(key, key) for key in keys)


def contrast(key: str, before: object, now: object) -> tuple[str, str]:
    """The two values of an entry: what is expected, and what is there instead."""
    if key == _LAYERS:
        return _layers(before), _layers(now)
    return f"{_WORDS.get(key, key)} {before}", str(now)


def _layers(value: object) -> str:
    match value:
        case [count, kind, least]:
            return f"{count} bands (confidence is {kind}, from {least} of 254)"
    return f"{value}"
