"""Which scenes, or parts of scenes, train and which test: the same on every machine."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from rasterio.windows import Window

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.neighbours import neighbour_groups, neighbours
from rsseg.errors import OptionError
from rsseg.geo.tiling import Tiling, shifted


def by_group(catalogue: Catalogue, shares: Mapping[str, float], seed: int = 0) -> Catalogue:
    """Whole groups to each split: no pixel of a tile, town or flight is in two of them.

    Rows without a group are a group each. Groups that overlap on the ground are not brought
    together; `shared_ground` finds them.

    Args:
        catalogue: Labelled scenes; the splits they have are replaced.
        shares: Share of the pixels by split, summing to 1.
        seed: Another seed, other splits.

    Raises:
        OptionError: If a share is negative or they do not sum to 1.
        SceneError: If a scene cannot be opened.
    """
    names = _names(catalogue)
    groups = {(s.image, s.group): s.group or names[s.image] for s in catalogue}
    pixels: Counter[str] = Counter()
    for scene in catalogue:
        grid = scene.footprint()
        pixels[groups[scene.image, scene.group]] += grid.height * grid.width
    splits = assign_splits(pixels, shares, seed)
    return Catalogue(tuple(replace(s, split=splits[groups[s.image, s.group]]) for s in catalogue))


def by_block(
    catalogue: Catalogue, shares: Mapping[str, float], *, size: int, gap: int, seed: int = 0
) -> Catalogue:
    """Square blocks of every scene to each split, with a gap between those of different splits.

    Pixels that are near are alike, so a test next to training pixels flatters. Each block is a row
    of its own, with a ``window``; samples do not leave it. Blocks of different rows that overlap on
    the ground, or lie nearer than the gap, as where tiles adjoin, come into one split.

    Args:
        catalogue: Labelled scenes; the splits they have are replaced.
        shares: Share of the blocks by split, summing to 1.
        size: Side of the blocks with their gap, pixels; what is left over at the lower and right
            edge joins the blocks there.
        gap: Pixels left out between any two blocks of a scene.
        seed: Another seed, other splits.

    Raises:
        OptionError: If the gap leaves nothing of a block, or the shares are wrong.
        SceneError: If a scene cannot be opened.
    """
    if not 0 <= gap < size:
        raise OptionError("blocks need a size larger than their gap", got=f"{size} and {gap}")
    rows, grids, sources = [], [], []
    for source, scene in enumerate(catalogue):
        grid = scene.footprint()
        for top, bottom in _spans(grid.height, size, gap):
            for left, right in _spans(grid.width, size, gap):
                window = Window(left, top, right - left, bottom - top)
                rows.append(_part(scene, window))
                grids.append(grid.crop(window))
                sources.append(source)
    return _assigned(rows, shares, seed, neighbour_groups(rows, grids, sources, gap))


def random_crops(
    catalogue: Catalogue, shares: Mapping[str, float], *, size: int, stride: int, seed: int = 0
) -> Catalogue:
    """Crops at random to each split, overlapping ones too: this leaks, and flatters.

    For repeating what has been published with such splits (Wang et al. 2024 split augmented crops
    of the same tiles); compare nothing else with it.

    Args:
        catalogue: Labelled scenes; the splits they have are replaced.
        shares: Share of the crops by split, summing to 1.
        size: Side of the crops, pixels.
        stride: Distance between crops; below ``size`` they share pixels.
        seed: Another seed, other splits.

    Raises:
        OptionError: If the stride leaves gaps, a scene is smaller than a crop, or the shares are
            wrong.
        SceneError: If a scene cannot be opened.
    """
    rows = []
    for scene in catalogue:
        grid = scene.footprint()
        if min(grid.height, grid.width) < size:
            raise OptionError(
                f"{scene.image} has {grid.width} x {grid.height} pixels",
                expected=f"at least {size} x {size}",
            )
        tiling = Tiling(grid.height, grid.width, size, stride)
        rows += [_part(scene, tiling.window(r, c)) for r in tiling.rows for c in tiling.columns]
    return _assigned(rows, shares, seed)


def shared_ground(catalogue: Catalogue) -> tuple[str, ...]:
    """Any two splits that share ground, a sentence each: what is tested there was trained on.

    Rows with a place are compared on the ground, whatever their CRS; those without only with parts
    of the same image.

    Raises:
        SceneError: If a scene cannot be opened.
    """
    rows = catalogue.scenes
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for one, other in neighbours(rows, [row.footprint() for row in rows], 0):
        splits = rows[one].split, rows[other].split
        if splits[0] < splits[1]:
            found.setdefault(splits, []).append((one, other))
    return tuple(
        f"the splits '{first}' and '{second}' share ground: "
        f"{_described(pairs, rows)}; give what overlaps one group, or split by blocks"
        for (first, second), pairs in sorted(found.items())
    )


def assign_splits(
    groups: Iterable[str] | Mapping[str, int], shares: Mapping[str, float], seed: int = 0
) -> dict[str, str]:
    """A split for each group, whole groups only.

    Groups are taken in the order of a hash of their name and of the seed; each goes to the split
    that lacks most of its share. So no split gets more than its share by a whole group, and none
    with a share stays empty while there are as many groups as splits.

    Args:
        groups: Group of each picture, in any order; or its weight by group.
        shares: Share of the pictures by split, summing to 1; ties go to the one named first.
        seed: Another seed, other splits.

    Returns:
        Split by group.

    Raises:
        OptionError: If a share is negative or they do not sum to 1.
    """
    if not (min(shares.values()) >= 0 and abs(sum(shares.values()) - 1) <= 1e-9):
        given = ", ".join(f"{split} {share:g}" for split, share in shares.items())
        raise OptionError("shares of splits must be 0 or more and sum to 1", got=given)
    sizes = Counter(groups)
    lacking = {split: share * sum(sizes.values()) for split, share in shares.items() if share}
    splits: dict[str, str] = {}
    for group in sorted(sizes, key=lambda name: _rank(name, seed)):
        split = max(lacking, key=lambda name: lacking[name])
        splits[group] = split
        lacking[split] -= sizes[group]
    _fill_empty(splits, list(lacking), sizes)
    return splits


def _described(pairs: Sequence[tuple[int, int]], rows: Sequence[LabelledScene]) -> str:
    """How many pairs of rows overlap, and the first of them."""
    one, other = (rows[number] for number in min(pairs))
    if one.image == other.image:
        example = f"parts of {one.image}"
    else:
        example = f"{one.image} and {other.image}"
    return f"{example} overlap" + (f", and {len(pairs) - 1:,} more" if len(pairs) > 1 else "")


def _names(rows: Iterable[LabelledScene]) -> dict[Path, str]:
    """Names of the images that are the same wherever their folder lies."""
    images = {row.image: row.image.resolve() for row in rows}
    common = os.path.commonpath([path.parent for path in images.values()])
    return {image: path.relative_to(common).as_posix() for image, path in images.items()}


def _spans(length: int, size: int, gap: int) -> list[tuple[int, int]]:
    """First and last pixel (excluded) of the blocks along a side; gaps are between blocks only."""
    count = max(1, length // size)
    starts = [block * size for block in range(count)]
    ends = [*starts[1:], length]
    return [
        (start + (gap - gap // 2 if block else 0), end - (gap // 2 if block < count - 1 else 0))
        for block, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def _part(scene: LabelledScene, window: Window) -> LabelledScene:
    return replace(scene, window=shifted(window, scene.window) if scene.window else window)


def _assigned(
    rows: list[LabelledScene],
    shares: Mapping[str, float],
    seed: int,
    together: Sequence[int] | None = None,
) -> Catalogue:
    """Rows to splits, each by itself or with those of which it has the first one's number."""
    firsts = rows if together is None else [rows[number] for number in together]
    files = _names(rows)
    names = [f"{files[row.image]} {row.window}" for row in firsts]
    splits = assign_splits(names, shares, seed)
    return Catalogue(
        tuple(replace(row, split=splits[name]) for row, name in zip(rows, names, strict=True))
    )


def _rank(group: str, seed: int) -> str:
    return sha256(f"{seed} {group}".encode()).hexdigest()


def _fill_empty(splits: dict[str, str], wanted: list[str], sizes: Mapping[str, int]) -> None:
    """Give each empty split the smallest group of a split that has several."""
    for empty in wanted:
        held = Counter(splits.values())
        spare = [group for group, split in splits.items() if held[split] > 1]
        if empty not in held and spare:
            splits[min(spare, key=lambda group: sizes[group])] = empty
