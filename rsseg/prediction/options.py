"""What a user may choose about a prediction, checked once."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from rsseg.errors import OptionError
from rsseg.prediction.memory import machine_memory

Blend = Literal["taper", "uniform"]
EngineName = Literal["auto", "torch", "openvino"]
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
BLENDS: tuple[str, ...] = get_args(Blend)
ENGINES: tuple[str, ...] = get_args(EngineName)
Confidence = Literal["top1", "margin"]
Turns = Literal["none", "flip", "d4"]
PRECISIONS: tuple[str, ...] = get_args(Precision)

_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


@dataclass(frozen=True)
class PredictOptions:
    """Choices of one prediction; the defaults serve most scenes.

    Args:
        tile_size: Side of the windows in the network's pixels; None for the model's own.
        overlap: An int is pixels, a float a fraction of the window below 1; None for a quarter
            of the window (``taper``) or a stride of a third of it (``uniform``); ``auto`` for the
            least that keeps seams out of sight, see `rsseg.prediction.planning.decay`.
        blend: ``taper`` weighs windows down towards their borders, ``uniform`` averages.
        rescale: Predict at the model's ground sample distance, write on the scene's grid.
        gsd: Ground sample distance of the scene in metres, where its file does not tell it.
        bands: Band numbers from 1 or names, in the order the model wants; None to match names.
        batch_size: Windows handed to the engine at a time; None for those of one forward pass.
        memory: Bound on the process's memory in bytes; None for a quarter of the machine's.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; several with commas between,
            such as ``cuda:0,cuda:2``, share a map, see `rsseg.prediction.computing.devices`.
        engine: ``openvino`` (CPU, without torch), ``torch``, or ``auto``.
        tta: Score each window in several positions and average: ``flip`` mirrors it both ways
            (4 positions), ``d4`` takes all eight symmetries of the square.
        confidence: GeoTIFF to write with the confidence of each pixel.
        confidence_kind: ``top1``, the probability of the class; or ``margin``, by how much it is
            above that of the next.
        probabilities: GeoTIFF to write with the probability of each class, a band each.
        min_confidence: Pixels of less confidence become nodata in the map; 0-1.
        bbox: Map only the pixels whose centres lie within these bounds: west, south, east, north
            in the scene's CRS.
        aoi: Map only the pixels whose centres lie in the polygons of this vector file, in any CRS.
        stretch: Two percentiles of the scene that are taken as black and as full brightness.
        precision: ``fp32``, ``bf16``, ``fp16``, ``int8`` (on a CPU; calibrated when a model is
            first used so), or ``auto`` for the fastest of the first three that is safe.
        compile: On a GPU: compile the network first, which takes a minute and pays on long runs.
        overwrite: Replace an output that is there.
        restart: Forget an unfinished run, or a map that waits to be put into its store.

    Raises:
        OptionError: If a value is out of range.
    """

    tile_size: int | None = None
    overlap: int | float | Literal["auto"] | None = None
    blend: Blend = "taper"
    rescale: bool = False
    gsd: float | None = None
    bands: tuple[int | str, ...] | None = None
    batch_size: int | None = None
    memory: int | None = None
    device: str = "auto"
    engine: EngineName = "auto"
    precision: Precision = "auto"
    compile: bool = False
    tta: Turns = "none"
    confidence: str | Path | None = None
    confidence_kind: Confidence = "top1"
    probabilities: str | Path | None = None
    min_confidence: float = 0.0
    stretch: tuple[float, float] | None = None
    bbox: tuple[float, float, float, float] | None = None
    aoi: Path | None = None
    overwrite: bool = False
    restart: bool = False

    def __post_init__(self) -> None:
        if self.tile_size is not None and self.tile_size < 1:
            raise OptionError("the tile size is too small", expected=">= 1", got=self.tile_size)
        if self.batch_size is not None and self.batch_size < 1:
            raise OptionError("the batch size is too small", expected=">= 1", got=self.batch_size)
        if self.blend not in BLENDS:
            raise OptionError(
                "there is no such blend", expected=" or ".join(BLENDS), got=self.blend
            )
        if self.engine not in ENGINES:
            raise OptionError(
                "there is no such engine", expected=", ".join(ENGINES), got=self.engine
            )
        if self.precision not in PRECISIONS:
            raise OptionError(
                "there is no such precision", expected=", ".join(PRECISIONS), got=self.precision
            )
        if self.gsd is not None and not 0 < self.gsd < math.inf:
            raise OptionError("the ground sample distance is no positive number", got=self.gsd)
        if not re.fullmatch(r"auto|cpu(,cpu)*|cuda|cuda:\d+(,cuda:\d+)*|mps", self.device):
            raise OptionError(
                "there is no such device",
                expected="auto, cpu, cuda, cuda:N, several such as cuda:0,cuda:1, or mps",
                got=self.device,
            )
        for name, kinds in (("tta", Turns), ("confidence_kind", Confidence)):
            if getattr(self, name) not in get_args(kinds):
                raise OptionError(
                    f"there is no such {name}",
                    expected=" or ".join(get_args(kinds)),
                    got=getattr(self, name),
                )
        if not 0 <= self.min_confidence <= 1:
            raise OptionError("the least confidence is not 0-1", got=self.min_confidence)
        if self.stretch is not None and not 0 <= self.stretch[0] < self.stretch[1] <= 100:
            raise OptionError("a stretch needs two percentiles, the lower first", got=self.stretch)
        if self.bbox is not None and not (
            all(map(math.isfinite, self.bbox))
            and self.bbox[0] < self.bbox[2]
            and self.bbox[1] < self.bbox[3]
        ):
            raise OptionError(
                "a box needs its sides in order", expected="west, south, east, north", got=self.bbox
            )
        if self.bbox is not None and self.aoi is not None:
            raise OptionError("bbox and aoi exclude each other", remedy="choose one")
        if isinstance(self.overlap, str) and self.overlap != "auto":
            raise OptionError("there is no such overlap", expected="auto", got=self.overlap)
        if isinstance(self.overlap, float) and not 0 <= self.overlap < 1:
            raise OptionError(
                "an overlap with a decimal point is a fraction",
                expected="0 <= overlap < 1",
                got=self.overlap,
            )
        if isinstance(self.overlap, int) and self.overlap < 0:
            raise OptionError("the overlap is negative", got=self.overlap)

    def stride(self, window: int) -> int:
        """Distance between windows of this size, pixels.

        Raises:
            OptionError: If the overlap in pixels is not smaller than the window, or still ``auto``.
        """
        if self.overlap == "auto":
            raise OptionError("the overlap was not measured yet")
        if self.overlap is None:
            return max(1, window // 3 if self.blend == "uniform" else window - window // 4)
        if isinstance(self.overlap, float):
            return max(1, int(round(window * (1 - self.overlap), 6)))  # 0.89 of 700 leaves 77
        if self.overlap >= window:
            raise OptionError(
                "the overlap leaves no stride", expected=f"< {window} pixels", got=self.overlap
            )
        return window - self.overlap

    @property
    def memory_limit(self) -> int:
        """The bound in bytes."""
        return self.memory if self.memory is not None else machine_memory() // 4


def parse_overlap(text: str) -> int | float | Literal["auto"]:
    """``128`` as pixels, ``0.25`` as a fraction, ``auto`` as it is.

    Raises:
        OptionError: If the text is no number.
    """
    if text == "auto":
        return "auto"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise OptionError(
            "the overlap is no number",
            expected="pixels (128), a fraction (0.25) or auto",
            got=text,
        ) from None


def parse_bytes(text: str) -> int:
    """``2GB``, ``500M``, ``1GiB`` or plain bytes.

    Raises:
        OptionError: If the text is no such amount.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*", text, re.IGNORECASE)
    if match is None:
        raise OptionError("unusable amount of memory", expected="such as 2GB or 500MB", got=text)
    base = 1024 if match.group(3) else 1000
    return int(float(match.group(1)) * base ** _UNITS[match.group(2).upper()])


def parse_stretch(text: str) -> tuple[float, float]:
    """``p2,p98`` as percentiles.

    Raises:
        OptionError: If the text is no such pair.
    """
    match = re.fullmatch(r"\s*p(\d+(?:\.\d+)?)\s*,\s*p(\d+(?:\.\d+)?)\s*", text)
    if match is None:
        raise OptionError("unusable stretch", expected="two percentiles such as p2,p98", got=text)
    return float(match.group(1)), float(match.group(2))


def parse_box(text: str) -> tuple[float, float, float, float]:
    """``W,S,E,N`` as numbers.

    Raises:
        OptionError: If the text is not four numbers.
    """
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(
            "unusable box", expected="west,south,east,north in the scene's CRS", got=text
        ) from None
    return west, south, east, north


def parse_bands(text: str) -> tuple[int | str, ...]:
    """``4,1,2`` as numbers, ``nir,red,green`` as names."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return tuple(int(part) if part.isdecimal() else part for part in parts)
