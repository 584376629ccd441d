"""Which code of a map and which code of its truth are one class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.errors import LegendError
from rsseg.legend import NODATA

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Labels:
    """What the codes of one side mean.

    Args:
        source: Name of the file, for messages.
        names: Class names by code; empty if the file carries none.
    """

    source: str
    names: Mapping[int, str]


@dataclass(frozen=True)
class Matching:
    """The classes of a comparison, and how the codes of both sides lead to them.

    Args:
        prediction: What the map's codes mean.
        truth: What the truth's codes mean.
        names: Class names by index.
        predicted: Index by code of the map, uint8 ``(256,)``; 255 for codes of no class.
        true: Index by code of the truth, likewise.
        by_name: Whether names or, for want of them, codes were matched.
        notes: What the user should know of it.
    """

    prediction: Labels
    truth: Labels
    names: tuple[str, ...]
    predicted: npt.NDArray[np.uint8]
    true: npt.NDArray[np.uint8]
    by_name: bool
    notes: tuple[str, ...] = ()

    def require_known(self, counts: Counts) -> None:
        """Check that codes counted together, ``(256, 256)`` by truth and prediction, have names.

        Raises:
            LegendError: If a code occurs that the legend of its side does not have.
        """
        labelled = counts[:NODATA]
        for labels, table, found in (
            (self.truth, self.true, labelled.sum(axis=1)),
            (self.prediction, self.predicted, labelled.sum(axis=0)[:NODATA]),
        ):
            unknown = np.flatnonzero((found > 0) & (table[:NODATA] == NODATA))
            if unknown.size:
                raise LegendError(
                    f"{labels.source} holds the code {unknown[0]}",
                    expected=f"a code of its classes, {_listed(labels.names)}",
                    remedy="mend its legend or recode it",
                )

    def confusion(self, counts: Counts) -> Counts:
        """Counts ``(K, K + 1)`` by class, the last column unpredicted, from ``(256, 256)`` by code.

        Raises:
            LegendError: If a code occurs that the legend of its side does not have.
        """
        self.require_known(counts)
        classes = len(self.names)
        matrix = np.zeros((classes, classes + 1), np.int64)
        columns = np.where(self.predicted == NODATA, classes, self.predicted)
        rows = np.flatnonzero(self.true != NODATA)
        np.add.at(matrix, (self.true[rows][:, None], columns[None]), counts[rows])
        return matrix

    def only(self, codes: npt.NDArray[np.integer[Any]]) -> Matching:
        """Without the classes that no name was given and that are none of these codes.

        Where names were matched nothing changes: there each class has one.
        """
        if self.by_name:
            return self
        known = {**self.truth.names, **self.prediction.names}
        kept = sorted({*known, *codes.tolist()} - {NODATA})
        table = np.full(256, NODATA, dtype=np.uint8)
        table[kept] = np.arange(len(kept))
        names = tuple(known.get(code, f"class {code}") for code in kept)
        return replace(self, names=names, predicted=table, true=table)

    @property
    def listed(self) -> str:
        """The names that files carry, for messages."""
        named = {**self.truth.names, **self.prediction.names}
        return ", ".join(dict.fromkeys(named.values())) or "class 0, class 1, ..."


def match(prediction: Labels, truth: Labels) -> Matching:
    """Match the classes of a map and its truth by name where both carry names, else by code.

    Raises:
        LegendError: If both carry names and have none in common, or there are too many.
    """
    if prediction.names and truth.names:
        return _by_name(prediction, truth)
    known = {**truth.names, **prediction.names}
    bare = [labels.source for labels in (prediction, truth) if not labels.names]
    table = np.arange(256, dtype=np.uint8)
    note = f"{' and '.join(bare)} without class names: classes were matched by code"
    names = tuple(known.get(code, f"class {code}") for code in range(NODATA))
    return Matching(prediction, truth, names, table, table, by_name=False, notes=(note,))


def _by_name(prediction: Labels, truth: Labels) -> Matching:
    ours, theirs = set(prediction.names.values()), set(truth.names.values())
    if not ours & theirs:
        raise LegendError(
            f"{prediction.source} and {truth.source} have no class in common",
            expected=_listed(prediction.names),
            got=_listed(truth.names),
            remedy="rename the classes of one of them"
            + (", the case of letters counts" if _folded(ours) & _folded(theirs) else ""),
        )
    names = tuple(dict.fromkeys([*prediction.names.values(), *truth.names.values()]))
    if len(names) > NODATA:
        raise LegendError(f"there are {len(names)} classes", expected=f"at most {NODATA}")
    notes = tuple(
        f"only {labels.source} has {', '.join(name for name in names if name in lone)}"
        for labels, lone in ((prediction, ours - theirs), (truth, theirs - ours))
        if lone
    ) + tuple(
        f"'{mine}' and '{other}' were taken for two classes: the case of their letters differs"
        for mine in sorted(ours - theirs)
        for other in sorted(theirs - ours)
        if mine.casefold() == other.casefold()
    )
    predicted, true = _table(prediction, names), _table(truth, names)
    return Matching(prediction, truth, names, predicted, true, by_name=True, notes=notes)


def _folded(names: Iterable[str]) -> set[str]:
    return {name.casefold() for name in names}


def _table(labels: Labels, names: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    table = np.full(256, NODATA, dtype=np.uint8)
    for code, name in labels.names.items():
        table[code] = names.index(name)
    return table


def _listed(names: Mapping[int, str]) -> str:
    listed = [f"{code} {name}" for code, name in sorted(names.items())]
    return ", ".join(listed if len(listed) <= 12 else [*listed[:12], "..."])
