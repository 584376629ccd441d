"""Files are opened rarely, lent to one thread at a time, and closed in the end."""

import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsseg.loading.open_files import OpenFiles


class File:
    """Counts who has it."""

    def __init__(self, number):
        self.number, self.closed, self.users = number, False, 0

    def close(self):
        assert not self.closed
        self.closed = True


@pytest.fixture
def opened():
    return []


@pytest.fixture
def files(opened):
    def make(most=128):
        def open_one(number):
            opened.append(File(number))
            return opened[-1]

        return OpenFiles(open_one, most)

    return make


def test_a_file_stays_open_for_the_next_one(files, opened):
    lender = files()
    for number in (3, 4, 3, 4, 3):
        with lender.lent(number) as file:
            assert (file.number, file.closed) == (number, False)
    assert [file.number for file in opened] == [3, 4]


def test_two_at_once_get_two(files, opened):
    lender = files()
    with lender.lent(1) as one, lender.lent(1) as other:
        assert one is not other
    with lender.lent(1) as one, lender.lent(1) as other:
        assert one is not other
    assert len(opened) == 2


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 4))
def test_those_unused_for_longest_are_closed(wanted, most):
    opened, order = [], []
    lender = OpenFiles(lambda number: opened.append(File(number)) or opened[-1], most)
    for number in wanted:
        held = number in order
        before = len(opened)
        with lender.lent(number):
            assert len(opened) == before + (not held)
        order = [*(each for each in order if each != number), number][-most:]
        assert sorted(file.number for file in opened if not file.closed) == sorted(order)


def test_a_file_that_failed_is_not_kept(files, opened):
    lender = files()
    with pytest.raises(OSError, match="damaged"), lender.lent(1):
        raise OSError("damaged")
    assert opened[0].closed
    with lender.lent(1) as file:
        assert file is opened[1]


def test_threads_never_share_a_file(files, opened):
    lender, inside = files(most=3), threading.Barrier(4, timeout=30)

    def use(number):
        with lender.lent(number % 2) as file:
            file.users += 1
            inside.wait()
            assert (file.users, file.closed) == (1, False)
            file.users -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(40)))
    assert Counter(file.closed for file in opened)[False] == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_opens_its_own(files, opened):
    lender = files()
    with lender.lent(1):
        pass
    child = os.fork()
    if not child:
        with lender.lent(1) as file:
            os._exit(0 if file is not opened[0] else 1)
    assert os.waitpid(child, 0)[1] == 0
