"""Scenes made in code, and the way to real data; all else is made in the test that needs it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import settings
from rasterio.crs import CRS
from rasterio.enums import ColorInterp

from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA, Legend

settings.register_profile(
    "rsseg", derandomize=True, database=None, deadline=None, max_examples=60, print_blob=False
)
settings.load_profile("rsseg")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # as in what a script starts in the background; processes of the tests would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

TRANSFORM = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
"""Half a metre, north up, inside UTM zone 33."""


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is converted and compiled is kept for the tests, not with that of who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RSSEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def make_scene(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a small GeoTIFF into ``tmp_path`` and returns its path."""

    def make(
        name: str = "scene.tif",
        height: int = 64,
        width: int = 64,
        bands: int = 3,
        dtype: str = "uint8",
        valid: np.ndarray | None = None,
        validity: str = "none",
        crs: str | None = "EPSG:32633",
        transform: Affine = TRANSFORM,
        pixels: np.ndarray | None = None,
        seed: int = 0,
        nodata: float | None = None,
        descriptions: tuple[str, ...] = (),
        **creation: Any,
    ) -> Path:
        """Write a scene.

        Args:
            name: File name; folders in it are made.
            height: Rows, unless ``pixels`` or ``valid`` tells.
            width: Columns, unless ``pixels`` or ``valid`` tells.
            bands: Bands without alpha, unless ``pixels`` tells; three or more are red, green,
                blue and others without a colour.
            dtype: Pixel type, unless ``pixels`` tells.
            valid: True where pixels are valid, ``(h, w)``; all if None.
            validity: How the file says so: ``none`` (it does not), ``nodata`` (all bands hold
                that value), ``alpha`` (a last band of 0 and the greatest value), ``mask``
                (internal).
            crs: Coordinate reference system or None.
            transform: Affine from pixels to the ground.
            pixels: ``(bands, h, w)``; noise if None. Noise never holds the nodata value.
            seed: Seed of the noise.
            nodata: Value for ``nodata``; None for 0 (integers) or -9999 (floats).
            descriptions: Names of the bands.
            creation: Further creation options, such as ``blockxsize=16``.
        """
        if pixels is None:
            height, width = (height, width) if valid is None else valid.shape
            pixels = _noise(bands, height, width, dtype, seed)
        pixels = pixels.copy()
        bands, height, width = pixels.shape
        if valid is None:
            valid = np.ones((height, width), dtype=bool)
        assert valid.shape == (height, width)
        assert validity != "none" or valid.all(), "say how the file marks invalid pixels"
        profile = {
            "driver": "GTiff",
            "count": bands,
            "height": height,
            "width": width,
            "dtype": pixels.dtype,
            "crs": crs,
            "transform": transform,
            "photometric": "rgb" if bands >= 3 else "minisblack",
            "alpha": "no",
        }
        if validity == "nodata":
            default = -9999 if pixels.dtype.kind == "f" else 0
            profile["nodata"] = default if nodata is None else nodata
            pixels[:, ~valid] = profile["nodata"]
        elif validity == "alpha":
            assert pixels.dtype in ("uint8", "uint16"), "GDAL knows no alpha of other types"
            assert bands in (1, 3), "GDAL takes alpha as a mask beside one or three bands only"
            opaque = np.iinfo(pixels.dtype).max
            layer = np.where(valid, opaque, 0).astype(pixels.dtype)
            pixels = np.concatenate([pixels, layer[None]])
            profile["count"] = bands + 1
        else:
            assert validity in ("none", "mask"), validity

        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(path, "w", **profile | creation) as target,
        ):
            if validity == "alpha":
                target.colorinterp = [*target.colorinterp[:-1], ColorInterp.alpha]
            target.write(pixels)
            if validity == "mask":
                target.write_mask(valid)
            for number, text in enumerate(descriptions, 1):
                target.set_band_description(number, text)
        return path

    return make


@pytest.fixture
def make_map(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a class raster into ``tmp_path`` and returns its path."""

    def make(
        name: str = "map.tif",
        codes: np.ndarray | None = None,
        legend: Legend = LAND_COVER,
        crs: str | CRS | None = "EPSG:32633",
        transform: Affine = TRANSFORM,
    ) -> Path:
        """Write a map.

        Args:
            name: File name; folders in it are made.
            codes: File codes ``(h, w)``, 255 where there is no class; any, 64 x 64, if None.
            legend: The classes.
            crs: Coordinate reference system or None.
            transform: Affine from pixels to the ground.
        """
        if codes is None:
            any_code = np.append(legend.codes, NODATA)
            codes = np.random.default_rng(0).choice(any_code, (64, 64)).astype(np.uint8)
        grid = Grid(*codes.shape, transform, None if crs is None else CRS.from_user_input(crs))
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_raster(path, codes[None], grid, nodata=NODATA, legend=legend)
        return path

    return make


@pytest.fixture(scope="session")
def makers() -> Callable[[str], ModuleType]:
    """A function that loads the conftest of another folder, such as ``data/datasets``.

    For what it makes: fixtures of a folder are not seen beside it.
    """

    def load(folder: str) -> ModuleType:
        name = f"makers_of_{folder.replace('/', '_')}"
        spec = spec_from_file_location(name, Path(__file__).parent / folder / "conftest.py")
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = module_from_spec(spec)  # dataclasses look for their module
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data, ``$RSSEG_TEST_DATA``; skips where there is none."""
    folder = os.environ.get("RSSEG_TEST_DATA")
    if not folder:
        pytest.skip("RSSEG_TEST_DATA is not set")
    return Path(folder)


def _noise(bands: int, height: int, width: int, dtype: str, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return generator.random((bands, height, width)).astype(kind)
    top = min(np.iinfo(kind).max, 10_000)
    return generator.integers(1, top, (bands, height, width), dtype=kind, endpoint=True)
