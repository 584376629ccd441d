import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsseg.errors import LegendError
from rsseg.legend import LAND_COVER, NODATA, LandClass, Legend

RED = (255, 0, 0)

byte = st.integers(0, 255)
legends = st.dictionaries(
    st.integers(0, 254), st.tuples(st.text(min_size=1), byte, byte, byte), min_size=1
).map(
    lambda rows: Legend(
        tuple(LandClass(code, f"{code} {name}", rgb) for code, (name, *rgb) in rows.items())
    )
)


@given(legends)
def test_json_round_trip(legend):
    copy = Legend.from_json(json.loads(json.dumps(legend.to_json())))
    assert copy.names == legend.names
    assert [c.hex for c in copy] == [c.hex for c in legend]
    assert np.array_equal(copy.codes, legend.codes)
    assert Legend.from_json(copy.to_json()) == copy


@given(legends)
def test_codes_and_indices_are_inverse(legend):
    assert np.array_equal(legend.indices[legend.codes], np.arange(len(legend)))
    unused = np.setdiff1d(np.arange(256), legend.codes)
    assert (legend.indices[unused] == NODATA).all()
    for code in range(256):
        known = legend.by_code(code)
        index = legend.indices[code]
        assert (known is None) == (index == NODATA)
        assert known is None or legend.classes[index] == known


@pytest.mark.parametrize("code", [-1, 255, 256])
def test_codes_outside_a_byte_and_nodata_are_refused(code):
    with pytest.raises(LegendError, match=rf"'a'.*0-254.*got {code}"):
        LandClass(code, "a", RED)


@pytest.mark.parametrize("colour", [(0, 0), (0, 0, 0, 0), (0, 0, 256), (-1, 0, 0)])
def test_colours_that_are_not_three_bytes_are_refused(colour):
    with pytest.raises(LegendError, match="colour"):
        LandClass(0, "a", colour)


def test_nameless_classes_are_refused():
    with pytest.raises(LegendError, match="code 7 has no name"):
        LandClass(7, "  ", RED)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ((), "at least one"),
        ((LandClass(3, "a", RED), LandClass(3, "b", RED)), "share the code 3"),
        ((LandClass(3, "a", RED), LandClass(4, "a", RED)), "share the name a"),
    ],
)
def test_contradictory_legends_are_refused(classes, message):
    with pytest.raises(LegendError, match=message):
        Legend(classes)


@pytest.mark.parametrize(
    "rows",
    [
        [{"code": 0, "name": "a"}],
        [{"code": "x", "name": "a", "colour": RED}],
        [{"code": 0, "name": "a", "colour": [1, 2]}],
        [{"code": 0, "name": "a", "colour": None}],
        ["a"],
        None,
    ],
)
def test_damaged_json_is_refused(rows):
    with pytest.raises(LegendError):
        Legend.from_json(rows)


def test_land_cover_has_alphabetical_classes_from_zero():
    assert LAND_COVER.names == tuple(sorted(LAND_COVER.names))
    assert LAND_COVER.codes.tolist() == list(range(5))
