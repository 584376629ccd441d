"""``rsseg predict`` on several processes: ``--cluster`` and ``--shard``."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from . import helpers

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Tools:
    """What maps a scene and makes polygons of the map.

    Args:
        cluster: `rsseg.cluster.Cluster` where they work on one; else this process does all.
        store: Where its workers put shards in an object store; then they do not see the map.
    """

    cluster: Any = None
    store: str | None = None

    @property
    def predict(self) -> Callable[..., Any]:
        """Maps a scene."""
        if self.cluster is None:
            from rsseg.prediction import predict

            return predict
        from rsseg.prediction.cluster import predict_on_cluster

        return functools.partial(predict_on_cluster, cluster=self.cluster, store=self.store)

    @property
    def vectorise(self) -> Callable[..., Any]:
        """Makes polygons of a map that workers see, if there are any."""
        if self.cluster is None or self.store is not None:
            from rsseg.vectorise import vectorise

            return vectorise
        from rsseg.vectorise_cluster import vectorise_on_cluster

        return functools.partial(vectorise_on_cluster, cluster=self.cluster)


def options(command: Command) -> Command:
    """``--cluster`` and ``--shard``."""
    cluster = click.option("--cluster", help="Compute on a Dask cluster: its address, or local:N.")
    shard = click.option("--shard", help="Compute only share I/N of the map; see rsseg assemble.")
    return cluster(shard(command))


def require_fitting(
    cluster: str | None, shard: str | None, *, many: bool, as_one: bool, **others: bool
) -> None:
    """Refuse what does not go together.

    Args:
        cluster: What ``--cluster`` says.
        shard: What ``--shard`` says.
        many: Whether there are several scenes, or files of one.
        as_one: Whether ``--as-one`` is given.
        others: Whether options are given that go with neither, by their names.

    Raises:
        click.UsageError: If options exclude each other.
    """
    if not (cluster or shard):
        return
    if cluster and shard:
        raise click.UsageError("--cluster and --shard exclude each other")
    name = "--cluster" if cluster else "--shard"
    if as_one:
        raise click.UsageError(
            f"{name} takes no --as-one; make one file of them that all processes see, such as by "
            "gdalbuildvrt, and name that"
        )
    if many and shard:
        raise click.UsageError(
            "--shard takes one scene; of several, give each process some of them, or use --cluster"
        )
    for other, given in others.items():
        if given:
            raise click.UsageError(f"{name} and --{other.replace('_', '-')} exclude each other")


@contextmanager
def tools(cluster: str | None, out: str, scratch: str | None) -> Iterator[Tools]:
    """The tools of one scene, on one connection to a cluster if one is named.

    Args:
        cluster: What ``--cluster`` says.
        out: The map.
        scratch: What ``--scratch`` says.
    """
    if cluster is None:
        yield Tools()
        return
    _require_dask()
    from rsseg.cluster import Cluster
    from rsseg.prediction.cluster.places import store_of

    with Cluster(cluster) as shared:
        yield Tools(shared, store_of(out, shared, scratch))


def scenes_predictor(cluster: str | None) -> Callable[..., Any]:
    """The tool that maps several scenes, on a cluster if one is named."""
    if cluster is None:
        from rsseg.prediction import predict_scenes

        return predict_scenes
    _require_dask()
    from rsseg.prediction.cluster import predict_scenes_on_cluster

    return functools.partial(predict_scenes_on_cluster, cluster=cluster)


def run_share(
    scene: str, out: str, model: str | None, shard: str, options: Any, *, quiet: bool, as_json: bool
) -> None:
    """Compute one share of a map, and say what is still to come."""
    from rsseg.prediction.computing.dealing import parse_share
    from rsseg.prediction.share import predict_share

    share = parse_share(shard)
    with helpers.progress(f"share {shard}", quiet=quiet) as on_progress:
        result = predict_share(
            scene, out, share, bundle=model, options=options, on_progress=on_progress
        )
    helpers.note(result.notes, quiet=quiet)
    text = (
        f"share {result.share} of {out}: {result.computed} of {result.shards} shards computed in "
        f"{result.seconds:.1f} s"
    )
    if result.elsewhere:
        text += f", {result.elsewhere} by other processes meanwhile"
    text += (
        f"; {result.missing} shards of the map are still missing"
        if result.missing
        else f"; all shards are there: rsseg assemble {shlex.quote(out)}"
        + (" --overwrite" if Path(out).exists() else "")
    )
    helpers.report(text, result.to_json(), quiet=quiet, as_json=as_json)


def _require_dask() -> None:
    import importlib.util

    from rsseg.errors import MissingExtra

    if importlib.util.find_spec("distributed") is None:
        raise MissingExtra("distributed", "dask")
