import threading
import time

import numpy as np
import pytest
import torch
from rasterio.env import get_gdal_config

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.samplers import GridWindows, RandomWindows
from rsseg.errors import OptionError, SceneError
from rsseg.legend import Legend
from rsseg.loading import Augmentation, Augmenter, Epochs, WindowDataset, batches
from rsseg.loading.loader import AHEAD

LEGEND = Legend.of({"a": (1, 1, 1), "b": (2, 2, 2)})


@pytest.fixture
def scenes(make_scene):
    rows = []
    for number in range(2):
        image = make_scene(f"{number}.tif", height=60, width=50, seed=number)
        codes = np.random.default_rng(number).integers(0, 2, (1, 60, 50), np.uint8)
        label = make_scene(f"{number}_label.tif", pixels=codes)
        rows.append(LabelledScene(image, label, "train", ""))
    return Catalogue(tuple(rows))


def images(loader):
    return [batch["image"] for batch in loader]


def same(one, other):
    return len(one) == len(other) and all(map(torch.equal, one, other))


def test_epochs_differ_and_are_the_same_for_any_number_of_workers(scenes):
    data = WindowDataset(scenes, RandomWindows(8, 7, 5, (0.5, 2)), legend=LEGEND)
    epochs = {}
    for workers in (0, 1, 2):
        loader = batches(data, 3, workers=workers)
        epochs[workers] = [images(loader) for _ in range(3)]
        assert len(loader) == len(epochs[workers][0]) == 3
    for number in range(3):
        assert same(epochs[0][number], epochs[1][number])
        assert same(epochs[0][number], epochs[2][number])
    assert not same(epochs[0][0], epochs[0][1])
    assert not same(epochs[0][1], epochs[0][2])


def test_a_run_goes_on_where_it_was(scenes):
    data = WindowDataset(scenes, RandomWindows(8, 6, 5), legend=LEGEND)
    loader = batches(data, 2)
    run = [*images(loader), *images(loader)]
    rest = batches(data, 2, first=4)
    assert same([*images(rest), *images(rest)], run[2:])


def test_epochs_by_hand():
    epochs = Epochs(4, first=6)
    assert [list(epochs), list(epochs), len(epochs)] == [[6, 7], [8, 9, 10, 11], 4]


def test_scenes_are_read_at_one_ground_sample_distance(make_scene):
    """Squares of 4 x 4 m, pictured at 0.5 and at 1 m, look alike at 0.5 m."""
    from affine import Affine

    rows = []
    for number, (side, metres) in enumerate([(64, 0.5), (32, 1.0)]):
        squares = np.indices((side, side)) // round(4 / metres)
        pixels = (squares.sum(axis=0) % 2 * 200).astype(np.uint8)
        transform = Affine(metres, 0, 400_000, 0, -metres, 5_000_000)
        image = make_scene(f"{number}.tif", pixels=pixels[None], transform=transform)
        label = make_scene(
            f"{number}_l.tif", pixels=(pixels[None] > 0).astype(np.uint8), transform=transform
        )
        rows.append(LabelledScene(image, label, "train", ""))
    data = WindowDataset(Catalogue(tuple(rows)), GridWindows(64, 64), legend=LEGEND, gsd=0.5)
    fine, coarse = data
    assert torch.equal(fine["label"], coarse["label"])
    assert (fine["image"].float() - coarse["image"].float()).abs().mean() < 25
    plain = WindowDataset(Catalogue(tuple(rows)), GridWindows(32, 32), legend=LEGEND)
    assert len(plain) == 5


def test_where_no_distance_is_known_none_can_be_asked_for(make_scene):
    image, label = (make_scene(f"{n}.tif", bands=1, crs=None) for n in ("i", "l"))
    rows = Catalogue((LabelledScene(image, label, "train", ""),))
    with pytest.raises(SceneError, match=r"distance of .*i\.tif is not known"):
        WindowDataset(rows, GridWindows(8, 8), legend=LEGEND, gsd=1.0)


def test_labels_may_be_coarser_than_their_scene(make_scene):
    from affine import Affine

    image = make_scene("image.tif", height=40, width=60)
    codes = np.random.default_rng(0).integers(0, 2, (1, 20, 30), np.uint8)
    coarse = Affine(1, 0, 400_000, 0, -1, 5_000_000)
    label = make_scene("label.tif", pixels=codes, transform=coarse)
    rows = Catalogue((LabelledScene(image, label, "train", ""),))
    sampler = RandomWindows(16, 20, 1, step=2)
    data = WindowDataset(rows, sampler, legend=LEGEND, label_stride=2)
    for (_, window), sample in zip(data.places, data, strict=True):
        row, column = window.row_off // 2, window.col_off // 2
        assert sample["image"].shape == (3, 16, 16)
        assert np.array_equal(sample["label"], codes[0, row : row + 8, column : column + 8])
    with pytest.raises(OptionError, match="15 pixels cannot have labels of stride 2"):
        WindowDataset(rows, RandomWindows(15, 1), legend=LEGEND, label_stride=2)


def test_polygons_and_parts_of_scenes(make_scene, tmp_path):
    import geopandas
    import shapely
    from rasterio.windows import Window

    image = make_scene("image.tif", height=40, width=60)
    corner = shapely.box(400_010, 4_999_990, 400_020, 5_000_000)  # columns 20-40, rows 0-20
    frame = geopandas.GeoDataFrame({"class": ["b", "b"]}, geometry=[corner, None], crs="EPSG:32633")
    frame.to_file(tmp_path / "label.gpkg")
    rows = Catalogue(
        tuple(
            LabelledScene(image, tmp_path / "label.gpkg", "train", "", None, None, "a", window)
            for window in (Window(0, 0, 30, 40), Window(30, 0, 30, 40))
        )
    )
    data = WindowDataset(rows, GridWindows(32, 32), legend=LEGEND)
    assert len(data.notes) == 1  # of one file
    assert "1 feature without geometry" in data.notes[0]
    left = data[0]["label"]
    assert (left[:, 30:] == 255).all()  # beyond the part, though the image goes on
    assert (left[:20, 20:30] == 1).all()
    assert (left[20:, :30] == 0).all()
    assert torch.equal(data[2]["image"][:, :, 29], data[2]["image"][:, :, 29])
    pixels = WindowDataset(rows, GridWindows(30, 30), legend=LEGEND)
    import rasterio

    with rasterio.open(image) as source:
        expected = source.read(window=Window(30, 0, 30, 30))
    assert np.array_equal(pixels[2]["image"], expected)
    shared = [batch["label"] for batch in batches(data, 1, workers=1)]
    assert same(shared, [sample["label"][None] for sample in data])


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_of_workers_are_one_sentence(scenes, workers):
    data = WindowDataset(scenes, RandomWindows(8, 6, 5), legend=LEGEND)
    label = scenes.scenes[1].label
    label.rename(label.with_name("gone.tif"))
    with pytest.raises(SceneError) as caught:
        images(batches(data, 2, workers=workers))
    message = str(caught.value)
    assert str(label) in message
    assert "Traceback" not in message
    assert message.count("SceneError") == 0


def test_random_changes_are_the_same_for_any_number_of_workers(scenes):
    """Whatever other threads draw at the same time."""
    strong = Augmentation(
        horizontal_flip=0.5, rotation=30, brightness=0.3, hue=0.1, gamma=1.5, blur=2, texture=0.1,
        channel_gain=0.2, quarter_turns=True,
    )  # fmt: skip
    data = WindowDataset(
        scenes, RandomWindows(16, 24, 5), legend=LEGEND, transform=Augmenter(strong), seed=7
    )
    alone = images(batches(data, 2))
    assert same(images(batches(data, 2, workers=4)), alone)
    plain = WindowDataset(scenes, RandomWindows(16, 24, 5), legend=LEGEND)
    assert not same(images(batches(plain, 2)), alone)


class Slow:
    """Samples that take their time, and remember who asked for them."""

    def __init__(self, length=40, bad=None):
        self.length, self.bad, self.asked, self.threads = length, bad, [], set()
        self.parallel = set()

    def __len__(self):
        return self.length

    def __getitem__(self, number):
        self.asked.append(number)
        self.threads.add(threading.current_thread().name)
        self.parallel.add(torch.get_num_threads())
        time.sleep(0.002 * (number % 3))
        if number == self.bad:
            raise SceneError("it is damaged")
        image = torch.full((1, 2, 2), number, dtype=torch.uint16)
        return {"image": image, "label": image[0].to(torch.uint8), "number": number}


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("workers", [0, 1, 3])
def test_batches_come_in_turn_and_only_so_many_ahead(workers, size):
    samples = Slow()
    loader = batches(samples, size, workers=workers)
    for _ in range(2):
        first = samples.asked[-1] + 1 if samples.asked else 0
        coming = iter(loader)
        seen = 0
        for batch in coming:
            seen += len(batch["number"])
            assert batch["number"] == list(range(first + seen - len(batch["number"]), first + seen))
            assert batch["image"].dtype == torch.uint16
            assert batch["image"].int()[:, 0, 0, 0].tolist() == batch["number"]
            assert max(samples.asked) < first + seen + AHEAD * max(workers, 1) * size
        assert seen == 40
        assert sorted(samples.asked[-40:]) == list(range(first, first + 40))
        samples.asked = sorted(samples.asked)
    names = {name.startswith("rsseg-loading") for name in samples.threads}
    assert names == {workers > 0}


def test_an_error_comes_in_its_turn_and_ends_the_workers():
    samples = Slow(bad=7)
    coming = iter(batches(samples, 2, workers=2))
    seen = [number for _ in range(3) for number in next(coming)["number"]]
    assert seen == [0, 1, 2, 3, 4, 5]
    with pytest.raises(SceneError, match="it is damaged"):
        next(coming)
    for thread in threading.enumerate():
        if thread.name.startswith("rsseg-loading"):
            thread.join(10)
            assert not thread.is_alive()


def test_an_epoch_that_is_left_ends_its_workers_and_the_next_one_is_whole():
    samples = Slow()
    loader = batches(samples, 2, workers=2)
    coming = iter(loader)
    assert next(coming)["number"] == [0, 1]
    coming.close()
    assert [batch["number"][0] for batch in loader] == list(range(40, 80, 2))


def test_only_the_workers_lose_their_parallel_operations():
    """Neither this thread, nor one that begins later, such as that of a prediction."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        samples = Slow()
        list(batches(samples, 2, workers=2))
        later = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert (samples.parallel, torch.get_num_threads(), later) == ({1}, 3, [3])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("workers", [0, 2])
def test_processes_share_what_one_would_keep_of_decoded_blocks(workers):
    def kept(processes):
        found = set()

        class Asking(Slow):
            def __getitem__(self, number):
                found.add(get_gdal_config("GDAL_CACHEMAX"))
                return super().__getitem__(number)

        list(batches(Asking(8), 2, workers=workers, shard=(1, processes)))
        (only,) = found
        return only

    alone = kept(1)
    assert alone > 1 << 20
    assert [kept(4), kept(4), kept(2), kept(1)] == [alone // 4, alone // 4, alone // 2, alone]


def test_contrast_of_one_band_does_not_depend_on_torchs_threads():
    before, found = torch.get_num_threads(), []
    image = torch.rand(1, 512, 512, generator=torch.Generator().manual_seed(0)) * 255
    change = Augmenter(Augmentation(contrast=0.4), bands=("nir",))
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            source = torch.Generator().manual_seed(1)
            found.append(change(image, image[0].to(torch.uint8), source)[0])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)
    assert not torch.equal(found[0], image)
