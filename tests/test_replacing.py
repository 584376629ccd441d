import pytest

from rsseg.replacing import replacing

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
