"""YAML of recipes: exponents are numbers, and no key is lost."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rsseg.training.yaml_text import from_text, to_text

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text("ab1e-.", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", min_size=1), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["data", "loss", "rate"]), PLAIN))
def test_what_is_written_reads_as_itself(values: dict[str, object]) -> None:
    assert from_text(to_text(values)) == values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-6", 1e-6),
        ("1E3", 1000.0),
        ("-2.e+2", -200.0),
        ("1.5e-2", 0.015),
        ("1e", "1e"),
        (".5e3", 500.0),
        ("7", 7),
    ],
)
def test_exponents_are_numbers(text: str, value: object) -> None:
    found = from_text(f"rate: {text}")["rate"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3", "s: {x: 1, x: 2}"])
def test_a_key_that_is_there_twice_is_refused(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match="'(a|x)' is there twice"):
        from_text(text)


def test_merged_sections_may_be_overruled() -> None:
    assert from_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}")["b"] == {"x": 1, "y": 3}
    nested = from_text("d:\n  a: &a {<<: {x: 1}, x: 2}\nc: {<<: *a, y: 1}")
    assert nested == {"d": {"a": {"x": 2}}, "c": {"x": 2, "y": 1}}


@pytest.mark.parametrize("text", ["2024-02-30", "!!int abc", "[1"])
def test_what_is_no_yaml_is_one_kind_of_error(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        from_text(text)
