"""VRTs that show several files as one raster, side by side or band by band, with validity."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as xml

from rsseg.geo.grid import Grid
from rsseg.geo.pieces import Cell, Layout, Piece


def virtual_mosaic(layout: Layout) -> str:
    """The VRT of some files, as XML.

    Where they overlap, all bands of a pixel are those of the first file that is valid there, as
    `dataset_mask()` says; a nodata value in one of its bands lets nothing shine through. If all
    files mark invalid pixels by the same value, so does the VRT; else it has a mask.
    """
    first, grid = layout.pieces[0], layout.grid
    marks = {(piece.kind, repr(piece.nodata)) for piece in layout.pieces}
    by_value = len(marks) == 1 and first.kind == "nodata" and first.nodata is not None
    root = _dataset(grid)
    # the last one drawn is the one that is seen
    drawn = list(zip(layout.pieces, layout.places, layout.cells, strict=True))[::-1]
    for index, number in enumerate(first.bands):
        band = _band(root, first.dtype, band=str(index + 1), **_block(layout))
        if first.names[index] != str(number):
            xml.SubElement(band, "Description").text = first.names[index]
        if by_value:
            xml.SubElement(band, "NoDataValue").text = repr(first.nodata)
        xml.SubElement(band, "ColorInterp").text = first.colours[index].name.capitalize()
        for piece, place, cells in drawn:
            for cell in cells:
                _add_pixels(band, piece, place, index, cell)
    if not by_value and not (layout.gapless and first.kind == "none" and len(marks) == 1):
        _add_mask(root, [(piece, place) for piece, place, _ in drawn])
    return xml.tostring(root, encoding="unicode")


def virtual_stack(pieces: Sequence[Piece], names: Sequence[str]) -> str:
    """The VRT of files of one grid whose bands follow each other, as XML.

    A pixel is invalid where all of them mark it so.

    Args:
        pieces: The files.
        names: What the band of a file of one band shows.
    """
    root = _dataset(pieces[0].grid)
    masked = any(piece.kind == "mask" for piece in pieces)
    for piece, name in zip(pieces, names, strict=True):
        rows, columns = piece.block
        block = {"blockXSize": str(columns), "blockYSize": str(rows)}
        for number, own in zip(piece.bands, piece.names, strict=True):
            count = len(root.findall("VRTRasterBand"))
            band = _band(root, piece.dtype, band=str(count + 1), **block)
            xml.SubElement(band, "Description").text = name if len(piece.bands) == 1 else own
            if piece.kind == "nodata" and piece.nodata is not None and not masked:
                xml.SubElement(band, "NoDataValue").text = repr(piece.nodata)
            _add_source(band, "SimpleSource", piece, (0, 0), str(number), piece.path)
    if masked:
        _add_mask(root, [(piece, (0, 0)) for piece in pieces])
    return xml.tostring(root, encoding="unicode")


def _add_pixels(
    band: xml.Element, piece: Piece, place: tuple[int, int], index: int, cell: Cell
) -> None:
    """Draw a cell of a piece; where it is invalid, what was drawn below it stays."""
    see_through = cell.overlaps and piece.kind != "none"  # which is slow to read
    kind = "ComplexSource" if see_through else "SimpleSource"
    number, path = piece.bands[index], piece.path
    if see_through and piece.kind == "nodata" and len(piece.bands) > 1:
        # its bands have a mask each, and the pixel is invalid only where all of them are
        path, number = _with_one_mask(piece), index + 1
    source = _add_source(band, kind, piece, place, str(number), path, cell)
    if see_through:
        xml.SubElement(source, "UseMaskBand").text = "true"


def _add_mask(root: xml.Element, drawn: list[tuple[Piece, tuple[int, int]]]) -> None:
    """A mask that is valid wherever a band of a piece is."""
    mask = _band(xml.SubElement(root, "MaskBand"), "uint8")
    for piece, place in drawn:
        for number in piece.bands if piece.kind == "nodata" else piece.bands[:1]:
            source = _add_source(mask, "ComplexSource", piece, place, f"mask,{number}", piece.path)
            xml.SubElement(source, "NODATA").text = "0"


def _with_one_mask(piece: Piece) -> str:
    """The piece as a VRT within the VRT, whose mask is that of all its bands."""
    root = _dataset(piece.grid)
    for index, number in enumerate(piece.bands):
        band = _band(root, piece.dtype, band=str(index + 1))
        _add_source(band, "SimpleSource", piece, (0, 0), str(number), piece.path)
    _add_mask(root, [(piece, (0, 0))])
    return xml.tostring(root, encoding="unicode")


def _dataset(grid: Grid) -> xml.Element:
    assert grid.crs is not None, "pieces have a place on the ground"
    root = xml.Element("VRTDataset", rasterXSize=str(grid.width), rasterYSize=str(grid.height))
    xml.SubElement(root, "SRS").text = grid.crs.to_wkt()
    numbers = (repr(value) for value in grid.transform.to_gdal())
    xml.SubElement(root, "GeoTransform").text = ", ".join(numbers)
    return root


def _band(root: xml.Element, dtype: str, **attributes: str) -> xml.Element:
    name = "Byte" if dtype == "uint8" else dtype.title().replace("Uint", "UInt")
    return xml.SubElement(root, "VRTRasterBand", {"dataType": name, **attributes})


def _block(layout: Layout) -> dict[str, str]:
    """The blocks of the files: what reading a window of the VRT makes GDAL decode."""
    rows, columns = (max(piece.block[axis] for piece in layout.pieces) for axis in (0, 1))
    return {
        "blockXSize": str(min(columns, layout.grid.width)),
        "blockYSize": str(min(rows, layout.grid.height)),
    }


def _add_source(
    band: xml.Element,
    kind: str,
    piece: Piece,
    place: tuple[int, int],
    number: str,
    path: str,
    cell: Cell | None = None,
) -> xml.Element:
    source = xml.SubElement(band, kind)
    xml.SubElement(source, "SourceFilename", relativeToVRT="0", shared="0").text = path
    xml.SubElement(source, "SourceBand").text = number
    cell = cell or Cell(0, 0, piece.grid.width, piece.grid.height, overlaps=False)
    rows, columns = piece.block
    told = {
        "RasterXSize": str(piece.grid.width),
        "RasterYSize": str(piece.grid.height),
        "DataType": band.get("dataType", ""),
        "BlockXSize": str(columns),
        "BlockYSize": str(rows),
    }
    xml.SubElement(source, "SourceProperties", told)  # else all files are opened with the VRT
    for tag, (column, row) in (("SrcRect", (0, 0)), ("DstRect", place)):
        offset = {"xOff": str(column + cell.column), "yOff": str(row + cell.row)}
        size = {"xSize": str(cell.width), "ySize": str(cell.height)}
        xml.SubElement(source, tag, offset | size)
    return source
