"""The figures that a run logs: tables that survive a kill, joined over resumes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from rsseg.replacing import replacing
from rsseg.training.failures import unwritable
from rsseg.training.task import SCORE

METRICS = "metrics.csv"
"""All that is logged, a row for each time: few cells of a row are filled."""
VALIDATIONS = "validations.csv"

Row = Mapping[str, str]


class MetricsTable(Logger):
    """Writes ``metrics.csv`` anew, row by row.

    Lightning's own table is emptied and written again when another column comes, so that a kill or
    a full disk in that moment loses it.

    Args:
        out: Run folder.
    """

    name = version = None

    def __init__(self, out: Path) -> None:
        super().__init__()
        self._path = out / METRICS
        self._names: list[str] = []

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a row.

        Raises:
            OutputError: If the file cannot be written.
        """
        row = {**metrics, "step": step}
        names = sorted({*self._names, *row})
        if names != self._names:
            rows = _read(self._path) if self._names else []
            _write(self._path, names, [*rows, row])
            self._names = names
            return
        text = io.StringIO()
        csv.DictWriter(text, names).writerow(row)
        try:
            with self._path.open("a", encoding="utf-8", newline="") as file:
                file.write(text.getvalue())
        except OSError as error:
            raise unwritable(self._path, error) from error

    @rank_zero_only
    def log_hyperparams(self, *arguments: Any, **options: Any) -> None:
        """Nothing: ``recipe.yaml`` has them."""


class Board(TensorBoardLogger):
    """TensorBoard's log without ``hparams.yaml``: ``recipe.yaml`` has them."""

    @rank_zero_only
    def save(self) -> None:
        """Write what is held back."""
        self.experiment.flush()


def read_log(out: Path) -> list[Row]:
    """The logged rows of all parts of a run, in order of their steps.

    What a part logged of steps that a later part did again is left out.

    Args:
        out: Run folder.
    """
    rows: list[Row] = []
    for path in _parts(out):
        later = _read(path)
        first = min((_step(row) for row in later), default=0)
        rows = [row for row in rows if _step(row) < first] + later if later else rows
    return rows


def points(rows: Iterable[Row], key: str) -> list[tuple[int, float]]:
    """Steps done, and what was logged then under a name."""
    return [(_step(row) + 1, float(row[key])) for row in rows if row.get(key)]


def set_aside(out: Path, done: int) -> None:
    """Keep the figures of the steps that are done, before the next part of a run logs its own.

    They go to ``metrics.until_DONE.csv``. Later ones, of steps that are lost, are dropped.

    Args:
        out: Run folder.
        done: Steps of the checkpoint to go on from.

    Raises:
        OutputError: If the file cannot be written.
    """
    parts = _parts(out)
    if not parts:
        return
    rows = [row for row in read_log(out) if _step(row) < done]
    kept = out / f"metrics.until_{done}.csv"
    _write(kept, _names(rows), rows)
    for path in parts:
        if path != kept:
            path.unlink()


def join(out: Path) -> None:
    """Put what all parts of a run have logged into one table, ``metrics.csv``.

    Args:
        out: Run folder.

    Raises:
        OutputError: If the file cannot be written.
    """
    parts, rows = _parts(out), read_log(out)
    _write(out / METRICS, _names(rows), rows)
    for path in parts:
        if path.name != METRICS:
            path.unlink()


def write_validations(out: Path, windows_in_step: int) -> None:
    """Write ``validations.csv`` from the log: a row for each validation.

    ``step`` counts the steps done, ``windows`` the training windows seen until then; ``train_loss``
    and ``data_wait`` are means over the steps since the row before.

    Args:
        out: Run folder.
        windows_in_step: Training windows of one step, over all devices.

    Raises:
        OutputError: If the file cannot be written.
    """
    rows = read_log(out)
    found = {key for row in rows for key in row if key.startswith("val_")}
    scores = sorted(found, key=lambda name: (name != SCORE, name.startswith("val_iou_"), name))
    table, since = [], 0
    for step, _ in points(rows, SCORE):
        values = {key: mean_since(rows, key, since, step) for key in ("train_loss", "data_wait")}
        values |= {key: dict(points(rows, key)).get(step) for key in scores}
        table.append(
            {"step": str(step), "windows": str(step * windows_in_step)}
            | {key: "" if value is None else f"{value:.6g}" for key, value in values.items()}
        )
        since = step
    _write(out / VALIDATIONS, ["step", "windows", "train_loss", *scores, "data_wait"], table)


def mean_since(rows: Iterable[Row], key: str, since: int, step: int) -> float | None:
    """Mean of what was logged under a name after ``since`` steps and until ``step``, if anything.

    Each figure stands for the steps since the one before it.

    Args:
        rows: Of `read_log`.
        key: The name.
        since: Steps done before.
        step: Steps done at the end.
    """
    total, steps, before = 0.0, 0, 0
    for done, value in points(rows, key):
        if since < done <= step:
            total, steps = total + (done - before) * value, steps + done - before
        before = done
    return total / steps if steps else None


def _parts(out: Path) -> list[Path]:
    """Tables of a run folder, those of earlier parts first."""

    def until(path: Path) -> int:
        return int(path.stem.rpartition("_")[2])

    return [
        *sorted(out.glob("metrics.until_*.csv"), key=until),
        *out.glob(METRICS),
    ]


def _read(path: Path) -> list[Row]:
    """Whole rows only: a killed run may have written half of its last one."""
    text = path.read_bytes().decode("utf-8", errors="replace")
    whole = io.StringIO(text[: text.rfind("\n") + 1], newline="")
    return [row for row in csv.DictReader(whole) if None not in row.values() and row.get("step")]


def _names(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _step(row: Row) -> int:
    return int(row["step"])


def _write(path: Path, names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    try:
        with (
            replacing(path) as unfinished,
            unfinished.open("w", encoding="utf-8", newline="") as file,
        ):
            table = csv.DictWriter(file, names)
            table.writeheader()
            table.writerows(rows)
    except OSError as error:
        raise unwritable(path, error) from error
