"""The plan of a run as it lies in the parts folder, for all who work there."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from rsseg.errors import OutputError, PlanChanged
from rsseg.prediction.planning.differences import contrast, differences
from rsseg.prediction.planning.journal import changes
from rsseg.prediction.planning.manifest import Manifest


class StoredPlan:
    """What decides the bytes of the shards in a folder, and what becomes of them.

    Args:
        folder: The parts folder, beside the output.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "plan.json"

    def exists(self) -> bool:
        """Whether there is one."""
        return self._path.is_file()

    def put(self, plan: dict[str, Any], manifest: Manifest) -> bool:
        """Store a plan unless there is one; whether it was stored.

        Of several processes that do so at once, one does.

        Raises:
            OutputError: If it cannot be written.
        """
        if self.exists():
            return False
        stored = {"plan": plan, "map": manifest.to_json(self._folder.parent)}
        try:
            return _put(self._path, json.dumps(stored, indent=1))
        except OSError as error:
            raise OutputError(f"{self._path} cannot be written: {error.strerror}") from error

    def read(self) -> dict[str, Any]:
        """All entries that decide the bytes.

        Raises:
            OutputError: If it is gone, or damaged.
        """
        return self._read("plan")

    def manifest(self) -> Manifest:
        """What the shards become, and by which command those come that are missing now.

        Raises:
            OutputError: If there is no plan, or it is damaged.
        """
        out = self._folder.with_name(self._folder.name.removesuffix(".parts"))
        if not self.exists() and out.is_file():
            raise OutputError(
                f"{out} is there, and no unfinished run beside it: nothing is left to assemble"
            )
        if not self.exists():
            raise OutputError(
                f"there is no unfinished run in {self._folder}",
                remedy=f"begin one by rsseg predict SCENE --out {out} --shard 1/N",
            )
        found = Manifest.from_json(self._read("map"), self._folder.parent)
        if any(path.exists() for path in (out, *(path for path, _ in found.beside))):
            return replace(found, command=(*found.command, "--overwrite"))
        return found

    def require(self, plan: dict[str, Any], forget: str) -> None:
        """Check that another plan comes to the same bytes.

        Args:
            plan: The other.
            forget: What to do to get rid of what is there.

        Raises:
            PlanChanged: If it does not.
            OutputError: If the stored one is gone, or damaged.
        """
        before, now = self.read(), json.loads(json.dumps(plan))
        if changed := changes(before, now):
            key = changed[0]
            there, wanted = contrast(key, before.get(key), now.get(key))
            self._refuse(differences(changed), there, wanted, forget)

    def require_beside(self, manifest: Manifest, forget: str) -> None:
        """Check that others want the same files beside the map, and so the same shards.

        Raises:
            PlanChanged: If they do not.
        """
        before, now = (
            [os.path.abspath(path) for path, _ in each.beside]
            for each in (self.manifest(), manifest)
        )
        if before != now:
            there, wanted = (", ".join(each) or "none" for each in (before, now))
            self._refuse("the files beside the map", there, wanted, forget)

    def _refuse(self, what: str, before: str, now: object, forget: str) -> None:
        raise PlanChanged(
            f"{self._folder} holds an unfinished run that differs in {what}",
            expected=before,
            got=now,
            remedy=f"repeat that command to finish it, or {forget} to forget it",
        )

    def _read(self, part: str) -> dict[str, Any]:
        try:
            return dict(json.loads(self._path.read_text(encoding="utf-8"))[part])
        except FileNotFoundError as error:
            raise OutputError(f"the run in {self._folder} was ended meanwhile") from error
        except (ValueError, KeyError, TypeError) as error:
            raise OutputError(
                f"{self._path} cannot be understood",
                remedy="add --restart to begin anew, or choose another output",
            ) from error


def _put(path: Path, text: str) -> bool:
    """Write a file whole unless there is one; whether it was written."""
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        try:
            os.link(unfinished, path)
        except FileExistsError:
            return False
        except OSError:  # no links here: the last one stays, and who wrote another is refused
            os.replace(unfinished, path)
        return True
    finally:
        unfinished.unlink(missing_ok=True)
