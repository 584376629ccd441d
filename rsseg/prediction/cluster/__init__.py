"""A prediction spread over the workers of a Dask cluster."""

from rsseg.lazy import names_from

__all__ = [
    "ClusterResult",
    "WorkerShare",
    "predict_on_cluster",
    "predict_scenes_on_cluster",
]

__getattr__ = names_from(
    __name__,
    {
        "ClusterResult": "result",
        "WorkerShare": "result",
        "predict_on_cluster": "tool",
        "predict_scenes_on_cluster": "scenes",
    },
)
