"""The floors of the house: who may import whom, read from the source of every module.

Imports inside functions count; those under ``TYPE_CHECKING`` load nothing, so they may name a
library that its module must not load, but never a higher floor.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

STEPS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (0, ("rsseg",)),  # the version
    (0, ("rsseg.errors",)),
    (0, ("rsseg.caching", "rsseg.cards", "rsseg.class_weights", "rsseg.late_files", "rsseg.lazy")),
    (0, ("rsseg.legend", "rsseg.locking", "rsseg.normalise", "rsseg.replacing")),
    (0, ("rsseg.onnx_header",)),
    (0, ("rsseg.writable",)),
    (0, ("rsseg.catalog", "rsseg.metrics", "rsseg.affinity")),
    (1, ("rsseg.geo", "rsseg.bundle")),
    (1, ("rsseg.data",)),
    (1, ("rsseg.vectorise", "rsseg.evaluate", "rsseg.describe", "rsseg.model_card")),
    (1, ("rsseg.cluster",)),
    (1, ("rsseg.vectorise_cluster",)),
    (2, ("rsseg.models", "rsseg.losses", "rsseg.loading")),
    (3, ("rsseg.export",)),
    (3, ("rsseg.prediction.memory", "rsseg.prediction.workers")),
    (3, ("rsseg.prediction.options", "rsseg.prediction.result")),
    (3, ("rsseg.prediction.engines", "rsseg.prediction.blending")),
    (3, ("rsseg.prediction.planning",)),
    (3, ("rsseg.prediction.parts",)),
    (3, ("rsseg.prediction.computing",)),
    (3, ("rsseg.prediction.outputs",)),
    (3, ("rsseg.prediction.predict",)),
    (3, ("rsseg.prediction.share", "rsseg.prediction.many_scenes")),
    (3, ("rsseg.prediction.cluster",)),
    (3, ("rsseg.prediction", "rsseg.report", "rsseg.view")),
    (4, ("rsseg.training",)),
    (5, ("rsseg_cli",)),
)
"""Floor and units, from the ground up. A unit imports itself and the steps below it; units of one
step are blind to each other."""

GROUND = ("rsseg.geo", "rsseg.data", "rsseg.vectorise", "rsseg.evaluate", "rsseg.describe")
NETWORKS = ("rsseg.models", "rsseg.losses", "rsseg.loading", "rsseg.training")
CLI = ("rsseg_cli",)

HOMES: Mapping[str, tuple[str, ...]] = {
    "numpy": ("rsseg",),
    "scipy": ("rsseg.metrics", "rsseg.affinity", "rsseg.evaluate"),
    "numba": ("rsseg.affinity", "rsseg.vectorise"),
    "rasterio": (*GROUND, "rsseg.loading.torchgeo_adapter", "rsseg.report", "rsseg.view"),
    "affine": (*GROUND, "rsseg.view"),
    "shapely": (*GROUND, "rsseg.loading.torchgeo_adapter", "rsseg.report", "rsseg.view"),
    "geopandas": (*GROUND, "rsseg.loading.torchgeo_adapter"),
    "pyogrio": (*GROUND, "rsseg.view"),
    "pystac": ("rsseg.geo.stac",),
    "pyarrow": ("rsseg.geo.footprints", "rsseg.vectorise.formats", "rsseg.vectorise.geoparquet"),
    "pyproj": GROUND,
    "matplotlib": ("rsseg.evaluate", "rsseg.training"),
    "torch": (
        *NETWORKS,
        "rsseg.export",
        "rsseg.prediction.engines.torch_engine",
        "rsseg.prediction.engines.torch_device",
    ),
    "torchvision": ("rsseg.models.pretrained",),
    "torchgeo": ("rsseg.loading.torchgeo_adapter", "rsseg.loading.torchgeo_preparation"),
    "pandas": ("rsseg.loading.torchgeo_adapter",),
    "timm": ("rsseg.models",),
    "safetensors": ("rsseg.models",),
    "openvino": (
        "rsseg.prediction.engines.openvino_engine",
        "rsseg.prediction.engines.openvino_core",
        "rsseg.export.openvino_ir",
    ),
    "nncf": ("rsseg.prediction.engines.quantising",),
    "distributed": ("rsseg.cluster", "rsseg.prediction.cluster", "rsseg.vectorise_cluster"),
    "onnx": ("rsseg.export",),
    "lightning": ("rsseg.training",),
    "pydantic": ("rsseg.training",),
    "yaml": ("rsseg.training",),
    "rio_tiler": ("rsseg.view",),
    "starlette": ("rsseg.view",),
    "uvicorn": ("rsseg.view",),
    "click": CLI,
    "rich": CLI,
    "jinja2": ("rsseg.report",),
}
"""Where each library may be imported: in these modules and all below them."""

LAZY_HOMES: Mapping[str, tuple[str, ...]] = {
    "torch": ("rsseg.prediction.engines.engine",),
    "openvino": ("rsseg.prediction.engines.quantising",),
}
"""Where it may be imported inside functions as well."""


@dataclass(frozen=True)
class Import:
    """One name that a module imports.

    Args:
        module: Who imports.
        target: What; a module of ours, or the top package of a library.
        line: Where.
        when: ``load`` (with the module), ``call`` (inside a function) or ``typing`` (never).
    """

    module: str
    target: str
    line: int
    when: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def sources() -> dict[str, str]:
    """Source by module name, for every module of ``rsseg`` and ``rsseg_cli``."""
    found = {}
    for package, folder in (("rsseg", ROOT / "rsseg"), ("rsseg_cli", ROOT / "cli")):
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *(part for part in parts if part != "__init__")))
            found[name] = path.read_text(encoding="utf-8")
    return found


def imports(module: str, source: str, known: Iterable[str]) -> list[Import]:
    """All imports of a module outside the standard library.

    Args:
        module: Its name.
        source: Its text.
        known: Names of all modules of ours.
    """
    known = set(known)
    is_package = any(name.startswith(f"{module}.") for name in known)
    found = []
    for node, when in _statements(ast.parse(source), "load"):
        for target in _targets(node, module, is_package, known):
            top = target.partition(".")[0]
            if top not in sys.stdlib_module_names:
                ours = top in ("rsseg", "rsseg_cli")
                found.append(Import(module, target if ours else top, node.lineno, when))
    return found


_TYPING = ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _statements(node: ast.AST, when: str) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, when
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _statements(child, "call")
        elif isinstance(child, ast.If) and ast.unparse(child.test) in _TYPING:
            yield from _statements(ast.Module(child.body, []), "typing")
            yield from _statements(ast.Module(child.orelse, []), when)
        else:
            yield from _statements(child, when)


def _targets(
    node: ast.Import | ast.ImportFrom, module: str, is_package: bool, known: set[str]
) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        parents = module.split(".")
        parents = parents[: len(parents) - node.level + is_package]
        base = ".".join([*parents, base] if base else parents)
    submodules = [f"{base}.{alias.name}" for alias in node.names]
    inside = [name for name in submodules if name in known]
    return inside if len(inside) == len(submodules) else [base, *inside]


def unit_of(module: str) -> str | None:
    """The unit of the table that a module belongs to."""
    units = [unit for _, step in STEPS for unit in step]
    fitting = [u for u in units if module == u or (u != "rsseg" and module.startswith(f"{u}."))]
    return max(fitting, key=len, default=None)


def floor_complaints(found: Iterable[Import]) -> list[str]:
    """Imports that do not lead down."""
    height = {unit: index for index, (_, step) in enumerate(STEPS) for unit in step}
    complaints = []
    for each in found:
        if not each.target.startswith("rsseg"):
            continue
        mine, theirs = unit_of(each.module), unit_of(each.target)
        if mine is None or theirs is None:
            complaints.append(f"{each}, and the table of floors lacks one of them")
        elif mine != theirs and height[theirs] >= height[mine]:
            complaints.append(f"{each}, which is not below it")
    return complaints


def library_complaints(found: Iterable[Import]) -> list[str]:
    """Imports of libraries away from their homes."""
    complaints = []
    for each in found:
        if each.target.startswith("rsseg") or each.when == "typing":
            continue
        homes = HOMES.get(each.target, ())
        if each.when == "call":
            homes += LAZY_HOMES.get(each.target, ())
        if not any(each.module == home or each.module.startswith(f"{home}.") for home in homes):
            complaints.append(f"{each}, which belongs in {' or '.join(homes) or 'no module'}")
    return complaints


def reached(module: str, found: Iterable[Import], *, when: tuple[str, ...]) -> set[str]:
    """All modules and libraries that a module imports, directly or by way of others."""
    edges: dict[str, set[str]] = {}
    for each in found:
        if each.when in when:
            edges.setdefault(each.module, set()).update(_with_parents(each.target))
    seen: set[str] = set()
    waiting = _with_parents(module)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting |= edges.get(name, set())
    return seen


def _with_parents(module: str) -> set[str]:
    """A module and the packages around it, which are loaded before it."""
    parts = module.split(".")
    return {".".join(parts[: end + 1]) for end in range(len(parts))}


SOURCES = sources()
FOUND = [each for name, text in SOURCES.items() for each in imports(name, text, SOURCES)]


def test_every_module_has_a_floor() -> None:
    assert [name for name in SOURCES if unit_of(name) is None] == []
    assert len(SOURCES) > 40, "the house was not found"
    # a module of prediction that is no room's would be above all of them
    above = [name for name in SOURCES if unit_of(name) == "rsseg.prediction"]
    assert above == ["rsseg.prediction"]


def test_imports_lead_down() -> None:
    assert floor_complaints(FOUND) == []


def test_libraries_stay_at_home() -> None:
    assert library_complaints(FOUND) == []


@pytest.mark.parametrize("floor", [0, 1])
def test_the_lower_floors_never_reach_torch(floor: int) -> None:
    units = {unit for number, step in STEPS if number == floor for unit in step}
    for name in SOURCES:
        if unit_of(name) in units:
            heavy = reached(name, FOUND, when=("load", "call")) & {"torch", "timm", "lightning"}
            assert not heavy, f"{name} reaches {heavy}"


def test_models_and_losses_never_reach_rasterio() -> None:
    for name in SOURCES:
        if unit_of(name) in ("rsseg.models", "rsseg.losses"):
            assert "rasterio" not in reached(name, FOUND, when=("load", "call")), name


def test_loading_prediction_loads_no_engine() -> None:
    """Torch and OpenVINO come with their own engine modules, when one is made."""
    for name in SOURCES:
        if name.startswith("rsseg.prediction") and not name.endswith(
            ("torch_engine", "torch_device", "openvino_engine", "openvino_core")
        ):
            heavy = reached(name, FOUND, when=("load",)) & {"torch", "openvino", "rsseg.models"}
            assert not heavy, f"{name} reaches {heavy}"
    assert "openvino" in reached("rsseg.prediction.engines.openvino_engine", FOUND, when=("load",))


def test_dask_is_loaded_by_the_cluster_packages_alone() -> None:
    for name in SOURCES:
        if not name.startswith(tuple(f"{home}." for home in HOMES["distributed"])):
            assert "distributed" not in reached(name, FOUND, when=("load",)), name
    assert "distributed" in reached("rsseg.prediction.cluster.tool", FOUND, when=("load",))


def test_commands_load_nothing_but_click() -> None:
    """So that ``--help`` is instant; the tools are imported when a command runs."""
    allowed = {"click", "rsseg", "rsseg.errors"}
    for each in FOUND:
        if each.module.startswith("rsseg_cli") and each.when == "load":
            assert each.target in allowed or each.target.startswith("rsseg_cli"), str(each)


def test_commands_share_helpers_and_nothing_else() -> None:
    """But for a group, which has modules named after it: ``prepare`` and ``prepare_gaofen1``."""
    for each in FOUND:
        if each.module.startswith("rsseg_cli.") and each.module != "rsseg_cli.main":
            own = each.target == "rsseg_cli.helpers" or each.target.startswith(f"{each.module}_")
            assert unit_of(each.target) != "rsseg_cli" or own, each


# The checker can fail


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("rsseg.geo.bad", "from rsseg.data import labels", "which is not below it"),
        ("rsseg.geo.bad", "import rsseg.bundle", "which is not below it"),
        ("rsseg.geo.bad", "def f():\n    import rsseg.prediction", "which is not below it"),
        ("rsseg.geo.bad", "from rsseg import models", "which is not below it"),
        ("rsseg.geo.bad", "from ..models import create", "which is not below it"),
        ("rsseg.losses.bad", "import rsseg.models", "which is not below it"),
        ("rsseg.models.bad", "from rsseg.loading import WindowDataset", "which is not below it"),
        ("rsseg.export.bad", "from rsseg.prediction import predict", "which is not below it"),
        ("rsseg.prediction.bad", "import rsseg_cli.main", "which is not below it"),
        (
            "rsseg.prediction.engines.bad",
            "from rsseg.prediction.planning.plan import Plan",
            "which is not below it",
        ),
        (
            "rsseg.prediction.parts.bad",
            "import rsseg.prediction.computing.pipeline",
            "which is not below it",
        ),
        (
            "rsseg.prediction.share",
            "def f():\n    import rsseg.prediction.many_scenes.scenes",
            "which is not below it",
        ),
        ("rsseg.errors", "from rsseg.legend import Legend", "which is not below it"),
        (
            "rsseg.data.bad",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import rsseg.training",
            "which is not below it",
        ),
        ("rsseg.geo.bad", "import rsseg.cellar", "lacks one of them"),
        ("rsseg.cellar", "import rsseg.errors", "lacks one of them"),
        ("rsseg.metrics", "import torch.nn", "belongs in rsseg.models"),
        ("rsseg.geo.bad", "class A:\n    def f(self):\n        import torch", "belongs in"),
        ("rsseg.geo.bad", "try:\n    import torch\nexcept ImportError:\n    pass", "belongs in"),
        ("rsseg.legend", "import rasterio", "belongs in rsseg.geo"),
        ("rsseg.models.bad", "from rasterio.windows import Window", "belongs in rsseg.geo"),
        ("rsseg.prediction.planning.plan", "def f():\n    import torch", "belongs in rsseg.models"),
        ("rsseg.prediction.engines.engine", "import torch", "belongs in rsseg.models"),
        (
            "rsseg.prediction.bad",
            "import openvino",
            "belongs in rsseg.prediction.engines.openvino_engine",
        ),
        ("rsseg.models.bad", "import lightning", "belongs in rsseg.training"),
        ("rsseg.errors", "import click", "belongs in rsseg_cli"),
        (
            "rsseg.geo.bad",
            "from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    import torch",
            "belongs in rsseg.models",
        ),
        ("rsseg_cli.bad", "import numpy", "belongs in rsseg"),
        ("rsseg.geo.bad", "import requests", "belongs in no module"),
    ],
)
def test_bad_modules_are_caught(module: str, source: str, complaint: str) -> None:
    found = imports(module, source, [*SOURCES, module])
    complaints = floor_complaints(found) + library_complaints(found)
    assert len(complaints) == 1
    assert complaint in complaints[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("rsseg.geo.good", "import os\nimport numpy as np\nfrom rsseg.errors import SceneError"),
        ("rsseg.geo.good", "from . import grid\nfrom .scene import Scene"),
        ("rsseg.prediction.engines.engine", "def f():\n    import torch"),
        (
            "rsseg.prediction.good",
            "import typing\nif typing.TYPE_CHECKING:\n    import torch\nelse:\n    import os",
        ),
        ("rsseg_cli.good", "from . import helpers\ndef f():\n    import rsseg.training"),
    ],
)
def test_good_modules_pass(module: str, source: str) -> None:
    found = imports(module, source, [*SOURCES, module])
    assert floor_complaints(found) + library_complaints(found) == []


def test_an_import_by_way_of_others_is_reached() -> None:
    texts = {
        "rsseg.a": "import rsseg.b",
        "rsseg.b": "def f():\n    from rsseg.c import d",
        "rsseg.c": "",
        "rsseg.c.d": "import torch.nn",
    }
    found = [each for name, text in texts.items() for each in imports(name, text, texts)]
    assert "torch" in reached("rsseg.a", found, when=("load", "call"))
    assert "torch" not in reached("rsseg.a", found, when=("load",))
