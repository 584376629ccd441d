"""Claims: one holder at a time, and none for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from rsseg.prediction.parts import claims
from rsseg.prediction.parts.claims import SILENCE, Claims

HOLD = """
import sys, time
from pathlib import Path
from rsseg.prediction.parts.claims import Claims
with Claims(Path(sys.argv[1])) as mine:
    print(mine.take("7"), flush=True)
    time.sleep(60)
"""


def process_of(folder: Path) -> Path:
    (found,) = folder.glob("process_*")
    return found


def test_a_claim_has_one_holder(tmp_path: Path) -> None:
    with Claims(tmp_path) as one, Claims(tmp_path) as other:
        assert one.take("a")
        assert one.take("a"), "it has it already"
        assert not other.take("a")
        assert other.take("b")
        assert one.others() == other.others() == 1
    with Claims(tmp_path) as third:
        assert third.take("a"), "who had it has left"
        assert third.others() == 0


def test_many_at_once_get_it_once(tmp_path: Path) -> None:
    count = 12
    start = Barrier(count)

    def try_all(number: int) -> int:
        with Claims(tmp_path) as mine:
            start.wait()
            taken = sum(mine.take(f"{name}") for name in range(20))
            start.wait()
            return taken

    with ThreadPoolExecutor(count) as pool:
        assert sum(pool.map(try_all, range(count))) == 20


def test_a_dead_holder_is_replaced_once_by_many_at_once(tmp_path: Path) -> None:
    with Claims(tmp_path) as gone:
        assert gone.take("a")
    count = 12
    start = Barrier(count)

    def try_it(number: int) -> bool:
        with Claims(tmp_path) as mine:
            start.wait()
            taken = mine.take("a")
            start.wait()
            return taken

    with ThreadPoolExecutor(count) as pool:
        assert sum(pool.map(try_it, range(count))) == 1


def test_a_killed_process_is_known_dead_at_once(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        with Claims(tmp_path) as mine:
            assert not mine.take("7")
            process.kill()
            process.wait()
            assert mine.take("7")


def test_a_process_of_another_machine_is_dead_when_it_was_silent_long(tmp_path: Path) -> None:
    with Claims(tmp_path) as theirs:
        assert theirs.take("a")
        path = process_of(tmp_path)
        told = json.loads(path.read_text())
        path.write_text(json.dumps(told | {"place": "elsewhere", "process": 2**22 + 1}))
        with Claims(tmp_path) as mine:
            assert not mine.take("a"), "its number says nothing here"
            now = path.stat().st_mtime
            os.utime(path, (now, now - SILENCE / 2))
            assert not mine.take("a")
            os.utime(path, (now, now - SILENCE - 60))
            assert mine.take("a")
            assert not theirs.take("a"), "it was taken over"


def test_a_living_process_gives_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "BEAT", 0.01)
    with Claims(tmp_path):
        path = process_of(tmp_path)
        os.utime(path, (1, 1))
        for _ in range(500):
            if path.stat().st_mtime > 1:
                break
            __import__("time").sleep(0.01)
        assert path.stat().st_mtime > 1
    assert not path.exists()


def test_a_claim_without_a_name_is_held_until_it_is_old(tmp_path: Path) -> None:
    """Its process was killed between making the file and writing to it."""
    path = tmp_path / "claim_a.0"
    path.touch()
    with Claims(tmp_path) as mine:
        assert not mine.take("a")
        os.utime(path, (1, 1))
        assert mine.take("a")
