import pytest

from rsseg.errors import OptionError, OutputError
from rsseg.writable import require_writable


@pytest.fixture
def there(tmp_path):
    (tmp_path / "in.tif").write_text("input")
    (tmp_path / "in.qml").write_text("its style")
    return tmp_path


def test_a_free_name_is_accepted_and_nothing_is_left(there):
    before = sorted(there.iterdir())
    require_writable(there / "out.TIF", (".tif",), inputs=(there / "in.tif", "gone", ""))
    require_writable(there / "out.any")
    assert sorted(there.iterdir()) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_names_that_can_never_be_written(there, overwrite):
    inputs = (there / "in.tif", there / "in.qml")
    for name, beside, message in (
        ("out.png", (), r"expected a name ending in \.tif or \.tiff"),
        ("in.tif", (), "would replace its own input"),
        ("out.tif", (there / "in.qml",), r"would replace \S*in\.qml, which goes with an input"),
    ):
        with pytest.raises(OptionError, match=message):
            require_writable(
                there / name, (".tif", ".tiff"), beside=beside, inputs=inputs, overwrite=overwrite
            )
    (there / "folder.tif").mkdir()
    for name, message in (("no/out.tif", "there is no folder"), ("folder.tif", "is a folder")):
        with pytest.raises(OutputError, match=message):
            require_writable(there / name, overwrite=overwrite)


def test_what_is_there_stays_unless_told(there):
    with pytest.raises(OutputError, match=r"in\.tif is already there; add --overwrite"):
        require_writable(there / "in.tif")
    require_writable(there / "in.tif", overwrite=True)
    assert (there / "in.tif").read_text() == "input"
