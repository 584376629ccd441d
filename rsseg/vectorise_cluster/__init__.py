"""Polygons of a map whose strips are spread over the workers of a Dask cluster.

- `job`, `worker`: what goes between client and workers, and what these do
- `result`, `tool`: ``vectorise_on_cluster``, which joins the strips and writes the file
- `whole`: the polygons of a map that is not spread, one of many

The names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsseg.lazy import names_from

if TYPE_CHECKING:
    from rsseg.vectorise_cluster.result import ClusterResult, WorkerShare
    from rsseg.vectorise_cluster.tool import vectorise_on_cluster

__all__ = ["ClusterResult", "WorkerShare", "vectorise_on_cluster"]

__getattr__ = names_from(
    __name__,
    {"ClusterResult": "result", "WorkerShare": "result", "vectorise_on_cluster": "tool"},
)
