"""YAML as recipes are written: numbers such as 1e-6, and no key twice; without torch."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import yaml


def from_text(text: str) -> Any:
    """The values of a YAML text.

    Raises:
        yaml.YAMLError: If it is not YAML, or a key stands twice in one section.
    """
    return yaml.load(text, _Loader)  # noqa: S506 - it is a safe one


def to_text(values: dict[str, Any]) -> str:
    """The YAML of a recipe, which reads as the same values."""
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


class _Loader(yaml.SafeLoader):
    """YAML 1.1 takes 1e-6 for a text, and the last of equal keys without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for key, times in keys.items():
            if times > 1:
                raise yaml.YAMLError(f"the key '{key}' is there twice")
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)
