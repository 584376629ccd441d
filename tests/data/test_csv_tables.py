import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rsseg.data.csv_tables import read_csv
from rsseg.errors import CatalogueError, LegendError

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), max_size=8)


@given(
    st.lists(CELLS.map(str.strip), min_size=2, max_size=4, unique=True),
    st.data(),
    st.sampled_from(["utf-8", "utf-8-sig"]),
    st.sampled_from(["\n", "\r\n"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_was_written_is_read(tmp_path, columns, data, encoding, end):
    """Quotes, commas and line breaks in values too; spaces around them go."""
    width = st.integers(1, len(columns))
    sizes = data.draw(st.lists(width, max_size=3))
    rows = [data.draw(st.lists(CELLS, min_size=size, max_size=size)) for size in sizes]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows([columns, *rows])
    (tmp_path / "t.csv").write_bytes(text.getvalue().encode(encoding))
    table = read_csv(tmp_path / "t.csv", "a table", LegendError)
    assert table.columns == tuple(columns)
    filled = [[*row, *[""] * (len(columns) - len(row))] for row in rows]
    stripped = [dict(zip(columns, map(str.strip, row), strict=True)) for row in filled]
    assert [row for _, row in table.rows] == stripped


def test_lines_are_those_of_the_file(tmp_path):
    (tmp_path / "t.csv").write_text('a,b\n\n1,2\n"x\ny",3\n4\n', encoding="utf-8")
    table = read_csv(tmp_path / "t.csv", "a table", LegendError)
    assert [line for line, _ in table.rows] == [3, 5, 6]
    assert table.rows[-1][1] == {"a": "4", "b": ""}


def test_empty_columns_do_no_harm(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,,\n1,2,,\n", encoding="utf-8")
    table = read_csv(tmp_path / "t.csv", "a table", LegendError)
    assert {name: table.rows[0][1][name] for name in "ab"} == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, r"t\.csv cannot be read as a catalogue: No such file"),
        (b"a\xff,b\n", "cannot be read as a catalogue, expected a CSV in UTF-8"),
        (b"a,b\n1," + b"x" * 200_000, "cannot be read as a catalogue, line 2: field larger than"),
        (b'a,b\n"1,2\n3,4\n', "catalogue, line 3: unexpected end of data, expected a CSV; a quote"),
        (b'a,b\n"1"2,3\n', "cannot be read as a catalogue, line 2: ',' expected after '\"'"),
        (b"a,b, a\n", "has two columns 'a'"),
        (b"a;b\n", "has no commas between its columns, got 'a;b'; save it with commas"),
        (b"a\tb\n", "has no commas between its columns"),
        (b"a,b\n\n1,2,3\n", "line 3 has 3 values, expected 2; those that hold a comma"),
    ],
)
def test_other_files_are_refused(tmp_path, content, words):
    if content is not None:
        (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(CatalogueError, match=words):
        read_csv(tmp_path / "t.csv", "a catalogue", CatalogueError)
