"""Where the shards of a job lie: in a folder that all see, or in an object store."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from rsseg.cluster.connecting import Cluster, local_workers, name_of
from rsseg.errors import OptionError, OutputError
from rsseg.geo.objects import is_object, joined, require_store
from rsseg.prediction.cluster.job import Job, Report
from rsseg.prediction.outputs.staging import Place, folder_key
from rsseg.prediction.parts.folder import Parts, PartWriter
from rsseg.prediction.parts.store import PartStore, unfinished_plans
from rsseg.prediction.parts.stored_parts import StoredParts
from rsseg.prediction.planning.journal import changes
from rsseg.writable import require_writable


def store_of(out: Place, cluster: str | Cluster, scratch: str | Path | None) -> str | None:
    """Where in an object store the shards of a map lie; None where a folder has them.

    They do if ``scratch`` is in a store, and by default if the map is.

    Args:
        out: The map.
        cluster: The cluster, or its name.
        scratch: What the user says: a folder, or one of a store.

    Raises:
        OptionError: If processes of one machine are to share a store.
    """
    local = local_workers(name_of(cluster)) is not None
    if scratch is None:
        return f"{out}.parts" if is_object(out) and not local else None
    if not is_object(scratch):
        return None
    if local:
        raise OptionError(
            "shards go to an object store for workers of several machines",
            got=name_of(cluster),
            remedy="give --scratch a folder, or leave it out",
        )
    folder, _, name = str(out if is_object(out) else Path(out).absolute()).rpartition("/")
    return f"{str(scratch).rstrip('/')}/{folder_key(folder)}/{name}.parts"


def parts_of(job: Job) -> Parts:
    """The shards of a job that all have agreed on, for the process that makes the map."""
    assert job.plan is not None
    return Parts(job.out) if job.store is None else StoredParts(job.out, job.store, job.plan)


def writer_of(job: Job) -> PartWriter:
    """The same for a worker, when the client has opened them.

    Raises:
        OutputError: If they are not to be seen here.
        PlanChanged: If they belong to another plan.
    """
    assert job.plan is not None
    if job.store is not None:
        return PartStore(job.store, job.plan)
    parts = Parts(job.out)
    parts.visit(job.plan)
    return parts


def remove_left(job: Job, journal: dict[str, Any]) -> None:
    """Delete the shards of a map that is there, whose command was killed before it could do so.

    Those of another plan stay, and those that a process is at work with.

    Args:
        job: The map.
        journal: All that decides its bytes, less windows in a forward pass.
    """
    with contextlib.suppress(OutputError):
        parts = Parts(job.out)
        if not parts.folder.is_dir():
            return
        plan = parts.plan()
        if plan is not None:  # else it was killed in the midst of the removal
            if changes(plan | {"forward": None}, _as_read(journal)):
                return
            parts = parts_of(replace(job, plan=plan))
        parts.take()
        parts.remove()


def require_place(folder: Place) -> None:
    """Check that a folder, or one of an object store, takes files of this process.

    Raises:
        OutputError: If it does not.
    """
    if is_object(folder):
        require_store(str(joined(folder, "trial")), overwrite=True)
    elif not Path(folder).is_dir():
        raise OutputError(f"there is no folder {folder}")
    else:
        require_writable(Path(folder) / ".rsseg-trial", overwrite=True)


def require_room(job: Job) -> None:
    """Check that a job's shards can be written by this process.

    Raises:
        OutputError: If they cannot.
    """
    if job.store is None:
        require_writable(job.out, overwrite=True)
    else:
        require_place(job.store)


def settled(job: Job, report: Report) -> Report:
    """A report with so many windows in a forward pass as an unfinished run in a store has.

    They are measured, and may be more or fewer on another day; all else has to be the same. Of a
    run in a folder, the job has told the worker.

    Raises:
        OutputError: If the store does not answer, takes no object, or may not be listed.
        SceneError: If the plan of an unfinished run cannot be read.
    """
    if job.store is None:
        return report
    own = _as_read(report.plan)
    plans = unfinished_plans(job.store)
    others = [plan for plan in plans if changes(plan, own) == ["forward"]]
    if own in plans or not others:
        return report
    return replace(report, plan=report.plan | {"forward": others[0]["forward"]})


def _as_read(plan: dict[str, Any]) -> dict[str, Any]:
    """A plan as it comes back from a file."""
    return dict(json.loads(json.dumps(plan)))
