"""What the workers of a cluster have to agree on before one of them computes anything."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from distributed import Client

from rsseg.cluster.failing import Failed, good
from rsseg.cluster.orders import result_of
from rsseg.cluster.watching import PREFIX, Watch
from rsseg.errors import ClusterError, RssegError
from rsseg.prediction.cluster.job import Job, Report, Terms
from rsseg.prediction.cluster.places import settled
from rsseg.prediction.cluster.terms import require_same
from rsseg.prediction.cluster.worker import report, tell_terms
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.outputs.staging import Place
from rsseg.prediction.workers import Workers

_MOMENT = 0.05


def agree_on_plan(client: Client, job: Job, watch: Watch) -> tuple[Report, Job]:
    """The plan of the first worker that answers, to which all others come as well.

    It measures what has to be measured; the others are told.

    Args:
        client: Of the cluster.
        job: A scene and how it is mapped.
        watch: Looks after the workers.

    Returns:
        What the first worker makes of it, and the job as all do it.

    Raises:
        ClusterError: If no worker answers, one cannot do the job, or comes to another plan.
        OutputError: If shards go to an object store that takes none from here.
    """
    workers = present_workers(client, watch)
    answers: list[Report] = []
    while workers and not answers:
        answers = _ask_each(client, report, (job,), [workers.pop(0)], watch)
    if not answers:
        raise ClusterError("no worker of the cluster answers", remedy="start others")
    with Workers(1, "rsseg-look") as looking:  # a store may hang, and Ctrl-C must not
        first = looking.submit(settled, job, answers[0]).result()
    agreed = job.agreed(first)
    _ask_each(client, report, (agreed,), workers, watch)
    return first, agreed


def agree_on_terms(
    client: Client,
    folders: Sequence[Place],
    model: Path | None,
    options: PredictOptions,
    watch: Watch,
) -> None:
    """Have all workers come to one engine, device and precision, before the first scene is opened.

    Args:
        client: Of the cluster.
        folders: Where workers write, on a disk or in a store.
        model: A model file; None for the embedded model.
        options: The user's choices.
        watch: Looks after the workers.

    Raises:
        ClusterError: If no worker answers, one cannot compute, or would do so otherwise.
    """
    workers = present_workers(client, watch)
    answers: list[Terms] = _ask_each(client, tell_terms, (folders, model, options), workers, watch)
    if not answers:
        raise ClusterError("no worker of the cluster answers", remedy="start others")
    first, *others = answers
    for each in others:
        try:
            require_same(first.common, each.common)
        except RssegError as error:
            raise ClusterError(str(Failed(each.worker, each.host, str(error)))) from error


def present_workers(client: Client, watch: Watch) -> list[str]:
    """Addresses of the workers; waits for the first one."""
    while not watch.workers:
        watch.look()
        time.sleep(_MOMENT)
    return sorted(watch.workers)


def _ask_each(
    client: Client,
    question: Callable[..., Any],
    arguments: tuple[Any, ...],
    workers: Sequence[str],
    watch: Watch,
) -> list[Any]:
    """What workers answer; those that are lost meanwhile are left out."""
    futures = {
        worker: client.submit(
            question, *arguments, key=f"{PREFIX}{uuid.uuid4().hex}", workers=[worker], pure=False
        )
        for worker in workers
    }
    answers = []
    while futures:
        watch.look()
        for worker, future in list(futures.items()):
            if future.done():
                try:
                    answer = result_of(future)
                except TimeoutError:  # its worker hangs: it goes on, or is taken out
                    continue
                del futures[worker]
                answers.append(good(answer))
            elif worker not in watch.workers:
                del futures[worker]
        time.sleep(_MOMENT)
    return answers
