"""Finished shards in an object store, for workers that share no folder.

``OUT.tif.parts/<hash of the plan>/part_000000.tif``, ... lie beside ``plan.json``, which is put
there first and removed first. As the place is named by the plan, whoever writes a shard there
writes the same bytes: there is no lock, and runs of two plans never meet.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg.errors import OutputError, SceneError
from rsseg.geo.objects import (
    object_names,
    object_size,
    put_object,
    read_object,
    remove_objects,
)
from rsseg.geo.shards import Shard
from rsseg.geo.strips import packed_strip
from rsseg.prediction.parts.names import part_indices, part_name

_PLAN = "plan.json"
"""Behind the names of all shards, so that a listing which has it has them all."""

_TRIAL = "trial"
"""Behind the names of all plans."""


class PartStore:
    """The shards of one plan.

    Args:
        root: Where the plans of an output lie: ``s3://bucket/map.tif.parts``.
        plan: All that decides the bytes of the shards.
    """

    def __init__(self, root: str, plan: Mapping[str, Any]) -> None:
        text = json.dumps(plan, sort_keys=True)
        self.place = f"{root}/{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        self._text = json.dumps({"plan": plan}, indent=1)
        self._known: set[int] | None = None

    def begin(self, *, restart: bool = False) -> set[int]:
        """Make it ready for workers; indices of the shards that are there.

        Args:
            restart: Delete those first, also what a removal that was cut short has left.

        Raises:
            OutputError: If the store takes no object, or does not answer, or shards that are to be
                deleted stay there.
        """
        if object_size(f"{self.place}/{_PLAN}") is None:
            put_object(self._text.encode(), f"{self.place}/{_PLAN}")
        there = self.indices() or set()
        if not restart:
            return there
        if not self._delete(there):
            raise OutputError(
                f"shards in {self.place} cannot be deleted",
                remedy="may the key that is set delete, does the network work?",
            )
        return set()

    def indices(self) -> set[int] | None:
        """Indices of the shards that are there now; None if the run was ended.

        Raises:
            OutputError: If the store does not answer.
        """
        names = object_names(self.place, _PLAN)
        return part_indices(names) if names else None

    def has(self, shard: Shard) -> bool:
        """Whether this shard was there when that was first asked of any.

        Raises:
            OutputError: If the store does not answer, or the run was ended meanwhile.
        """
        if self._known is None:
            self._known = self.indices()
        if self._known is None:
            raise self._ended()
        return shard.index in self._known

    def write(self, shard: Shard, layers: npt.NDArray[np.uint8]) -> None:
        """Put a finished shard ``(B, h, w)``, whose first band holds the codes.

        Raises:
            OutputError: If the store does not take it, or the run was ended meanwhile.
        """
        data = packed_strip(layers)
        if object_size(f"{self.place}/{_PLAN}") is None:
            raise self._ended()  # what came there now would stay for ever
        put_object(data, self._name(shard.index))

    def read(self, index: int) -> bytes:
        """The file of a finished shard.

        Raises:
            SceneError: If it is not there, or cannot be read.
        """
        return read_object(self._name(index))

    def remove(self) -> bool:
        """Delete all that is there; whether that went well.

        Workers that compute even so put nothing there any more.
        """
        try:
            indices = self.indices()
        except OutputError:
            return False
        if indices is None:
            return True
        return remove_objects([f"{self.place}/{_PLAN}"]) and self._delete(indices)

    def _delete(self, indices: set[int]) -> bool:
        """Delete shards; whether that went well."""
        return remove_objects([self._name(index) for index in sorted(indices)])

    def _name(self, index: int) -> str:
        return f"{self.place}/{part_name(index)}"

    def _ended(self) -> OutputError:
        return OutputError(f"the run in {self.place} was ended meanwhile")


def unfinished_plans(root: str) -> list[dict[str, Any]]:
    """The plans of an output that have shards in a store, or have begun to.

    Asked before any work: whether a key is good for all that follows comes out here as well.

    Args:
        root: Where they lie.

    Raises:
        OutputError: If the store takes no object, may not be listed, or does not answer.
        SceneError: If a plan that is there cannot be read.
    """
    trial = f"{_TRIAL}-{uuid.uuid4().hex}"
    put_object(b"\0", f"{root}/{trial}")
    try:
        names = object_names(root, trial)
    finally:
        remove_objects([f"{root}/{trial}"])
    plans = []
    for name in names:
        text = None if name.startswith(_TRIAL) else _plan_in(f"{root}/{name}")
        if text is not None:
            with contextlib.suppress(ValueError, KeyError, TypeError):  # it is damaged
                plans.append(dict(json.loads(text)["plan"]))
    return plans


def _plan_in(place: str) -> bytes | None:
    """What is stored of a plan; None if the run was ended meanwhile."""
    try:
        return read_object(f"{place}/{_PLAN}")
    except SceneError:
        if object_size(f"{place}/{_PLAN}") is None:
            return None
        raise
