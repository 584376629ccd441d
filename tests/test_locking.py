"""A lock keeps others out as long as its holder lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from rsseg.locking import FileLock

HOLD = """
import sys, time
from pathlib import Path
from rsseg.locking import FileLock
lock = FileLock(Path(sys.argv[1]))
print(lock.acquire(), flush=True)
time.sleep(60)
"""


def test_one_lock_at_a_time(tmp_path: Path) -> None:
    one, other = (FileLock(tmp_path / "lock") for _ in range(2))
    assert one.acquire()
    assert not other.acquire()
    one.release()
    assert other.acquire()
    one.release()  # it has none: nothing happens
    assert not one.acquire()
    other.release()


def test_it_ends_with_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "True"
        assert not FileLock(path).acquire()
        process.kill()
    lock = FileLock(path)
    assert lock.acquire()
    lock.release()
