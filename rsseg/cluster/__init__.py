"""A Dask cluster, whatever its workers do; ``distributed`` is imported by what is within.

- `connecting`, `own_cores`: ``Cluster``, one that is there, or processes of this machine
- `watching`: signs of life of the workers
- `orders`, `front`, `ordered_front`: calls on the workers, a bounded number at a time
- `failing`, `shares`: what a worker says that cannot do its work, and what each has done

The names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsseg.lazy import names_from

if TYPE_CHECKING:
    from rsseg.cluster.connecting import Cluster
    from rsseg.cluster.watching import Patience

__all__ = ["Cluster", "Patience"]

__getattr__ = names_from(__name__, {"Cluster": "connecting", "Patience": "watching"})
