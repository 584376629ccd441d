"""``rsseg prepare``: a dataset's folder as scenes and a catalogue, or one line why not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result

from rsseg.data.tables import read_catalogue
from rsseg_cli.main import main

PURPLE, BLUE = (60, 16, 152), (226, 169, 41)
"""Building and water in the colours of the Dubai masks."""


def prepare(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["prepare", *map(str, arguments)])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder as published, of two tiles, one of which is held out."""
    folder = tmp_path / "source"
    for tile in (1, 2):
        pixels = np.random.default_rng(tile).integers(0, 255, (3, 20, 30), np.uint8)
        write(folder / "images" / f"tile{tile}_part_001.jpg", pixels, "JPEG")
        mask = np.empty((3, 20, 30), np.uint8)
        mask[:, :, :10] = np.reshape(PURPLE, (3, 1, 1))
        mask[:, :, 10:] = np.reshape(BLUE, (3, 1, 1))
        write(folder / "masks" / f"tile{tile}_part_001.png", mask, "PNG")
    return folder


def write(path: Path, pixels: np.ndarray, driver: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = pixels.shape
    shape = {"count": count, "height": height, "width": width}
    with rasterio.open(path, "w", driver=driver, dtype="uint8", **shape) as target:
        target.write(pixels)


def test_a_dataset_becomes_a_catalogue(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    result = prepare("dubai", source, target)
    assert result.exit_code == 0
    assert result.stderr.startswith("note: not all pictures are there: 1 of 54 train, 1 of 18 val")
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == f"{target}/catalogue.csv: 1 train, 1 val\n"
    catalogue = read_catalogue(target / "catalogue.csv")
    assert len(catalogue) == 2
    for scene in catalogue:
        with rasterio.open(scene.label) as label:
            codes = label.read(1)
        assert set(codes[:, :10].flat) == {0}
        assert set(codes[:, 10:].flat) == {4}


def test_json_is_one_object(source: Path, tmp_path: Path) -> None:
    result = prepare("dubai", source, tmp_path / "target", "--json")
    assert len(result.stdout.splitlines()) == 1
    data = json.loads(result.stdout)
    assert data["target"] == str(tmp_path / "target")
    assert data["scenes"] == {"train": 1, "val": 1}


def test_what_is_no_such_dataset_is_refused(source: Path, tmp_path: Path) -> None:
    (source / "masks" / "tile1_part_001.png").unlink()
    for folder, words in ((source, "has no mask"), (tmp_path / "none", "there is no folder")):
        result = prepare("dubai", folder, tmp_path / "target")
        assert (result.exit_code, result.stdout) == (1, "")
        assert len(result.stderr.splitlines()) == 1, result.exception
        assert words in result.stderr
        assert not (tmp_path / "target" / "catalogue.csv").exists()


@pytest.mark.parametrize("arguments", [(), ("dubai",), ("dubai", "a"), ("mars", "a", "b")])
def test_wrong_usage_exits_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    result = prepare(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert list(tmp_path.iterdir()) == []
