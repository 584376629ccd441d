"""A miniature Gaofen-1 scene as delivered: a pushbroom camera, its RPC, its files, its ground."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
from affine import Affine

NAME = "GF1_PMS1_E116.8_N39.9_20130501_L1A0000123456"
LONGITUDE, LATITUDE, HEIGHT = 116.8, 39.9, 480.0
UTM = "EPSG:32650"
_TO_UTM = pyproj.Transformer.from_crs("EPSG:4326", UTM, always_xy=True)
_TO_ECEF = pyproj.Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
EAST, NORTH = _TO_UTM.transform(LONGITUDE, LATITUDE)


@dataclass(frozen=True)
class Pushbroom:
    """A line camera on a straight flight: one row of pixels in the plane across its track.

    Args:
        rows: Lines taken.
        columns: Pixels of a line.
        gsd: Metres on the ground between pixels and between lines.
        ahead: Metres that this line looks ahead of the other: bands lie apart in the focal plane.
    """

    rows: int
    columns: int
    gsd: float
    ahead: float = 0.0

    def see(self, lon: np.ndarray, lat: np.ndarray, height: np.ndarray) -> np.ndarray:
        """Row and column ``(..., 2)`` of places, whole numbers at pixel centres."""
        ground = _ecef(lon, lat, height)
        lam, phi = math.radians(LONGITUDE), math.radians(LATITUDE)
        up = np.array([math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)])
        east = np.array([-math.sin(lam), math.cos(lam), 0])
        track = np.cross(up, east) * math.cos(math.radians(192))
        track += east * math.sin(math.radians(192))
        altitude, roll = 645e3, math.radians(14)
        centre = _ecef(np.array(LONGITUDE), np.array(LATITUDE), np.array(HEIGHT))
        camera = centre + up * altitude + np.cross(track, up) * altitude * math.tan(roll)
        away = ground - camera
        along = away @ track + self.ahead
        distance = float(np.linalg.norm(centre - camera))
        bore = (centre - camera) / distance
        across = away @ np.cross(track, bore) / (away @ bore) * distance
        rows = along / self.gsd + (self.rows - 1) / 2
        return np.stack([rows, across / self.gsd + (self.columns - 1) / 2], -1)


@dataclass(frozen=True)
class RationalModel:
    """The 20-coefficient rational functions of a camera, by least squares (Tao and Hu, 2001)."""

    offsets: dict[str, float]
    scales: dict[str, float]
    coefficients: np.ndarray

    @classmethod
    def fit(cls, camera: Pushbroom) -> RationalModel:
        half = 0.8 * max(camera.rows, camera.columns) * camera.gsd
        lat_scale = half / 111e3
        long_scale = lat_scale / math.cos(math.radians(LATITUDE))
        offsets = {
            "line": (camera.rows - 1) / 2,
            "samp": (camera.columns - 1) / 2,
            "lat": LATITUDE,
            "long": LONGITUDE,
            "height": HEIGHT,
        }
        scales = {
            "line": camera.rows / 2,
            "samp": camera.columns / 2,
            "lat": lat_scale,
            "long": long_scale,
            "height": 300.0,
        }
        ticks = np.linspace(-1, 1, 11)
        lat, lon, h = (axis.ravel() for axis in np.meshgrid(ticks, ticks, ticks[::2]))
        places = LONGITUDE + lon * long_scale, LATITUDE + lat * lat_scale, HEIGHT + h * 300
        seen = camera.see(*places)
        terms, solved = _terms(lat, lon, h), []
        for axis, key in enumerate(("line", "samp")):
            value = (seen[:, axis] - offsets[key]) / scales[key]
            design = np.concatenate([terms, -value[:, None] * terms[:, 1:]], axis=1)
            ridge = np.concatenate([design, 1e-6 * np.eye(39)])
            fitted = np.linalg.lstsq(ridge, np.append(value, np.zeros(39)), rcond=None)[0]
            solved += [fitted[:20], np.append(1.0, fitted[20:])]
        return cls(offsets, scales, np.array(solved))

    def see(self, lon: np.ndarray, lat: np.ndarray, height: np.ndarray) -> np.ndarray:
        """Row and column ``(..., 2)`` of places, by these coefficients."""
        scaled = (
            (np.asarray(value) - self.offsets[key]) / self.scales[key]
            for key, value in (("lat", lat), ("long", lon), ("height", height))
        )
        values = _terms(*scaled) @ self.coefficients.T
        line_num, line_den, samp_num, samp_den = np.moveaxis(values, -1, 0)
        row = line_num / line_den * self.scales["line"] + self.offsets["line"]
        column = samp_num / samp_den * self.scales["samp"] + self.offsets["samp"]
        return np.stack([row, column], -1)

    def rpb(self, band: str) -> str:
        """The text of an .rpb file."""
        head = [
            f"\t{key}{what} = {value:.15g};"
            for what, values in (("Offset", self.offsets), ("Scale", self.scales))
            for key, value in values.items()
        ]
        names = ("lineNumCoef", "lineDenCoef", "sampNumCoef", "sampDenCoef")
        lists = []
        for name, numbers in zip(names, self.coefficients, strict=True):
            body = ",\n".join(f"\t\t\t{number:+.16E}" for number in numbers)
            lists.append(f"\t{name} = (\n{body});")
        return "\n".join(
            [
                'satId = "GF1";',
                f'bandId = "{band}";',
                'SpecId = "RPC00B";',
                "BEGIN_GROUP = IMAGE",
                "\terrBias = 1.0;",
                "\terrRand = 0.0;",
                *head,
                *lists,
                "END_GROUP = IMAGE",
                "END;\n",
            ]
        )


@dataclass(frozen=True)
class Miniature:
    """A scene to deliver.

    Args:
        rows: Lines of the multispectral image.
        columns: Pixels of its lines.
        relief: Height of hills above and below the plain, metres.
        blobs: Known points: east and north of bright spots, metres from the scene's centre.
        crops: Contrast of the fields.
        furrows: Contrast of lines in them 12 m apart, which pixels of 8 m all but miss.
    """

    rows: int = 60
    columns: int = 64
    relief: float = 0.0
    blobs: tuple[tuple[float, float], ...] = ()
    crops: float = 1.0
    furrows: float = 0.0

    @property
    def pan(self) -> Pushbroom:
        return Pushbroom(4 * self.rows, 4 * self.columns, 2.0)

    @property
    def mss(self) -> Pushbroom:
        return Pushbroom(self.rows, self.columns, 8.0, ahead=11.0)

    def height(self, east: np.ndarray, north: np.ndarray) -> np.ndarray:
        """Metres above the ellipsoid."""
        waves = np.sin((east - EAST) / 95) * np.cos((north - NORTH) / 110)
        return HEIGHT + self.relief * waves

    def ground(self, east: np.ndarray, north: np.ndarray) -> np.ndarray:
        """Digital numbers of blue, green, red, nir ``(4, ...)`` of the ground: fields and blobs."""
        x, y = east - EAST, north - NORTH
        crops = self.crops * np.sin(x / 31) * np.cos(y / 23)
        crops += self.furrows * np.sin(2 * np.pi * x / 12)
        bands = np.stack([300 + 40 * crops, 340 + 60 * crops, 280 + 90 * crops, 520 - 60 * crops])
        for east_of, north_of in self.blobs:
            bands += 300 * np.exp(-((x - east_of) ** 2 + (y - north_of) ** 2) / (2 * 8.0**2))
        return bands

    def take(self, camera: Pushbroom, fine: int = 1) -> np.ndarray:
        """What a camera sees, ``(4, rows, columns)``, each pixel the mean of ``fine`` squared."""
        model = RationalModel.fit(camera)
        ticks = [(np.arange(n * fine) + 0.5) / fine - 0.5 for n in (camera.rows, camera.columns)]
        wanted = np.stack(np.meshgrid(*ticks, indexing="ij"), -1)
        place = np.empty_like(wanted)
        place[..., 0], place[..., 1] = EAST, NORTH

        def see(place: np.ndarray) -> np.ndarray:
            east, north = place[..., 0], place[..., 1]
            lon, lat = _TO_UTM.transform(east, north, direction="INVERSE")
            return model.see(lon, lat, self.height(east, north))

        flat = replace(self, relief=0.0)
        centre = np.array([[EAST, NORTH], [EAST + 10, NORTH], [EAST, NORTH + 10]])
        lon, lat = _TO_UTM.transform(*centre.T, direction="INVERSE")
        seen = model.see(lon, lat, flat.height(*centre.T))
        inverse = np.linalg.inv(np.stack([seen[1] - seen[0], seen[2] - seen[0]], 1) / 10)
        for _ in range(20):
            missed = wanted - see(place)
            if np.abs(missed).max() < 1e-4:
                break
            place += missed @ inverse.T
        else:
            raise AssertionError("the ground was not found")
        bands = self.ground(place[..., 0], place[..., 1])
        shape = (4, camera.rows, fine, camera.columns, fine)
        return bands.reshape(shape).mean(axis=(2, 4))

    def deliver(self, parent: Path, name: str = NAME) -> Path:
        """Write the scene's folder as CRESDA delivers it."""
        folder = parent / name
        folder.mkdir(parents=True)
        camera = name[len("GF1_PMS")]
        pan = self.take(self.pan).mean(axis=0, keepdims=True)
        for kind, pixels, model in (
            (f"PAN{camera}", pan, self.pan),
            (f"MSS{camera}", self.take(self.mss, fine=2), self.mss),
        ):
            stem = folder / f"{name}-{kind}"
            write_tiff(stem.with_name(f"{stem.name}.tiff"), np.rint(pixels).astype(np.uint16))
            text = RationalModel.fit(model).rpb(kind)
            stem.with_name(f"{stem.name}.rpb").write_text(text, encoding="ascii")
            about = _XML.format(
                camera=camera,
                bands="1" if kind.startswith("PAN") else "1,2,3,4",
                gsd=model.gsd,
                rows=model.rows,
                columns=model.columns,
            )
            stem.with_name(f"{stem.name}.xml").write_text(about, encoding="utf-8")
        return folder

    def dem(self, path: Path, *, crs: str | None = UTM, shift: float = 0.0) -> Path:
        """Write the heights, every 10 m, moved east by ``shift`` metres."""
        half = 10 * round(0.12 * 8 * max(self.rows, self.columns))
        transform = Affine(10, 0, EAST - half + shift, 0, -10, NORTH + half)
        count = 2 * half // 10
        column, row = np.meshgrid(np.arange(count) + 0.5, np.arange(count) + 0.5)
        heights = self.height(*(transform @ (column, row))).astype(np.float32)
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=1,
            height=count,
            width=count,
            dtype="float32",
            crs=crs,
            transform=transform,
        ) as target:
            target.write(heights, 1)
        return path


def write_tiff(path: Path, pixels: np.ndarray) -> None:
    """Write bands as CRESDA does: plain, striped, without georeference."""
    bands, height, width = pixels.shape
    shape = {"count": bands, "height": height, "width": width, "dtype": pixels.dtype}
    with rasterio.open(path, "w", driver="GTiff", **shape) as target:
        target.write(pixels)


@pytest.fixture(scope="session")
def miniature() -> Callable[..., Miniature]:
    """The class `Miniature`."""
    return Miniature


@pytest.fixture(scope="session")
def models() -> tuple[type[Pushbroom], type[RationalModel]]:
    """The camera and its rational model."""
    return Pushbroom, RationalModel


@pytest.fixture(scope="session")
def centre() -> tuple[float, float]:
    """East and north of the scene's centre in UTM zone 50."""
    return EAST, NORTH


@pytest.fixture(scope="session")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of flat ground, which no test may change."""
    return Miniature().deliver(tmp_path_factory.mktemp("delivered"))


def _ecef(lon: np.ndarray, lat: np.ndarray, height: np.ndarray) -> np.ndarray:
    return np.stack(_TO_ECEF.transform(lon, lat, height), -1)


def _terms(p: np.ndarray, q: np.ndarray, h: np.ndarray) -> np.ndarray:
    """The 20 cubic terms of latitude, longitude, height in the order of RPC00B, ``(..., 20)``."""
    one = np.ones_like(p)
    first = [one, q, p, h, q * p, q * h, p * h, q * q, p * p, h * h, p * q * h]
    rest = [q**3, q * p * p, q * h * h, q * q * p, p**3, p * h * h, q * q * h, p * p * h, h**3]
    return np.stack(first + rest, -1)


_XML = """<?xml version="1.0" encoding="UTF-8"?>
<ProductMetaData>
  <SatelliteID>GF1</SatelliteID>
  <SensorID>PMS{camera}</SensorID>
  <ReceiveTime>2013-05-01 03:12:40</ReceiveTime>
  <ProduceTime>2013-05-02 09:20:11</ProduceTime>
  <ProductID>123456</ProductID>
  <ProductLevel>LEVEL1A</ProductLevel>
  <Bands>{bands}</Bands>
  <StartTime>2013-05-01 11:12:38</StartTime>
  <EndTime>2013-05-01 11:12:42</EndTime>
  <CenterTime>2013-05-01 11:12:40</CenterTime>
  <ImageGSD>{gsd:g}</ImageGSD>
  <WidthInPixels>{columns}</WidthInPixels>
  <HeightInPixels>{rows}</HeightInPixels>
  <SolarAzimuth>148.2</SolarAzimuth>
  <SolarZenith>28.1</SolarZenith>
</ProductMetaData>
"""
