"""What every published dataset does with what its class tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio

from rsseg.data.datasets.decoding import read_numbers
from rsseg.data.datasets.published import Pair, PublishedDataset
from rsseg.data.datasets.reading import plain_grid, read_rgb
from rsseg.errors import CatalogueError
from rsseg.legend import Legend


class Plain(PublishedDataset):
    """Pictures ``N.tif`` with labels ``N_label.tif``."""

    title, home, layout, licence = "a plain dataset", "nowhere", "N.tif and N_label.tif", "none"
    legend = Legend.of({"a": (0, 0, 0), "b": (1, 1, 1)})

    def pairs(self, source: Path) -> list[Pair]:
        names = sorted(path.stem for path in source.glob("?.tif"))
        return [Pair(n, source / f"{n}.tif", source / f"{n}_label.tif", "train", n) for n in names]

    def codes(self, path: Path) -> npt.NDArray[np.uint8]:
        return read_numbers(path, {0: 0, 1: 1})


@pytest.fixture
def source(write: Any, tmp_path: Path) -> Path:
    for name in "abc":
        write(tmp_path / "source" / f"{name}.tif", np.full((3, 5, 6), 9, np.uint16), nodata=7)
        write(tmp_path / "source" / f"{name}_label.tif", np.ones((1, 5, 6), np.uint8))
    return tmp_path / "source"


def test_type_and_nodata_of_pictures_are_kept(source: Path, tmp_path: Path) -> None:
    for scene in Plain().prepare(source, tmp_path / "target").catalogue:
        with rasterio.open(scene.image) as image:
            assert (image.dtypes, image.nodata) == (("uint16",) * 3, 7)


def test_sources_are_never_written_over(source: Path) -> None:
    before = {path: path.read_bytes() for path in source.iterdir()}
    with pytest.raises(CatalogueError, match=r"a\.tif would be overwritten; choose another target"):
        Plain().prepare(source, source)
    assert {path: path.read_bytes() for path in source.iterdir()} == before


def test_an_older_catalogue_does_not_outlive_a_failed_run(
    source: Path, write: Any, tmp_path: Path
) -> None:
    Plain().prepare(source, tmp_path / "target")
    write(source / "b_label.tif", np.ones((1, 5, 7), np.uint8))
    with pytest.raises(CatalogueError, match=r"b_label\.tif has 5 x 7 pixels, expected 5 x 6"):
        Plain().prepare(source, tmp_path / "target")
    assert not (tmp_path / "target" / "catalogue.csv").exists()


def test_preparing_twice_gives_the_same_files(source: Path, tmp_path: Path) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    for target in (first, again, again):
        Plain().prepare(source, target)
    assert {p.name: p.read_bytes() for p in first.iterdir()} == {
        p.name: p.read_bytes() for p in again.iterdir()
    }


def test_every_picture_needs_its_label_and_the_reverse(tmp_path: Path) -> None:
    one, two, three = (tmp_path / name for name in ("1.tif", "2.tif", "3.tif"))
    both = Plain().both({"b": one, "a": two}, {"a": three, "b": three})
    assert list(both.items()) == [("a", (two, three)), ("b", (one, three))]
    with pytest.raises(CatalogueError, match=r"1\.tif has no label, expected N\.tif and .*nowhere"):
        Plain().both({"b": one, "a": two}, {"a": three})
    with pytest.raises(CatalogueError, match=r"3\.tif has no picture"):
        Plain().both({}, {"a": three})


def test_rgb_is_read_of_more_bands_too(write: Any, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 3, 5), dtype=np.uint8)
    path = write(tmp_path / "rgba.png", pixels)
    assert np.array_equal(read_rgb(path), pixels[:3])
    grid = plain_grid(pixels)
    assert (grid.height, grid.width, grid.georeferenced) == (3, 5, False)
