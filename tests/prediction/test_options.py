"""What a user may type, and what is refused at once."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rsseg.errors import OptionError, RssegError
from rsseg.prediction import PredictOptions
from rsseg.prediction.memory import machine_memory, peak_memory
from rsseg.prediction.options import parse_bands, parse_bytes, parse_overlap


@pytest.mark.parametrize(
    ("text", "value"),
    [("128", 128), ("0", 0), ("0.25", 0.25), (".5", 0.5), ("0.", 0.0), (" 12 ", 12)],
)
def test_an_overlap_with_a_decimal_point_is_a_fraction(text: str, value: int | float) -> None:
    parsed = parse_overlap(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("text", ["", "a quarter", "25%", "1e-1", "nan", "0.5.5", "inf"])
def test_other_overlaps_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="expected pixels"):
        parse_overlap(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2GB", 2 * 10**9),
        ("2 GB", 2 * 10**9),
        ("2GiB", 2 * 2**30),
        ("500M", 500 * 10**6),
        ("1.5g", 15 * 10**8),
        ("64kb", 64_000),
        ("64KiB", 2**16),
        ("1T", 10**12),
        ("1000", 1000),
        ("1000B", 1000),
    ],
)
def test_amounts_of_memory(text: str, value: int) -> None:
    assert parse_bytes(text) == value


@pytest.mark.parametrize("text", ["", "GB", "-2GB", "2PB", "two", "2,5GB", "1e9", "nan"])
def test_other_amounts_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="such as 2GB"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "bands"),
    [
        ("4,1,2", (4, 1, 2)),
        ("nir, red ,green", ("nir", "red", "green")),
        ("1,nir,", (1, "nir")),
        ("", ()),
    ],
)
def test_bands(text: str, bands: tuple[int | str, ...]) -> None:
    assert parse_bands(text) == bands


@given(st.text())
@example("²")
def test_no_text_breaks_a_parser(text: str) -> None:
    for parse in (parse_overlap, parse_bytes, parse_bands):
        try:
            parse(text)
        except RssegError as error:
            assert "\n" not in str(error)  # noqa: PT017 - there may be no error either


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"tile_size": 0}, "tile size"),
        ({"batch_size": 0}, "batch size"),
        ({"blend": "average"}, "expected taper or uniform, got average"),
        ({"engine": "tensorflow"}, "expected auto, torch, openvino"),
        ({"precision": "int4"}, "no such precision"),
        ({"device": "gpu"}, "expected auto, cpu, cuda, cuda:N, several such as cuda:0,cuda:1"),
        ({"device": "cuda:"}, "no such device"),
        ({"overlap": 1.0}, "a fraction"),
        ({"overlap": 1.5}, "a fraction"),
        ({"overlap": -0.1}, "a fraction"),
        ({"overlap": math.nan}, "a fraction"),
        ({"overlap": -1}, "negative"),
        ({"gsd": 0.0}, "no positive number"),
        ({"gsd": math.inf}, "no positive number"),
        ({"gsd": math.nan}, "no positive number"),
    ],
)
def test_values_out_of_range_are_refused(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        PredictOptions(**choices)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_devices(device: str) -> None:
    assert PredictOptions(device=device).device == device


@pytest.mark.parametrize(
    ("choices", "window", "stride"),
    [
        ({}, 512, 384),
        ({}, 1, 1),
        ({}, 3, 3),
        ({"blend": "uniform"}, 512, 170),
        ({"blend": "uniform"}, 2, 1),
        ({"overlap": 0}, 512, 512),
        ({"overlap": 128}, 512, 384),
        ({"overlap": 511}, 512, 1),
        ({"overlap": 0.25}, 512, 384),
        ({"overlap": 0.25, "blend": "uniform"}, 512, 384),
        ({"overlap": 0.25}, 333, 249),
        ({"overlap": 0.999}, 512, 1),
        ({"overlap": 0.0}, 512, 512),
    ],
)
def test_strides(choices: dict[str, Any], window: int, stride: int) -> None:
    assert PredictOptions(**choices).stride(window) == stride


@given(st.integers(1, 4096), st.integers(0, 99))
def test_the_stride_of_a_fraction_is_rounded_down(window: int, percent: int) -> None:
    """max(1, floor(window * (1 - fraction))), as the paper's protocol has it."""
    stride = PredictOptions(overlap=percent / 100).stride(window)
    assert stride == max(1, window * (100 - percent) // 100)


def test_an_overlap_of_the_whole_window_is_refused() -> None:
    with pytest.raises(OptionError, match="expected < 64 pixels, got 64"):
        PredictOptions(overlap=64).stride(64)


def test_memory_defaults_to_a_quarter_of_the_machine() -> None:
    assert PredictOptions().memory_limit == machine_memory() // 4
    assert PredictOptions(memory=5).memory_limit == 5


def test_memory_is_read_in_bytes() -> None:
    assert 2**28 < machine_memory() < 2**50
    assert 2**20 < peak_memory() < machine_memory()
