"""The names of the package, loaded when first used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rsseg.data import gaofen1


def test_every_name_is_there_and_is_no_module() -> None:
    """In any order: a module of the same name would take a function's place once it is loaded."""
    for names in (gaofen1.__all__, gaofen1.__all__[::-1]):
        for name in names:
            value = getattr(gaofen1, name)
            assert value.__name__ == name
            assert callable(value)


def test_another_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute telescope"):
        _ = gaofen1.telescope


def test_importing_the_package_loads_no_raster_library() -> None:
    code = "import sys, rsseg.data.gaofen1; sys.exit('rasterio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
