from hypothesis import given
from hypothesis import strategies as st

from rsseg.report import wording


@given(st.floats(1e-6, 1e9))
def test_a_round_length_is_the_next_below(most):
    found = wording.round_length(most)
    assert found <= most * (1 + 1e-9)
    assert found * 2.5 >= most * (1 - 1e-9)


def test_numbers_have_three_digits_or_more():
    texts = [
        wording.digits(value) for value in (0, 0.012345, 0.5, 1.5, 12.34, 99.96, 123.4, 1234.5)
    ]
    assert texts == ["0", "0.0123", "0.500", "1.50", "12.3", "100.0", "123", "1,234"]


def test_a_share_is_never_told_as_nothing():
    texts = [wording.share(part).replace("\xa0", " ") for part in (0, 1e-9, 0.0005, 0.25, 1)]
    assert texts == ["0.0 %", "< 0.1 %", "0.1 %", "25.0 %", "100.0 %"]
    assert wording.share(None) == wording.share(float("nan")) == wording.NOTHING


def test_areas_have_one_unit_by_their_whole():
    assert wording.area_unit(9_999).told(5_000) == "5,000\xa0m²"
    assert wording.area_unit(10_000).told(5_000) == "0.500\xa0ha"
    assert wording.area_unit(1e7).told(5_000) == "0.00500\xa0km²"


def test_places_have_their_hemisphere():
    assert wording.degrees(-4.5, -52) == "52.00000°\xa0S, 4.50000°\xa0W"
    assert wording.degrees(4.5, 52) == "52.00000°\xa0N, 4.50000°\xa0E"


def test_lengths_have_the_unit_that_is_read_easily():
    assert [wording.length(v) for v in (2000, 500, 0.5)] == ["2\xa0km", "500\xa0m", "500\xa0mm"]
