"""Whole maps, each for one worker: where they are many, and spread themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rsseg.vectorise import VectoriseOptions, vectorise
from rsseg.vectorise.formats import format_of
from rsseg.vectorise.strips import Work
from rsseg.vectorise_cluster.job import Terms, require_same, terms_of


@dataclass(frozen=True)
class WholeMap:
    """A map whose polygons a worker makes.

    Args:
        work: What is to be made.
        out: The file of polygons; every worker sees its folder.
        terms: What the command works with.
    """

    work: Work
    out: str
    terms: Terms


def whole_map(raster: Path, out: Path, confidence: Path | None = None) -> WholeMap:
    """What a worker is told of a map; a file of polygons that is there is replaced.

    Args:
        raster: The map.
        out: The file of polygons.
        confidence: How sure its pixels are; None if that is not known.

    Raises:
        SceneError: If a raster cannot be seen.
        OptionError: If polygons cannot be written to such a file.
    """
    sure = None if confidence is None else confidence.absolute()
    options = VectoriseOptions(overwrite=True, confidence=sure)
    work = Work(str(raster.absolute()), options, format_of(out).lon_lat)
    return WholeMap(work, str(out.absolute()), terms_of(work))


def outline(whole: WholeMap, on_progress: Callable[[int, int], None]) -> tuple[int, int]:
    """Write the polygons of a map, as `vectorise` does; how many there are, and the file's bytes.

    Args:
        whole: What the command tells.
        on_progress: Called with pixels done and pixels in all; what it raises ends the work.

    Raises:
        ClusterError: If this worker has other libraries than the command.
        OptionError: If it sees another map.
        SceneError: If it sees none, or cannot read it.
        OutputError: If the file cannot be written.
    """
    work = whole.work
    require_same(whole.terms, work)
    made = vectorise(work.raster, whole.out, options=work.options, on_progress=on_progress)
    return made.polygons, Path(whole.out).stat().st_size
