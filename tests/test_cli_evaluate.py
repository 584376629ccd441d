"""``rsseg evaluate`` on the command line."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from click.testing import CliRunner, Result
from rasterio.crs import CRS

from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import LAND_COVER, NODATA
from rsseg_cli.main import main

KEYS = ["oa", "miou", "mean_accuracy", "kappa", "f1", "f1_of_means", "precision", "recall"]
ROW = ["iou", "f1", "precision", "recall", "accuracy", "pixels"]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A map of two classes with a corner of nodata, and its truth, right in three of four."""
    truth = np.zeros((8, 8), np.uint8)
    truth[:, 4:] = 4
    prediction = truth.copy()
    prediction[4:, :4] = 4
    prediction[0, 0] = NODATA
    grid = Grid(8, 8, Affine(2, 0, 5e5, 0, -2, 5e6), CRS.from_epsg(32633))
    for name, codes in (("map.tif", prediction), ("truth.tif", truth)):
        write_raster(tmp_path / name, codes[None], grid, nodata=NODATA, legend=LAND_COVER)
    return tmp_path / "map.tif", tmp_path / "truth.tif"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def table(path: Path) -> dict[tuple[str, str, str], str]:
    """Values of a CSV report by score, class and predicted class; notes are left out."""
    with path.open(encoding="utf-8", newline="") as source:
        rows = [row for row in csv.DictReader(source) if row["score"] != "note"]
    found = {(row["score"], row["class"], row["predicted"]): row["value"] for row in rows}
    assert len(found) == len(rows)
    return found


def test_json_has_the_scores_by_their_keys(files: tuple[Path, Path]) -> None:
    done = run(*files, "--json")
    assert done.exit_code == 0, done.stderr
    data = json.loads(done.stdout)
    assert set(KEYS) | {"classes", "confusion", "unpredicted", "fwiou"} <= set(data)
    assert data["oa"] == 47 / 64
    assert data["unpredicted"] == 1 / 64
    assert list(data["classes"]) == list(LAND_COVER.names)
    assert list(data["classes"]["water"]) == ROW
    assert data["classes"]["land"] == dict.fromkeys(ROW) | {"pixels": 0}
    assert "boundary_f1" not in data
    data = json.loads(run(*files, "--json", "--boundary", 1).stdout)
    assert 0 < data["boundary_iou"] < data["boundary_f1"] < 1
    assert "boundary_f1" in data["classes"]["water"]


def test_people_get_tables(files: tuple[Path, Path]) -> None:
    done = run(*files)
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["water", "0.667", "0.800", "0.667", "1.000", "0.750", "32"] in lines
    assert ["land", "-", "-", "-", "-", "-", "0"] in lines
    assert ["overall", "accuracy", "0.734"] in lines
    assert done.stderr == ""
    assert run(*files, "--quiet").stdout == ""


def test_people_see_eroded_and_full_truth_side_by_side(files: tuple[Path, Path]) -> None:
    eroded = json.loads(run(*files, "--json", "--erode", 1, "--boundary", 1).stdout)
    done = run(*files, "--erode", 1, "--boundary", 1)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["all", "eroded", "truth", "full", "truth"] in lines
    assert ["overall", "accuracy", f"{eroded['oa']:.3f}", "0.734"] in lines
    assert ["boundary", "iou", "-", f"{eroded['boundary_iou']:.3f}"] in lines
    heads = [" ".join(line) for line in lines if line[:1] == ["class,"]]
    assert heads == [
        "class, eroded truth iou f1 precision recall accuracy pixels",
        "class, full truth iou f1 precision recall accuracy boundary f1 boundary iou pixels",
    ]
    water = [line for line in lines if line[:1] == ["water"]]
    assert [row[-1] for row in water] == ["24", "32"]
    assert water[1][1:6] == ["0.667", "0.800", "0.667", "1.000", "0.750"]


def test_the_settings_are_told(files: tuple[Path, Path]) -> None:
    out = files[0].with_name("r.csv")
    options = ["--erode", 1.5, "--ignore", "land,road", "--out", out]
    data = json.loads(run(*files, "--json", *options).stdout)
    assert data["settings"] == {
        "prediction": str(files[0]),
        "truth": str(files[1]),
        "truth_kind": "raster",
        "matched_by": "name",
        "erode": 1.5,
        "boundary": None,
        "ignore": ["land", "road"],
        "classes": None,
    }
    found = table(out)
    assert found["setting_ignore", "", ""] == "land,road"
    assert found["setting_erode", "", ""] == "1.5"
    assert float(found["full_oa", "", ""]) == data["full"]["oa"]
    assert int(found["full_confusion", "building", "water"]) == 16
    assert int(found["full_pixels", "water", ""]) == 32


def test_options_reach_the_tool(files: tuple[Path, Path]) -> None:
    data = json.loads(run(*files, "--json", "--erode", 1).stdout)
    assert data["classes"]["water"]["pixels"] == 3 * 8
    assert data["full"]["oa"] == 47 / 64
    assert list(data["full"]["classes"]["water"]) == ROW
    data = json.loads(run(*files, "--json", "--ignore", "building, land").stdout)
    assert "full" not in data
    assert (data["oa"], data["miou"]) == (1, 1)
    data = json.loads(run(*files, "--json", "--classes", "water").stdout)
    assert (data["oa"], data["miou"]) == (47 / 64, data["classes"]["water"]["iou"])


def test_points_get_estimates_and_notes(files: tuple[Path, Path]) -> None:
    points = files[0].with_name("points.gpkg")
    xs, ys = 5e5 + np.array([3, 5, 11, 13, 1e4]), np.full(5, 5e6 - 3)
    geopandas.GeoDataFrame(
        {"kind": ["building", "building", "water", "building", "water"]},
        geometry=shapely.points(xs, ys),
        crs=32633,
    ).to_file(points)
    done = run(files[0], points, "--field", "kind")
    assert done.exit_code == 0, done.stderr
    assert "overall accuracy of the whole map: 0.619 ±" in done.stdout
    assert "note: 1 point lies outside the map" in done.stderr
    out = points.with_suffix(".csv")
    done = run(files[0], points, "--field", "kind", "--out", out, "--json")
    data = json.loads(done.stdout)
    assert data["settings"]["truth_kind"] == "points"
    assert (data["settings"]["field"], data["settings"]["layer"]) == ("kind", "points")
    found = table(out)
    rows = data["estimates"]["classes"]
    for name, row in rows.items():
        assert float(found["mapped_area", name, ""]) == row["mapped_area"]
        assert int(found["points", name, ""]) == row["points"]
        for key in ("area", "users_accuracy", "producers_accuracy"):
            error = row[key]["standard_error"]
            text = found[f"estimated_{key}_standard_error", name, ""]
            assert text == ("" if error is None else str(error))
    low, high = rows["water"]["area"]["interval"]
    assert float(found["estimated_area_low", "water", ""]) == low
    assert float(found["estimated_area_high", "water", ""]) == high
    share = data["estimates"]["proportions"][0][4]  # mapped as building, truly water
    assert share is not None
    assert float(found["estimated_proportion", "water", "building"]) == share


def test_a_layer_is_chosen_by_name(files: tuple[Path, Path]) -> None:
    path = files[0].with_name("t.gpkg")
    for layer, right in (("one", 5e5 + 8), ("two", 5e5 + 4)):
        box = shapely.box(5e5, 5e6 - 16, right, 5e6)
        frame = geopandas.GeoDataFrame({"class": ["building"]}, geometry=[box], crs=32633)
        frame.to_file(path, layer=layer)
    data = json.loads(run(files[0], path, "--layer", "two", "--json").stdout)
    assert data["classes"]["building"]["pixels"] == 2 * 8
    assert data["settings"]["layer"] == "two"
    done = run(files[0], path, "--layer", "three")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "has no layer 'three', got one, two" in done.stderr


def test_outputs_are_written_whole_and_kept(files: tuple[Path, Path]) -> None:
    folder = files[0].parent / "out"
    folder.mkdir()
    outputs = {"--out": "r.json", "--plot": "c.png", "--errors": "e.tif"}
    call = [*files, *(word for o, name in outputs.items() for word in (o, folder / name))]
    done = run(*call, "--json")
    assert done.exit_code == 0, done.stderr
    expected = ["c.png", "e.qml", "e.tif", "e.tif.aux.xml", "r.json"]
    assert sorted(path.name for path in folder.iterdir()) == expected
    assert json.loads((folder / "r.json").read_text()) == json.loads(done.stdout)
    assert (folder / "c.png").read_bytes().startswith(b"\x89PNG")
    for option, name in outputs.items():
        (folder / name).write_text("mine")
        done = run(*files, option, folder / name)
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
        assert "is already there; add --overwrite" in done.stderr
        assert (folder / name).read_text() == "mine"
    for name in ("e.qml", "e.tif.aux.xml"):
        (folder / "e.tif").unlink(missing_ok=True)
        (folder / name).write_text("mine")
        done = run(*files, "--errors", folder / "e.tif")
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
        assert "is already there; add --overwrite" in done.stderr
        assert (folder / name).read_text() == "mine"
    assert run(*call, "--overwrite").exit_code == 0
    assert (folder / "e.qml").read_text() != "mine"
    assert (folder / "c.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_nothing_scored_is_drawn(files: tuple[Path, Path]) -> None:
    picture = files[0].with_name("c.svg")
    every = ",".join(LAND_COVER.names)
    done = run(*files, "--ignore", every, "--plot", picture)
    assert done.exit_code == 0, done.stderr
    assert "nothing was scored" in done.stderr
    assert picture.stat().st_size > 0


def test_every_output_is_looked_at_before_any_work(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr("rsseg.evaluate.tool.compare", never)
    for option, name in (("--out", "r.csv"), ("--plot", "c.png"), ("--errors", "e.tif")):
        done = run(*files, option, files[0].parent / "gone" / name)
        assert (done.exit_code, done.stdout) == (1, "")
        assert "there is no folder" in done.stderr


def test_a_report_that_fails_late_does_not_lose_the_scores(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rsseg.evaluate.reports.json.dump", full)
    done = run(*files, "--out", files[0].with_name("r.json"), "--json")
    assert done.exit_code == 1
    assert "r.json cannot be written: No space left on device" in done.stderr
    assert json.loads(done.stdout)["oa"] == 47 / 64


def test_csv_has_one_number_a_line(files: tuple[Path, Path]) -> None:
    out = files[0].with_name("r.csv")
    data = json.loads(run(*files, "--out", out, "--json").stdout)
    found = table(out)
    assert float(found["miou", "", ""]) == data["miou"]
    assert found["iou", "land", ""] == ""
    assert int(found["confusion", "building", "water"]) == data["confusion"][0][4] == 16
    assert int(found["confusion", "building", ""]) == data["confusion"][0][5] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--out", "r.txt"],
        ["--out", "missing/r.json"],
        ["--plot", "c.tif"],
        ["--errors", "e.png"],
        ["--ignore", "fish"],
        ["--erode", "-1"],
        ["--erode", "nan"],
        ["--erode", "inf"],
        ["--boundary", "0"],
        ["--boundary", "nan"],
        ["--field", "kind"],
        ["--layer", "kind"],
        ["--erode", "300"],
        ["--errors", "map.tif", "--overwrite"],
        ["--errors", "truth.tif", "--overwrite"],
    ],
)
def test_failures_are_one_line_and_leave_nothing(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    folder = files[0].parent
    monkeypatch.chdir(folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    done = run("map.tif", "truth.tif", *arguments)
    code = 1 if "missing/r.json" in arguments else 2
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_missing_matplotlib_is_named_before_any_work(
    files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    errors = files[0].with_name("e.tif")
    done = run(*files, "--plot", files[0].with_name("c.png"), "--errors", errors)
    assert done.exit_code == 1
    assert done.stderr == "Error: matplotlib is not installed; pip install 'rsseg[plots]'\n"
    assert not errors.exists()
