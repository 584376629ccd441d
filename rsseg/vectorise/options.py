"""What a user may choose about polygons, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rsseg.errors import OptionError
from rsseg.vectorise.polygons import require_amount, require_connectivity


@dataclass(frozen=True)
class VectoriseOptions:
    """Choices of one run; without any the polygons follow the pixels exactly.

    Args:
        layer: Name of the layer; that of the file without suffix if None.
        by_class: Write a layer for each class, named after it.
        classes: Names or codes of the classes to write; all if empty.
        connectivity: 4 joins pixels by edges; 8 also by corners, into MultiPolygons.
        sieve: First, regions of fewer pixels take the class of their largest neighbour.
        min_area: Then, smaller regions join the neighbour of the longest shared border; m².
        simplify: Side of a square as large as the largest triangle that is cut off borders, which
            neighbours go on sharing; m. A polygon may become smaller than ``min_area`` by it.
        smooth: Round the corners of borders.
        confidence: Raster whose mean over each polygon is its ``mean_conf``, bytes 0-254 for 0-1
            and 255 for nodata as `predict` writes it, on the same grid.
        memory: Bytes that the rows at work may take; None for at most about 1 GB.
        overwrite: Replace an output that is there.

    Raises:
        OptionError: If a value is out of range.
    """

    layer: str | None = None
    by_class: bool = False
    classes: tuple[str, ...] = ()
    connectivity: int = 4
    sieve: int = 0
    min_area: float = 0.0
    simplify: float = 0.0
    smooth: bool = False
    confidence: str | Path | None = None
    memory: int | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        require_connectivity(self.connectivity)
        for name, unit in (("sieve", "pixels"), ("min_area", "m²"), ("simplify", "m")):
            require_amount(name, getattr(self, name), unit)
        if self.layer is not None and self.by_class:
            raise OptionError("the layers by class are named after the classes, not by layer")
