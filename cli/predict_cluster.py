"""``rsseg predict`` on several processes: ``--cluster`` and ``--shard``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from . import helpers

Command = TypeVar("Command", bound=Callable[..., Any])


def options(command: Command) -> Command:
    """``--cluster`` and ``--shard``."""
    cluster = click.option("--cluster", help="Compute on a Dask cluster: its address, or local:N.")
    shard = click.option("--shard", help="Compute only share I/N of the map; see rsseg assemble.")
    return cluster(shard(command))


def require_one_scene(many: bool, cluster: str | None, shard: str | None, **others: bool) -> None:
    """Refuse what does not go together.

    Args:
        many: Whether there are several scenes.
        cluster: What ``--cluster`` says.
        shard: What ``--shard`` says.
        others: Whether other options are given, by their names.

    Raises:
        click.UsageError: If options exclude each other.
    """
    if cluster and shard:
        raise click.UsageError("--cluster and --shard exclude each other")
    name = "--cluster" if cluster else "--shard"
    if many and (cluster or shard):
        raise click.UsageError(f"{name} takes one scene; of several, each needs a command")
    for other, given in others.items():
        if given and (cluster or shard):
            raise click.UsageError(f"{name} and --{other.replace('_', '-')} exclude each other")


def predictor(cluster: str | None) -> Callable[..., Any]:
    """The tool that predicts, on a cluster if one is named."""
    if cluster is None:
        from rsseg.prediction import predict

        return predict
    import functools
    import importlib.util

    from rsseg.errors import MissingExtra

    if importlib.util.find_spec("distributed") is None:
        raise MissingExtra("distributed", "dask")
    from rsseg.prediction.cluster import predict_on_cluster

    return functools.partial(predict_on_cluster, cluster=cluster)


def run_share(
    scene: str, out: str, model: str | None, shard: str, options: Any, *, quiet: bool, as_json: bool
) -> None:
    """Compute one share of a map, and say what is still to come."""
    from rsseg.prediction.dealing import parse_share
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
        else f"; all shards are there: rsseg assemble {out}"
    )
    helpers.report(text, result.to_json(), quiet=quiet, as_json=as_json)
