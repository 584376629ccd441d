import os
import re
import subprocess
import sys
import time

import pytest

from rsseg.replacing import DAY, remove_unfinished, replacing

NAMES = ["map.tif", "map[1].tif", "a*b.tif", "Straße", ".hidden"]


@pytest.mark.parametrize("name", NAMES)
def test_success_replaces_and_leaves_nothing_else(tmp_path, name):
    target = tmp_path / name
    for text in ("first", "second"):
        with replacing(target) as unfinished:
            assert unfinished.parent == target.parent
            assert unfinished.name.endswith(target.suffix)
            unfinished.write_text(text)
        assert target.read_text() == text
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", NAMES)
def test_failure_leaves_nothing_and_keeps_the_old(tmp_path, name):
    target = tmp_path / name
    for before in ([], [target]):
        with pytest.raises(KeyboardInterrupt):
            _interrupted(target)
        assert list(tmp_path.iterdir()) == before
        target.write_text("old")
    assert target.read_text() == "old"


def _interrupted(target):
    with replacing(target) as unfinished:
        unfinished.write_text("half")
        unfinished.with_name(unfinished.name + ".aux.xml").write_text("GDAL's")
        raise KeyboardInterrupt


def test_nothing_written_is_a_failure_that_keeps_the_old(tmp_path):
    target = tmp_path / "map.tif"
    target.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(target):
        pass
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_files_of_others_with_like_names_are_left_alone(tmp_path):
    other = tmp_path / "map.unfinished.tif"
    other.write_text("mine")
    with replacing(tmp_path / "map.tif") as unfinished:
        unfinished.write_text("x")
    assert other.read_text() == "mine"


def test_two_may_write_one_file_at_once(tmp_path):
    target = tmp_path / "map.tif"
    with replacing(target) as one, replacing(target) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert target.read_text() == "one"  # the outer one ended last
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_killed_process_left_goes_but_not_what_a_live_one_writes(tmp_path):
    target = tmp_path / "map.tif"
    script = (
        "import os, sys; from rsseg.replacing import replacing\n"
        "with replacing(sys.argv[1]) as file:\n"
        "    file.write_text('half'); file.with_name(file.name + '.aux.xml').write_text('x')\n"
        "    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", script, target], check=False)
    assert len(list(tmp_path.iterdir())) == 2
    with replacing(target) as mine:
        mine.write_text("mine")
        with replacing(target) as other:
            other.write_text("other")
        assert sorted(tmp_path.iterdir()) == [mine, target]


def test_what_another_machine_left_goes_after_a_day(tmp_path):
    target = tmp_path / "map.tif"
    for age, left in ((2 * DAY, False), (60, True)):
        with replacing(target) as unfinished:
            name = unfinished.name
            unfinished.write_text("x")
        theirs = tmp_path / re.sub(r"[0-9a-f]{8}-", "00000000-", name)
        theirs.write_text("half")
        os.utime(theirs, times=(time.time() - age,) * 2)
        with replacing(target) as unfinished:
            unfinished.write_text("y")
        assert theirs.exists() == left


def test_what_is_unfinished_can_be_removed_at_any_time(tmp_path, monkeypatch):
    first, second = tmp_path / "first.tif", tmp_path / "second.tif"
    first.write_text("old")

    def unlink(path, missing_ok):
        if "first" in path.name:
            raise PermissionError(path)
        os.unlink(path)

    def write():
        with replacing(first) as a, replacing(second) as b:
            a.write_text("half")
            b.write_text("half")
            b.with_name(b.name + ".ovr").write_text("GDAL's")
            with monkeypatch.context() as patch:
                patch.setattr(type(first), "unlink", unlink)
                remove_unfinished()
            assert sorted(tmp_path.iterdir()) == sorted([a, first])
            remove_unfinished()
            assert list(tmp_path.iterdir()) == [first]

    with pytest.raises(FileNotFoundError):
        write()
    assert first.read_text() == "old"
