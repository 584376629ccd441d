"""How far the scores of a network suffer from the border of its window, and the overlap it needs.

Near the border of a window a network sees less of the surroundings. Windows lie at a third of their
side, nine for each pixel, as in the NPALoss paper; each is compared with the mean of the other
eight, which are weighed down towards their borders, for what they err there is to be told.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

from rsseg import __version__
from rsseg.bundle import DECAY_BINS
from rsseg.caching import cache_folder, cache_place
from rsseg.errors import OutputError
from rsseg.geo.scene import Scene
from rsseg.geo.tiling import Tiling
from rsseg.prediction.blending.enlarging import enlarged
from rsseg.prediction.planning.sampling import spread
from rsseg.replacing import replacing

THRESHOLD = 0.04
"""By how much more the pixels of one window may differ at half the overlap than those further in.
Chosen by hand on three crops of one scene with the embedded model, which so gets 19, 25 and 31 % of
its window; 0.03 gives 31 to 44 %, 0.05 gives 6 to 25 %. As two windows are blended there, seams are
seen less: at 19 and 25 % none was found (``benchmarks/seams.py``)."""
PLACES = 6
"""Places of a scene, nine windows each, that decay is measured at."""
MOST_OVERLAP = 0.5
_TRIES = 10


def least_overlap(decay: Sequence[float], threshold: float = THRESHOLD) -> float:
    """The least overlap, as a fraction of the window, at which seams stay below a threshold.

    Where two windows that overlap by ``o`` pixels hand over to each other, each is ``o / 2`` from
    its border; all other pixels of the map come from further in. So the overlap is twice the
    distance from which on differences to the reference exceed those further in by no more than
    the threshold. Those of the very middle would be too much to ask: a network that looks at all
    of its window errs less and less up to there.

    Args:
        decay: Share of pixels that differ from the reference, by distance from the border in equal
            steps up to the middle.
        threshold: Greatest excess.
    """
    excess = np.asarray(decay) - further_in(decay)
    reached = excess[: round(MOST_OVERLAP * len(decay))]
    bad = np.flatnonzero(reached > threshold)
    return float(bad[-1] + 1) / len(decay) if bad.size else 0.0


def further_in(decay: Sequence[float]) -> npt.NDArray[np.float64]:
    """Share of all pixels that differ of those at least as far from the border as each step.

    Args:
        decay: As `least_overlap` takes it.
    """
    area = np.arange(2 * len(decay) - 1, 0, -2)  # of a ring of a square
    wrong, pixels = (np.cumsum(each[::-1])[::-1] for each in (area * np.asarray(decay), area))
    return np.asarray(wrong / pixels)


def measure_decay(
    score: Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]],
    scene: Scene,
    size: int,
    side: int,
    fill: npt.NDArray[np.float64],
) -> tuple[float, ...] | None:
    """Share of pixels whose class differs from the reference, by distance from the border.

    Args:
        score: Class scores ``(N, K, side, side)`` of raw windows ``(N, B, side, side)``.
        scene: What is read.
        size: Side of a window in pixels of the scene.
        side: Side it is resampled to.
        fill: Value of each band that takes the place of invalid pixels, ``(B,)``.

    Returns:
        ``DECAY_BINS`` shares, from the border to the middle; None if the scene is too small to
        tell (less than five thirds of a window), or has hardly a valid pixel.
    """
    third, reach = size // 3, size + 2 * (size // 3)
    height, width = scene.grid.height, scene.grid.width
    if third == 0 or min(height, width) < reach:
        return None
    whole, shared = Tiling(height, width, size, size), Tiling(height, width, third, third)
    steps, weight = _steps(size), _weight(size)
    wrong, all_pixels = np.zeros(DECAY_BINS), np.zeros(DECAY_BINS)
    places = 0
    for top, left in spread(height, width, reach, PLACES * _TRIES):
        valid = scene.valid(shared.window(top + 2 * third, left + 2 * third))
        if 2 * valid.sum() < valid.size:
            continue
        corners = [(down * third, across * third) for down in range(3) for across in range(3)]
        windows = [
            scene.read(whole.window(top + down, left + across), (side, side), fill)[0]
            for down, across in corners
        ]
        # the part that all nine share
        parts = [
            (slice(2 * third - d, 3 * third - d), slice(2 * third - a, 3 * third - a))
            for d, a in corners
        ]
        scores = [
            enlarged(score(window[None])[0], size, rows, columns).copy()
            for window, (rows, columns) in zip(windows, parts, strict=True)
        ]
        weighted = [
            each * weight[rows, columns]
            for each, (rows, columns) in zip(scores, parts, strict=True)
        ]
        total = np.sum(weighted, axis=0)
        for each, own, (rows, columns) in zip(scores, weighted, parts, strict=True):
            reference = (total - own).argmax(axis=0)
            step = steps[rows, columns][valid]
            differs = (each.argmax(axis=0) != reference)[valid]
            wrong += np.bincount(step, differs, DECAY_BINS)
            all_pixels += np.bincount(step, minlength=DECAY_BINS)
        places += 1
        if places == PLACES:
            break
    if not places:
        return None
    return tuple(round(float(share), 5) for share in wrong / np.maximum(all_pixels, 1))


def known_decay(
    key: Sequence[object], measure: Callable[[], tuple[float, ...] | None]
) -> tuple[float, ...] | None:
    """What `measure` gives, kept in the cache under all that decides it.

    Args:
        key: Model, scene, window and precision, in plain types.
        measure: Called where the cache does not know.
    """
    text = json.dumps([__version__, *key])
    name = f"{hashlib.sha256(text.encode()).hexdigest()}.json"
    kept = cache_folder() / "decay" / name
    if kept.is_file():
        shares = json.loads(kept.read_text(encoding="utf-8"))
        return None if shares is None else tuple(shares)
    measured = measure()
    with (
        suppress(OutputError, OSError),  # then it is measured again next time
        replacing(cache_place("decay", name)) as unfinished,
    ):
        unfinished.write_text(json.dumps(measured), encoding="utf-8")
    return measured


def _weight(size: int) -> npt.NDArray[np.float64]:
    along = np.square(np.sin(np.pi * (np.arange(size) + 0.5) / size))
    return np.outer(along, along)


def _steps(size: int) -> npt.NDArray[np.int64]:
    """Distance of each pixel of a window from its border, as the number of a step."""
    along = np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5
    distance = np.minimum(along[:, None], along[None])
    return np.minimum(distance * 2 / size * DECAY_BINS, DECAY_BINS - 1).astype(np.int64)
