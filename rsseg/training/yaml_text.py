"""YAML as recipes are written: numbers such as 1e-6, and no key twice; without torch."""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.constructor import ConstructorError

_FLOAT = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$")


def from_text(text: str) -> Any:
    """The values of a YAML text.

    Raises:
        yaml.YAMLError: If it is not YAML, or a key stands twice in one section.
    """
    try:
        return yaml.load(text, _Loader)
    except ValueError as error:  # such as of a date that is none
        raise yaml.YAMLError(str(error)) from error


def to_text(values: dict[str, Any]) -> str:
    """The YAML of values, which reads as the same ones."""
    return str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


class _Loader(yaml.SafeLoader):
    """YAML 1.1 takes 1e-6 for a text, and the last of equal keys without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise ConstructorError(None, None, f"'{key.value}' is there twice", key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return node


class _Dumper(yaml.SafeDumper):
    """Writes a text that `_Loader` would take for a number in quotes."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
