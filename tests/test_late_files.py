"""Waiting for what other machines have made."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from rsseg import late_files
from rsseg.late_files import in_time


def test_what_is_there_is_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late_files.time, "sleep", lambda seconds: pytest.fail("it waited"))
    assert in_time(lambda: True, within=0)


def test_what_comes_late_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "late"
    timer = threading.Timer(0.3, file.touch)
    timer.start()
    assert in_time(file.exists)
    timer.join()


def test_what_does_not_come_is_waited_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    now = [0.0]
    monkeypatch.setattr(late_files.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(late_files.time, "sleep", lambda s: now.__setitem__(0, now[0] + s))
    assert not in_time(lambda: looks.append(time.monotonic()) or False)
    assert looks[0] == 0
    assert looks[-1] == late_files.LATE


def test_nobody_waits_without_hope(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late_files.time, "sleep", lambda seconds: pytest.fail("it waited"))
    assert not in_time(lambda: False, hopeless=lambda: True)
