"""Gains and offsets: from a table, from the TIFF, or none."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio

from rsseg.data.gaofen1.calibration import Calibration, calibration_of, read_gains
from rsseg.data.gaofen1.product import read_product
from rsseg.errors import OptionError

PLAIN = "band,gain,offset\nblue,0.2,1\ngreen,0.3,0\nred,0.4,-2\nnir,0.5,3\n"


@pytest.fixture
def table(tmp_path):
    """A function that writes a table."""

    def write(text: str) -> Path:
        path = tmp_path / "gains.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_plain_table_serves_all_scenes(table) -> None:
    expected = Calibration((0.2, 0.3, 0.4, 0.5), (1, 0, -2, 3))
    assert read_gains(table(PLAIN), "PMS1", 2013) == expected
    assert read_gains(table(PLAIN), "PMS2", 2020) == expected


def test_order_case_and_further_rows_do_not_matter(table) -> None:
    rows = ["NIR,3,0.5", " red ,-2,0.4", "pan,0,9", "Green,0,0.3", "blue,1,0.2"]
    text = "Band,Offset,Gain\n" + "\n".join(rows)
    assert read_gains(table(text), "PMS1", 2013) == read_gains(table(PLAIN), "PMS1", 2013)


def test_rows_of_other_sensors_and_years_are_passed_over(table) -> None:
    rows = [
        f"{sensor},{year},{band},{gain},0"
        for sensor, year, gain in (("PMS1", 2013, 0.1), ("PMS1", 2014, 0.2), ("PMS2", 2013, 0.3))
        for band in ("blue", "green", "red", "nir")
    ]
    path = table("sensor,year,band,gain,offset\n" + "\n".join(rows))
    assert read_gains(path, "PMS1", 2014).gains == (0.2,) * 4
    assert read_gains(path, "PMS2", 2013).gains == (0.3,) * 4
    with pytest.raises(OptionError, match="no gain of blue, green, red, nir for PMS2 in 2014"):
        read_gains(path, "PMS2", 2014)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no table of gains"),
        ("band,gain\nblue,1\n", "expected a CSV with the columns band, gain, offset"),
        (PLAIN.replace("red", "rot"), "no gain of red"),
        (PLAIN + "blue,1,1\n", "line 6: a second row for blue"),
        (PLAIN.replace("0.3", "much"), "line 3: gain or offset is no number"),
        (PLAIN.replace("0.3", "-0.3"), "gains must be above 0"),
        (PLAIN.replace("0.3", "nan"), "needs numbers"),
        ("band,gain,offset\nblue,0.1\n", "no number"),
    ],
)
def test_a_wrong_table_is_refused(table, text, words) -> None:
    with pytest.raises(OptionError, match=words):
        read_gains(table(text), "PMS1", 2013)


def test_a_missing_table_is_refused(tmp_path) -> None:
    with pytest.raises(OptionError, match="cannot be read as a table of gains"):
        read_gains(tmp_path / "none.csv", "PMS1", 2013)


def test_radiance_is_gain_times_number_plus_offset() -> None:
    calibration = Calibration((0.2, 0.3, 0.4, 0.5), (1, 0, -2, 3))
    numbers = np.full((4, 2, 3), 100, np.float32)
    stored = calibration.stored(numbers)
    assert stored.dtype == np.float32
    np.testing.assert_allclose(stored[:, 0, 0], [2100, 3000, 3800, 5300], rtol=1e-6)


def test_without_a_table_the_scales_of_the_tiff_count(delivered, tmp_path) -> None:
    folder = Path(shutil.copytree(delivered, tmp_path / delivered.name))
    product = read_product(folder)
    assert calibration_of(product, None) is None
    with rasterio.open(product.mss.path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.1, 0.2, 0.3, 0.4), (0, 0, 0, 1)
    told = calibration_of(product, None)
    assert told == Calibration((0.1, 0.2, 0.3, 0.4), (0, 0, 0, 1))


def test_the_table_goes_before_the_tiff(delivered, table) -> None:
    found = calibration_of(read_product(delivered), table(PLAIN))
    assert found is not None
    assert found.gains == (0.2, 0.3, 0.4, 0.5)
