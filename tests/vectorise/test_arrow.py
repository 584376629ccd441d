"""The stream that GDAL pulls: what goes in comes out, and nothing is freed too early or never."""

import contextlib
import gc
import signal
import sys
import weakref

import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyogrio.raw import read, write_arrow

from rsseg.vectorise import arrow
from rsseg.vectorise.arrow import BINARY, FLOAT64, INT32, TEXT, ArrowStream, Column

FORMATS = {"number": INT32, "text": TEXT, "share": FLOAT64, "geom": BINARY}

rows = st.lists(
    st.tuples(
        st.integers(-(2**31), 2**31 - 1),
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5),
        st.one_of(st.floats(0, 1), st.just(float("nan"))),
        st.integers(0, 9),
    ),
    max_size=20,
)


def columns(batch):
    numbers, texts, shares, places = zip(*batch, strict=True)
    squares = shapely.box(places, 0, np.array(places) + 1, 1)
    return [
        Column.numbers(np.array(numbers, np.int32)),
        Column.pieces([text.encode() for text in texts]),
        Column.numbers(np.array(shares)),
        Column.pieces(shapely.to_wkb(squares)),
    ]


def write(stream, path):
    write_arrow(
        stream, path, driver="GPKG", geometry_name="geom", geometry_type="Polygon", crs="EPSG:32633"
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(batches=st.lists(rows, max_size=4))
def test_what_goes_in_comes_out(tmp_path, batches):
    path = tmp_path / "out.gpkg"
    path.unlink(missing_ok=True)
    batches = [batch for batch in batches if batch]
    write(ArrowStream(FORMATS, map(columns, batches)), path)
    meta, _, geometries, fields = read(path)
    assert list(meta["fields"]) == ["number", "text", "share"]
    everything = [row for batch in batches for row in batch]
    assert len(geometries) == len(everything)
    for row, number, text, share, geometry in zip(everything, *fields, geometries, strict=True):
        assert (row[0], row[1]) == (number, text)
        assert share == pytest.approx(row[2], nan_ok=True, abs=0)
        assert shapely.from_wkb(geometry).bounds == (row[3], 0, row[3] + 1, 1)


def test_missing_numbers_are_null(tmp_path):
    batch = [(1, "a", float("nan"), 0), (2, "b", 0.5, 1)]
    write(ArrowStream(FORMATS, iter([columns(batch)])), tmp_path / "out.gpkg")
    found = pyogrio.read_dataframe(tmp_path / "out.gpkg", where="share IS NULL")
    assert found["number"].tolist() == [1]


def test_batches_are_pulled_one_by_one_and_freed(tmp_path):
    made, alive = [], []

    def batches():
        for number in range(20):
            batch = columns([(number, "a", 0.5, 1)] * 10)
            made.extend(weakref.ref(column) for column in batch)
            alive.append(sum(column() is not None for column in made))
            yield batch

    stream = ArrowStream(FORMATS, batches())
    write(stream, tmp_path / "out.gpkg")
    assert stream.ended
    assert len(alive) == 20
    assert max(alive) <= 2 * len(FORMATS)
    del stream
    gc.collect()
    assert not any(column() for column in made)


def test_the_stream_is_freed_with_its_consumer(tmp_path):
    stream = ArrowStream(FORMATS, iter([columns([(1, "a", 0.5, 1)])]))
    ghost = weakref.ref(stream)
    write(stream, tmp_path / "out.gpkg")
    del stream
    gc.collect()
    assert ghost() is None


def test_a_failure_is_kept(tmp_path):
    def batches():
        yield columns([(1, "a", 0.5, 1)])
        raise KeyboardInterrupt

    stream = ArrowStream(FORMATS, batches())
    with pytest.raises(RuntimeError):
        write(stream, tmp_path / "out.gpkg")
    assert isinstance(stream.failure, KeyboardInterrupt)
    assert not stream.ended


@pytest.fixture
def interrupt_in():
    """Has a Ctrl-C come at the n-th call of a function, just before its first line."""

    def interrupt(function, number):
        calls = 0

        def look(frame, event, _):
            nonlocal calls
            if event == "call" and frame.f_code is function.__code__:
                calls += 1
                if calls == number:
                    signal.raise_signal(signal.SIGINT)

        sys.setprofile(look)

    before = sys.getprofile()
    yield interrupt
    sys.setprofile(before)


@pytest.mark.parametrize("function", [arrow._release, ArrowStream._next, ArrowStream._pull])
@pytest.mark.parametrize("number", [1, 3])
def test_ctrl_c_is_not_lost_wherever_it_comes(tmp_path, interrupt_in, function, number):
    batches = [columns([(n, "a", 0.5, 1)]) for n in range(3)]
    stream = ArrowStream(FORMATS, iter(batches))
    interrupt_in(function, number)
    with contextlib.suppress(RuntimeError), stream.consumed():
        write(stream, tmp_path / "out.gpkg")
    sys.setprofile(None)
    assert isinstance(stream.failure, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_interrupts_the_making_of_a_batch(tmp_path):
    made = []

    def batches():
        yield columns([(1, "a", 0.5, 1)])
        signal.raise_signal(signal.SIGINT)
        made.append("more")
        yield columns([(2, "a", 0.5, 1)])

    stream = ArrowStream(FORMATS, batches())
    with pytest.raises(RuntimeError), stream.consumed():
        write(stream, tmp_path / "out.gpkg")
    assert isinstance(stream.failure, KeyboardInterrupt)
    assert not made


def test_whoever_deals_with_ctrl_c_goes_on_doing_so(tmp_path):
    told = []
    before = signal.signal(signal.SIGINT, lambda *_: told.append(1))
    try:

        def batches():
            signal.raise_signal(signal.SIGINT)
            yield columns([(1, "a", 0.5, 1)])

        stream = ArrowStream(FORMATS, batches())
        with stream.consumed():
            write(stream, tmp_path / "out.gpkg")
    finally:
        signal.signal(signal.SIGINT, before)
    assert stream.ended
    assert told == [1]


def test_pyarrow_reads_it_too():
    pyarrow = pytest.importorskip("pyarrow")
    batch = [(1, "ä", float("nan"), 0), (2, "", 0.5, 1)]
    table = pyarrow.table(ArrowStream(FORMATS, map(columns, [batch] * 3)))
    table.validate(full=True)
    kept = table.column("text").slice(1, 2)
    del table
    gc.collect()
    assert kept.to_pylist() == ["", "ä"]
