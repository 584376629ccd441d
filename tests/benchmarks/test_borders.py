"""Seams are told from chance, from undecided places and from errors everywhere."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

SIDE, STRIDE, OVERLAP = 640, 96, 32


@pytest.fixture
def borders(monkeypatch):
    """`benchmarks/predicting/borders.py` as a module."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks" / "predicting"))
    yield import_module("borders")
    sys.modules.pop("borders")


@pytest.fixture
def reference(borders):
    """Patches of four classes, sure in the left half and undecided in the right."""
    random = np.random.default_rng(0)
    patches = random.integers(0, 4, (SIDE // 8, SIDE // 8), dtype=np.uint8)
    margin = np.full((SIDE, SIDE), 200, np.uint8)
    margin[:, SIDE // 2 :] = 10
    return borders.Reference(np.kron(patches, np.ones((8, 8), np.uint8)), margin)


def spoilt(reference, where: np.ndarray, share: float) -> np.ndarray:
    """The reference with other classes at a share of the pixels of a mask."""
    random = np.random.default_rng(1)
    wrong = where & (random.random(where.shape) < share)
    return np.where(wrong, (reference.codes + 1) % 4, reference.codes).astype(np.uint8)


def near(borders, overlap: int = OVERLAP) -> np.ndarray:
    """Pixels near the lines, by their distance."""
    lines = np.array(borders.border_lines(SIDE, STRIDE, overlap))
    apart = np.abs(np.arange(SIDE)[:, None] + 0.5 - lines).min(axis=1) < borders.BAND
    return apart[:, None] | apart


def test_the_reference_itself_has_no_seams(reference):
    seams = reference.seam_error(reference.codes, STRIDE, OVERLAP)
    assert (seams.near, seams.chance, seams.elsewhere) == (0, 0, 0)


def test_where_no_border_is_there_are_none_to_tell_of(borders):
    flat = np.zeros((64, 64), np.uint8)
    seams = borders.Reference(flat, flat).seam_error(flat, STRIDE, 0)
    assert np.isnan(seams.near)
    assert np.isnan(seams.cuts)


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_errors_near_borders_are_told_to_the_share(borders, reference, share):
    codes = spoilt(reference, near(borders), share)
    seams = reference.seam_error(codes, STRIDE, OVERLAP)
    assert seams.near == pytest.approx(share, abs=0.005)
    assert seams.elsewhere == 0


def test_errors_everywhere_are_no_seams(borders, reference):
    codes = spoilt(reference, np.ones((SIDE, SIDE), bool), 0.3)
    seams = reference.seam_error(codes, STRIDE, OVERLAP)
    assert abs(seams.near) < 0.01
    assert seams.elsewhere == pytest.approx(0.3, abs=0.01)


def test_undecided_places_are_no_seams(borders):
    """Where borders happen to lie in them, and all errors do."""
    band = near(borders)
    margin = np.where(band, 10, 200).astype(np.uint8)
    margin[: SIDE // 2] = 10
    margin[SIDE // 2 + 1 :: 7] = 200
    reference = borders.Reference(np.zeros((SIDE, SIDE), np.uint8), margin)
    codes = spoilt(reference, margin == 10, 0.4)
    plain = (codes != 0)[band].mean() - (codes != 0)[~band].mean()
    assert plain > 0.1
    assert abs(reference.seam_error(codes, STRIDE, OVERLAP).near) < 0.01


def test_chance_is_how_far_errors_in_patches_lead_astray(borders, reference):
    random = np.random.default_rng(2)
    patches = np.kron(random.random((5, 5)) < 0.3, np.ones((128, 128), bool))
    seams = reference.seam_error(spoilt(reference, patches, 1), STRIDE, OVERLAP)
    single = spoilt(reference, np.ones((SIDE, SIDE), bool), 0.3)
    assert seams.chance > 3 * reference.seam_error(single, STRIDE, OVERLAP).chance
    assert abs(seams.near) < 4 * seams.chance


def test_cuts_are_changes_across_borders(borders, reference):
    noise = np.random.default_rng(0).integers(0, 4, (SIDE, SIDE), dtype=np.uint8)
    assert reference.seam_error(noise, STRIDE, OVERLAP).cuts == pytest.approx(1, abs=0.02)
    block = np.arange(SIDE) // STRIDE
    codes = ((block[:, None] + block) % 4).astype(np.uint8)
    seams = reference.seam_error(codes, STRIDE, 0)
    changes = (np.diff(codes, axis=0) != 0).mean()
    assert seams.cuts == pytest.approx(1 / changes)


@pytest.mark.parametrize(
    ("overlap", "lines"), [(0, [96, 192]), (32, [16, 32, 96, 112, 128, 192]), (48, [24, 48, 96])]
)
def test_lines_are_where_windows_begin_end_and_hand_over(borders, overlap, lines):
    found = borders.border_lines(200, 96, overlap)
    assert [line for line in found if line in lines] == lines
    assert all((line % 96) in (0, overlap // 2, overlap) for line in found)
