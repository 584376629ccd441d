"""Many scenes on a cluster: one connection, and workers that do not wait between two scenes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rsseg.cluster.connecting import Cluster, connected, name_of
from rsseg.cluster.front import moving_front
from rsseg.cluster.watching import Patience, Watch
from rsseg.geo.objects import joined
from rsseg.geo.scene_list import Named
from rsseg.prediction.cluster.agreeing import agree_on_terms
from rsseg.prediction.cluster.places import store_of
from rsseg.prediction.cluster.scene_queue import SceneQueue
from rsseg.prediction.cluster.tool import Progress, for_workers
from rsseg.prediction.cluster.worker import serve
from rsseg.prediction.many_scenes.outcomes import SceneOutcome
from rsseg.prediction.many_scenes.scene_entries import SceneEntries
from rsseg.prediction.many_scenes.scenes import STEPS
from rsseg.prediction.options import PredictOptions
from rsseg.prediction.outputs.staging import Place, Stage, scratch_folder


def predict_scenes_on_cluster(
    scenes: Sequence[Path | Named],
    out: Place,
    *,
    cluster: str | Cluster,
    bundle: str | Path | None = None,
    options: PredictOptions | None = None,
    polygons: Place | None = None,
    assets: Sequence[str] = (),
    scratch: str | Path | None = None,
    patience: Patience | None = None,
    on_progress: Progress = lambda done, total: None,
) -> Iterator[SceneOutcome]:
    """Write the class maps of scenes into a folder, computed by the workers of a Dask cluster.

    The maps, and what is skipped, are those of `rsseg.prediction.predict_scenes`; scenes come in
    the order in which they are ready. Workers see scenes, model and folders by the same names, and
    keep their engine from scene to scene. Shards of the next scenes are computed while the last of
    one are; maps are joined and polygons made meanwhile. A scene that fails, or that ends several
    workers, does not stop the others.

    Args:
        scenes: Rasters and items of STAC, see `find_scenes`.
        out: Folder of the maps, or one of an object store.
        cluster: The address of a scheduler, ``local:N`` for N processes on this machine, or a
            cluster that other tools use as well.
        bundle: A model file; None for the embedded model.
        options: As in `predict_scenes`; ``memory`` bounds each worker.
        polygons: As in `predict_scenes`.
        assets: As in `predict_scenes`.
        scratch: A folder that workers see too, or one of an object store: then shards go there,
            and workers see no folder of this machine. Left out, they go to the store of the maps if
            these go to one, and the cluster is not of this machine.
        patience: How long to wait for workers that hang.
        on_progress: Called with steps done and steps in all.

    Raises:
        ClusterError: If the cluster is not there, its workers do not agree in what they compute,
            or one cannot compute at all.
        OptionError: If folders or choices contradict each other.
        OutputError: If a folder cannot be made, or an object store takes no file.
    """
    options = for_workers(options or PredictOptions(), cluster)
    store = store_of(joined(out, "map.tif"), cluster, scratch)
    entries = SceneEntries(scenes, out, options, polygons, Stage(scratch_folder(scratch)))
    folders: list[Place] = [folder.absolute() for folder in entries.folders]
    if store is not None:
        folders = [store.rpartition("/")[0]]
    model = None if bundle is None else Path(bundle).absolute()
    total = STEPS * len(entries)
    with connected(cluster) as client:
        watch = Watch(client, patience or Patience())
        agree_on_terms(client, folders, model, options, watch)
        queue = SceneQueue(
            *(entries, model, tuple(assets), watch, name_of(cluster)),
            lambda place: store_of(place, cluster, scratch),
        )
        with queue:

            def tell() -> None:
                on_progress(queue.steps, total)

            front = moving_front(
                client, serve, queue.orders(), watch, tell, lambda order, error: (order[0], error)
            )
            for number, answer in front:
                queue.take(number, answer)
                yield from queue.outcomes()
            yield from queue.outcomes()
    on_progress(total, total)
