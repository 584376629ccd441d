"""A Gaofen-1 PMS scene as delivered: two images, each with its RPC and XML metadata.

The China Centre for Resources Satellite Data and Application (CRESDA) delivers a level 1A scene of
the cameras PMS1 and PMS2 as a folder of

    GF1_PMS1_E116.8_N39.9_20130501_L1A0000123456-PAN1.tiff  .rpb  .xml     2 m, one band
    GF1_PMS1_E116.8_N39.9_20130501_L1A0000123456-MSS1.tiff  .rpb  .xml     8 m, four bands

in digital numbers of 10 bits. The images lie in sensor geometry; the .rpb files hold the rational
polynomials that lead there, and GDAL reads them by itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as xml

from rasterio.rpc import RPC
from rasterio.transform import RPCTransformer

from rsseg.errors import BandError, SceneError
from rsseg.geo.opening import open_raster

BANDS = ("blue", "green", "red", "nir")
"""The bands of the multispectral image, in its order."""
PAN_GSD, MSS_GSD = 2.0, 8.0
"""Ground sample distances in metres."""
RATIO = 4
"""Pixels of the panchromatic image along a pixel of the multispectral one."""

_NAME = re.compile(r"(?P<scene>GF1_PMS(?P<camera>[12])_.+)-PAN(?P=camera)\.tiff?", re.IGNORECASE)
_EXPECTED = "GF1_PMS1_..._L1A...-PAN1.tiff and -MSS1.tiff with .rpb and .xml, or the same of PMS2"


@dataclass(frozen=True)
class Image:
    """One image of a scene.

    Args:
        path: The TIFF.
        height: Rows.
        width: Columns.
        rpc: Ground to pixel: longitude, latitude (degrees, WGS 84) and height above the ellipsoid
            (metres) to row and column, whole numbers at pixel centres.
        gsd: Ground sample distance, metres.
    """

    path: Path
    height: int
    width: int
    rpc: RPC
    gsd: float

    def footprint(self) -> tuple[float, float, float, float]:
        """West, south, east and north in degrees, at the height the RPC is centred on."""
        rows = [0, 0, self.height, self.height]
        columns = [0, self.width, 0, self.width]
        with RPCTransformer(self.rpc) as transformer:
            east, north = transformer.xy(rows, columns, zs=[self.rpc.height_off] * 4, offset="ul")
        return min(east), min(north), max(east), max(north)


@dataclass(frozen=True)
class Product:
    """A scene.

    Args:
        name: Name of the scene, which its files share.
        camera: ``PMS1`` or ``PMS2``.
        year: Year it was taken.
        pan: The panchromatic image.
        mss: The multispectral image.
    """

    name: str
    camera: str
    year: int
    pan: Image
    mss: Image


def find_products(source: str | Path) -> list[Product]:
    """The scene of a folder, or those of the folders in it, by name.

    Raises:
        SceneError: If there is none, one is an archive, or one is incomplete or contradicts itself.
    """
    source = Path(source)
    if source.is_file():
        raise _packed(source)
    if not source.is_dir():
        raise SceneError(f"there is no folder {source}", expected=_EXPECTED)
    folders = [
        folder
        for folder in (source, *sorted(path for path in source.iterdir() if path.is_dir()))
        if _pan_files(folder)
    ]
    if folders:
        return [read_product(folder) for folder in folders]
    for archive in sorted(source.glob("GF1_PMS*.tar.gz")):
        raise _packed(archive)
    raise SceneError(f"{source} holds no Gaofen-1 PMS scene", expected=_EXPECTED)


def read_product(folder: str | Path) -> Product:
    """The scene of one folder.

    Raises:
        SceneError: If it is incomplete, or its files are of different scenes.
        BandError: If an image has other bands than the camera.
    """
    folder = Path(folder)
    found = _pan_files(folder)
    if len(found) != 1:
        raise SceneError(
            f"{folder} holds {len(found)} panchromatic images of Gaofen-1",
            expected=f"one: {_EXPECTED}",
        )
    path, match = found[0]
    name, camera = path.stem[: match.end("scene")], match["camera"]
    multispectral = folder / f"{name}-MSS{camera}{path.suffix}"
    if not multispectral.is_file():
        raise _incomplete(name, multispectral)
    about = [_metadata(name, each.with_suffix(".xml")) for each in (path, multispectral)]
    pan = _image(name, path, 1, PAN_GSD)
    mss = _image(name, multispectral, len(BANDS), MSS_GSD)
    for key, length in (
        ("SatelliteID", None),
        ("SensorID", None),
        ("CenterTime", len("2013-05-01")),
    ):
        values = [each.get(key, "")[:length] for each in about]
        if all(values) and values[0] != values[1]:
            raise SceneError(
                f"{multispectral} is of another scene than {path.name}",
                expected=f"{key} {values[0]}",
                got=values[1],
            )
    _require_pair(pan, mss)
    taken = re.search(r"(?:19|20)\d\d", about[1].get("CenterTime") or _date(name))
    if taken is None:
        raise SceneError(f"{multispectral.with_suffix('.xml')} does not tell when it was taken")
    return Product(name, f"PMS{camera}", int(taken.group()), pan, mss)


def _pan_files(folder: Path) -> list[tuple[Path, re.Match[str]]]:
    matches = ((path, _NAME.fullmatch(path.name)) for path in sorted(folder.iterdir()))
    return [(path, match) for path, match in matches if match]


def _packed(archive: Path) -> SceneError:
    return SceneError(
        f"{archive} is a file",
        expected="the folder of a Gaofen-1 scene",
        remedy=f"unpack it first: mkdir FOLDER && tar -xzf {archive.name} -C FOLDER",
    )


def _incomplete(name: str, path: Path) -> SceneError:
    return SceneError(
        f"the scene {name} is incomplete: there is no {path.name} in {path.parent}",
        remedy="unpack its archive again",
    )


def _metadata(name: str, path: Path) -> dict[str, str]:
    """Texts by tag."""
    if not path.is_file():
        raise _incomplete(name, path)
    try:
        root = xml.parse(path).getroot()
    except (xml.ParseError, ValueError) as error:
        raise SceneError(f"{path} is damaged", remedy="unpack its archive again") from error
    return {element.tag: (element.text or "").strip() for element in root}


def _date(name: str) -> str:
    """The part of a scene's name that is its date, as in ``_20130501_``."""
    match = re.search(r"_(\d{8})_", name)
    return match[1] if match else ""


def _image(name: str, path: Path, bands: int, gsd: float) -> Image:
    if not path.with_suffix(".rpb").is_file():
        raise _incomplete(name, path.with_suffix(".rpb"))
    with open_raster(path) as dataset:
        if dataset.count != bands:
            raise BandError(
                f"{path} has {dataset.count} bands",
                expected="1, panchromatic" if bands == 1 else f"{bands}: {', '.join(BANDS)}",
            )
        if set(dataset.dtypes) != {"uint16"}:
            raise SceneError(
                f"{path} holds {dataset.dtypes[0]}", expected="digital numbers as uint16"
            )
        rpc = dataset.rpcs
        if rpc is None:
            raise SceneError(
                f"{path.with_suffix('.rpb')} holds no RPC", remedy="unpack its archive again"
            )
        return Image(path, dataset.height, dataset.width, rpc, gsd)


def _require_pair(pan: Image, mss: Image) -> None:
    """Check that both images are of the same ground."""
    if abs(pan.width - RATIO * mss.width) > mss.width or abs(pan.height - RATIO * mss.height) > max(
        mss.height, RATIO
    ):
        raise SceneError(
            f"{mss.path} has {mss.width} x {mss.height} pixels",
            expected=f"a quarter of the {pan.width} x {pan.height} of {pan.path.name}",
        )
    west, south, east, north = pan.footprint()
    other = mss.footprint()
    across = min(east, other[2]) - max(west, other[0])
    along = min(north, other[3]) - max(south, other[1])
    if across < (east - west) / 2 or along < (north - south) / 2:
        raise SceneError(
            f"{mss.path} is of another scene: its RPC does not lead to the ground of"
            f" {pan.path.name}",
            expected=f"about {west:.3f}, {south:.3f}, {east:.3f}, {north:.3f} degrees",
            got=", ".join(f"{value:.3f}" for value in other),
        )
