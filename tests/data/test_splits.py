from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.splits import assign_splits, by_block, by_group, random_crops, shared_ground
from rsseg.errors import OptionError

SHARES = {"train": 0.6, "val": 0.1, "test": 0.3}


@given(st.lists(st.text(max_size=3), min_size=1, max_size=60), st.integers(0, 9))
def test_groups_are_whole_and_shares_are_kept_to_a_group(groups, seed):
    splits = assign_splits(groups, SHARES, seed)
    assert set(splits) == set(groups)
    sizes = Counter(groups)
    largest = max(sizes.values())
    for name, share in SHARES.items():
        got = sum(size for group, size in sizes.items() if splits[group] == name)
        assert got <= share * len(groups) + largest + max(sizes.values())
    if len(sizes) >= 3:
        assert set(splits.values()) == set(SHARES)
    assert assign_splits(reversed(groups), SHARES, seed) == splits


def test_many_groups_come_near_the_shares_and_seeds_differ():
    groups = [f"g{i}" for i in range(500)]
    splits = assign_splits(groups, SHARES)
    counts = Counter(splits.values())
    assert {name: counts[name] / 500 for name in SHARES} == pytest.approx(SHARES, abs=0.003)
    assert assign_splits(groups, SHARES, 1) != splits


@pytest.mark.parametrize(
    "shares", [{"a": 0.5, "b": 0.4}, {"a": 1.5, "b": -0.5}, {"a": float("nan"), "b": 1}]
)
def test_wrong_shares_are_refused(shares):
    with pytest.raises(OptionError, match="sum to 1"):
        assign_splits(["x"], shares)


@pytest.fixture
def catalogue(make_scene):
    rows = []
    for number, (height, width) in enumerate([(60, 90), (30, 45), (60, 40), (50, 50)]):
        size = {"height": height, "width": width, "crs": None}
        image = make_scene(f"{number}.tif", **size)
        label = make_scene(f"{number}_label.tif", **size, bands=1)
        group = "" if number == 3 else f"town{number // 2}"
        rows.append(LabelledScene(image, label, "all", group))
    return Catalogue(tuple(rows))


def test_groups_weigh_by_their_pixels(catalogue):
    done = by_group(catalogue, {"train": 0.65, "val": 0.35})
    assert [scene.image for scene in done] == [scene.image for scene in catalogue]
    by_group_name = {}
    for scene in done:
        by_group_name.setdefault(scene.group, set()).add(scene.split)
    assert all(len(splits) == 1 for splits in by_group_name.values())
    assert set(done.splits) == {"train", "val"}


@given(st.integers(2, 40), st.integers(0, 12), st.integers(0, 5))
def test_blocks_of_any_size_keep_their_gap_and_leave_little_out(size, gap, seed):
    from rsseg.data import splits

    if gap >= size:
        return
    for length in (7, 40, 93):
        spans = splits._spans(length, size, gap)
        assert spans[0][0] == 0
        assert spans[-1][1] == length
        assert all(start < end for start, end in spans)
        for (_, end), (start, _) in zip(spans, spans[1:], strict=False):
            assert start - end == gap


def test_blocks_do_not_touch(catalogue):
    done = by_block(catalogue, {"train": 0.5, "val": 0.5}, size=20, gap=4)
    for image in {scene.image for scene in done}:
        rows = [scene for scene in done if scene.image == image]
        owner = np.full((60, 90), -1)
        for number, scene in enumerate(rows):
            inside = owner[scene.window.toslices()]
            assert (inside == -1).all()
            owner[scene.window.toslices()] = number
        for number, scene in enumerate(rows):
            window = scene.window
            top, left = max(window.row_off - 3, 0), max(window.col_off - 3, 0)
            near = owner[
                top : window.row_off + window.height + 3, left : window.col_off + window.width + 3
            ]
            assert set(np.unique(near)) <= {-1, number}
    assert set(done.splits) == {"train", "val"}


def test_blocks_of_a_part_lie_in_it(catalogue):
    import dataclasses

    part = dataclasses.replace(catalogue.scenes[0], window=Window(30, 10, 50, 40))
    done = by_block(Catalogue((part,)), {"train": 0.5, "val": 0.5}, size=20, gap=2)
    assert {(w.col_off, w.row_off) for w in (scene.window for scene in done)} >= {(30, 10)}
    for scene in done:
        scene.grid()
        assert scene.window.col_off >= 30
        assert scene.window.row_off + scene.window.height <= 50


def test_random_crops_leak_as_they_say(catalogue):
    done = random_crops(catalogue, {"train": 0.8, "test": 0.2}, size=20, stride=10)
    assert {(s.window.height, s.window.width) for s in done} == {(20, 20)}
    counts = Counter(scene.split for scene in done)
    assert counts["test"] / len(done) == pytest.approx(0.2, abs=0.02)
    covered = {name: np.zeros((60, 90), bool) for name in ("train", "test")}
    for scene in done:
        if scene.image == catalogue.scenes[0].image:
            covered[scene.split][scene.window.toslices()] = True
    assert (covered["train"] & covered["test"]).any()
    assert (covered["train"] | covered["test"]).all()


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (lambda c: by_block(c, SHARES, size=10, gap=10), "larger than their gap"),
        (lambda c: random_crops(c, SHARES, size=40, stride=20), "at least 40 x 40"),
        (lambda c: random_crops(c, SHARES, size=20, stride=21), "gaps"),
    ],
)
def test_impossible_parts_are_refused(catalogue, split, message):
    with pytest.raises(OptionError, match=message):
        split(catalogue)


def test_splits_are_the_same_wherever_the_folder_lies(catalogue, tmp_path):
    import shutil
    from dataclasses import replace

    moved = tmp_path / "moved" / "deep"
    moved.mkdir(parents=True)
    rows = []
    for scene in catalogue:
        files = {
            name: Path(shutil.copy(getattr(scene, name), moved)) for name in ("image", "label")
        }
        rows.append(replace(scene, **files))
    other, shares = Catalogue(tuple(rows)), {"train": 0.5, "val": 0.5}
    for split in (
        lambda c: by_group(Catalogue(tuple(replace(s, group="") for s in c)), shares),
        lambda c: by_block(c, shares, size=15, gap=2),
        lambda c: random_crops(c, shares, size=15, stride=10),
    ):
        assert [s.split for s in split(catalogue)] == [s.split for s in split(other)]


@pytest.mark.parametrize(
    ("east", "south", "shared"),
    [(0, 0, True), (25, 0, True), (30, 0, False), (0, 24, True), (0, 25, False), (300, 0, False)],
)
def test_splits_that_share_ground_are_told(make_scene, east, south, shared):
    """Scenes of 60 x 50 pixels of half a metre."""
    rows = []
    for split, place in (("train", (0, 0)), ("val", (east, south)), ("train", (1, 1))):
        transform = Affine(0.5, 0, 400_000 + place[0], 0, -0.5, 5_000_000 - place[1])
        image = make_scene(f"{len(rows)}.tif", height=50, width=60, bands=1, transform=transform)
        rows.append(LabelledScene(image, image, split, str(len(rows))))
    told = shared_ground(Catalogue(tuple(rows[:2])))
    assert len(told) == shared
    if shared:
        assert told[0].startswith("the splits 'train' and 'val' share ground: ")
        assert "0.tif and" in told[0]
    assert shared_ground(Catalogue((rows[0], rows[2]))) == ()


def test_parts_of_one_picture_share_ground_where_they_overlap(catalogue):
    apart = by_block(catalogue, {"train": 0.5, "val": 0.5}, size=10, gap=0)
    assert shared_ground(apart) == ()
    crops = random_crops(catalogue, {"train": 0.5, "val": 0.5}, size=20, stride=10)
    (told,) = shared_ground(crops)
    assert "more" in told
