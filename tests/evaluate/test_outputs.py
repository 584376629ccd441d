"""Outputs refused before any work."""

from pathlib import Path

import pytest

from rsseg.errors import OptionError, OutputError
from rsseg.evaluate import require_outputs


@pytest.fixture
def made(tmp_path):
    """A map with its style, and its truth."""
    for name in ("map.tif", "map.qml", "map.tif.aux.xml", "truth.tif"):
        (tmp_path / name).write_text(name)
    return tmp_path


def check(folder, report=None, picture=None, errors=None, **options):
    wanted = [None if name is None else folder / name for name in (report, picture, errors)]
    require_outputs(*wanted, inputs=(folder / "map.tif", folder / "truth.tif"), **options)


def test_free_names_are_accepted_and_nothing_is_left(made):
    before = sorted(made.iterdir())
    check(made, "r.json", "c.png", "e.tif")
    check(made)
    assert sorted(made.iterdir()) == before


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"report": "r.txt"}, r"expected a name ending in \.json or \.csv"),
        ({"picture": "c.tif"}, r"expected a name ending in \.png or "),
        ({"errors": "e.png"}, r"expected a name ending in \.tif or \.tiff"),
        ({"errors": "truth.tif"}, "would replace its own input; choose another name"),
        ({"errors": "map.tiff"}, r"would replace \S*map\.qml, which goes with an input"),
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_unusable_names_are_refused(made, wanted, message, overwrite):
    with pytest.raises(OptionError, match=message):
        check(made, **wanted, overwrite=overwrite)


@pytest.mark.parametrize("there", ["e.tif", "e.qml", "e.tif.aux.xml"])
def test_files_that_are_there_are_kept_without_overwrite(made, there):
    (made / there).write_text("mine")
    with pytest.raises(OutputError, match=rf"{there} is already there; add --overwrite"):
        check(made, errors="e.tif")
    check(made, errors="e.tif", overwrite=True)
    assert (made / there).read_text() == "mine"


@pytest.mark.parametrize("what", ["report", "picture", "errors"])
def test_folders_are_looked_at_for_every_output(made, monkeypatch, what):
    name = {"report": "r.csv", "picture": "c.pdf", "errors": "e.tif"}[what]
    with pytest.raises(OutputError, match="there is no folder .*gone; make it first"):
        check(made, **{what: f"gone/{name}"})
    (made / "folder").mkdir()
    (made / "folder" / name).mkdir()
    with pytest.raises(OutputError, match="is a folder, expected the name of a file"):
        check(made, **{what: f"folder/{name}"}, overwrite=True)

    def full(dir):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(OutputError, match=rf"{name} cannot be written: Read-only file system"):
        check(made, **{what: name})


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
def test_a_folder_that_takes_no_file_is_refused(made):
    with pytest.raises(OutputError, match=r"/proc/r\.json cannot be written: "):
        require_outputs("/proc/r.json", inputs=(made / "map.tif",))


def test_inputs_that_are_no_files_do_not_matter(tmp_path):
    require_outputs(errors=tmp_path / "e.tif", inputs=("", "https://example.org/a.tif", tmp_path))
