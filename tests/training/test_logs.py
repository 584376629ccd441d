import csv
from pathlib import Path

import pytest

from rsseg.errors import OutputError
from rsseg.training.logs import (
    METRICS,
    VALIDATIONS,
    MetricsTable,
    mean_since,
    points,
    read_log,
    set_aside,
    write_validations,
)

NAMES = ("epoch", "step", "train_loss", "val_iou_a", "val_miou")


def log(path, steps, part=0):
    """A log as Lightning writes it: the loss of every step, a score after every third."""
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, NAMES)
        table.writeheader()
        for step in steps:
            table.writerow({"epoch": 0, "step": step, "train_loss": 100 * part + step})
            if step % 3 == 2:
                table.writerow({"step": step, "val_iou_a": 0.25, "val_miou": step / 10})


def steps_of(rows):
    return [step for step, _ in points(rows, "train_loss")]


def test_the_log_of_one_part_is_its_rows(tmp_path):
    assert read_log(tmp_path) == []
    log(tmp_path / METRICS, range(6))
    assert points(read_log(tmp_path), "train_loss") == [(n + 1, n) for n in range(6)]
    assert points(read_log(tmp_path), "val_miou") == [(3, 0.2), (6, 0.5)]
    assert points(read_log(tmp_path), "val_iou_b") == []


def test_parts_join_in_the_order_of_their_steps_whatever_the_length_of_their_numbers(tmp_path):
    log(tmp_path / "metrics.until_9.csv", range(9))
    log(tmp_path / "metrics.until_12.csv", range(9, 12))
    log(tmp_path / METRICS, range(12, 15))
    assert steps_of(read_log(tmp_path)) == list(range(1, 16))


@pytest.mark.parametrize("deaths", [(5,), (4, 9), (5, 5, 5), (3, 11)])
def test_steps_that_are_done_again_are_logged_once_however_often_a_run_is_killed(tmp_path, deaths):
    """Checkpoints are at every third step; a run killed later than that repeats what came after."""
    begun = 0
    for part, death in enumerate(deaths):
        log(tmp_path / METRICS, range(begun, death), part)
        begun = death - death % 3
        set_aside(tmp_path, begun)
        assert not (tmp_path / METRICS).exists()
        assert steps_of(read_log(tmp_path)) == list(range(1, begun + 1))
    assert len([*tmp_path.glob("metrics.until_*.csv")]) == 1
    log(tmp_path / METRICS, range(begun, 14), len(deaths))
    rows = read_log(tmp_path)
    assert steps_of(rows) == list(range(1, 15))
    assert dict(points(rows, "train_loss"))[14] == 100 * len(deaths) + 13


def test_a_part_that_logged_nothing_takes_nothing_away(tmp_path):
    set_aside(tmp_path, 3)
    assert [*tmp_path.iterdir()] == []
    log(tmp_path / METRICS, range(3))
    for _ in range(2):
        set_aside(tmp_path, 3)
        assert steps_of(read_log(tmp_path)) == [1, 2, 3]


def test_half_a_row_of_a_killed_run_is_left_out(tmp_path):
    log(tmp_path / METRICS, range(4))
    text = (tmp_path / METRICS).read_text()
    for lost in range(1, 10):
        (tmp_path / METRICS).write_text(text[:-lost])
        assert steps_of(read_log(tmp_path))[:3] == [1, 2, 3]


def test_a_mean_is_of_what_came_since(tmp_path):
    log(tmp_path / METRICS, range(6))
    rows = read_log(tmp_path)
    assert mean_since(rows, "train_loss", 0, 6) == 2.5
    assert mean_since(rows, "train_loss", 3, 6) == 4
    assert mean_since(rows, "train_loss", 6, 9) is None


def test_a_figure_counts_as_much_as_the_steps_that_it_stands_for():
    """Logged after 1, 20, 40, 50 and 60 steps."""
    losses = {1: 9.0, 20: 4.0, 40: 3.0, 50: 2.0, 60: 1.0}
    rows = [{"step": str(done - 1), "train_loss": str(value)} for done, value in losses.items()]
    assert mean_since(rows, "train_loss", 0, 50) == (9 + 19 * 4 + 20 * 3 + 10 * 2) / 50
    assert mean_since(rows, "train_loss", 50, 60) == 1


def test_validations_have_a_row_each_also_over_parts(tmp_path):
    log(tmp_path / METRICS, range(5))
    set_aside(tmp_path, 3)
    log(tmp_path / METRICS, range(3, 7))
    write_validations(tmp_path, windows_in_step=8)
    with (tmp_path / VALIDATIONS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [*rows[0]][:4] == ["step", "windows", "train_loss", "val_miou"]
    assert [row["step"] for row in rows] == ["3", "6"]
    assert [row["windows"] for row in rows] == ["24", "48"]
    assert [row["train_loss"] for row in rows] == ["1", "4"]
    assert [row["val_miou"] for row in rows] == ["0.2", "0.5"]
    assert [row["val_iou_a"] for row in rows] == ["0.25", "0.25"]
    assert [row["data_wait"] for row in rows] == ["", ""]


def test_a_table_that_cannot_be_written_is_told(tmp_path):
    log(tmp_path / METRICS, range(3))
    (tmp_path / VALIDATIONS).mkdir()
    with pytest.raises(OutputError, match=r"validations\.csv cannot be written"):
        write_validations(tmp_path, 1)


def test_the_table_takes_new_columns_and_is_whole_at_every_moment(tmp_path, monkeypatch):
    """A new column has the file written anew; a kill in that moment leaves the one before."""
    (tmp_path / METRICS).write_text("step,of_an_earlier_run\n0,1\n")
    table = MetricsTable(tmp_path)
    for step in range(3):
        table.log_metrics({"epoch": 0, "train_loss": 1 / (step + 1)}, step)
    before = (tmp_path / METRICS).read_bytes()

    def die(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", die)
        with pytest.raises(KeyboardInterrupt):
            table.log_metrics({"epoch": 0, "val_miou": 0.5}, 2)
    assert (tmp_path / METRICS).read_bytes() == before
    table.log_metrics({"epoch": 0, "val_miou": 0.5}, 2)
    table.log_metrics({"epoch": 0, "train_loss": 0.125}, 3)
    rows = read_log(tmp_path)
    assert points(rows, "train_loss") == [(1, 1), (2, 0.5), (3, 1 / 3), (4, 0.125)]
    assert points(rows, "val_miou") == [(3, 0.5)]
    assert points(rows, "of_an_earlier_run") == []
    assert [path.name for path in tmp_path.iterdir()] == [METRICS]


def test_a_table_on_a_full_disk_is_told_with_what_to_do(tmp_path, monkeypatch):
    """When its first row is written, and later; the rows until then stay."""
    reason = r"metrics\.csv cannot be written: No space .*; free some space and go on with --resume"
    table, opened = MetricsTable(tmp_path), Path.open

    def full(path, mode="r", **options):
        return opened(path if mode == "r" else Path("/dev/full"), mode, **options)

    for step in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", full)
            with pytest.raises(OutputError, match=reason):
                table.log_metrics({"train_loss": 1.0}, step)
        table.log_metrics({"train_loss": 1.0}, step)
    assert steps_of(read_log(tmp_path)) == [1, 2]


def test_a_table_without_its_folder_is_told(tmp_path):
    with pytest.raises(OutputError, match=r"metrics\.csv cannot be written: No such file"):
        MetricsTable(tmp_path / "none").log_metrics({"train_loss": 1.0}, 0)
