"""What is on disk is what gets installed."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_package_on_disk_is_listed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    folders = [*(ROOT / "rsseg").rglob("__init__.py"), ROOT / "cli" / "__init__.py"]
    found = [".".join(path.parent.relative_to(ROOT).parts) for path in folders]
    assert sorted(settings["packages"]) == sorted("rsseg_cli" if n == "cli" else n for n in found)
    assert settings["package-dir"] == {"rsseg_cli": "cli"}
