import os
import pickle

import numpy as np
import pytest
import rasterio
import torch
from torch.utils.data import DataLoader

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.samplers import GridWindows, RandomWindows
from rsseg.errors import BandError, GridMismatch, SceneError
from rsseg.legend import NODATA, LandClass, Legend
from rsseg.loading import Augmentation, Augmenter, WindowDataset, dataset

LEGEND = Legend(tuple(LandClass(code, f"c{code}", (code,) * 3) for code in (9, 4, 200)))
STRONG = Augmentation(
    horizontal_flip=0.5, rotation=30, brightness=0.3, hue=0.1, gamma=1.5, blur=2, quarter_turns=True
)
fork = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture
def catalogue(make_scene):
    """Two scenes of other sizes, one with a hole; labels with unlabelled pixels."""
    generator = np.random.default_rng(0)
    rows = []
    for number, (height, width) in enumerate([(50, 70), (40, 30)]):
        valid = np.ones((height, width), bool)
        valid[5:15, 10:25] = number == 1
        validity = "nodata" if number == 0 else "none"
        image = make_scene(f"{number}.tif", valid=valid, validity=validity, seed=number)
        codes = generator.choice([9, 4, 200, NODATA], (1, height, width)).astype(np.uint8)
        label = make_scene(f"{number}_label.tif", pixels=codes)
        rows.append(LabelledScene(image, label, "train", str(number)))
    return Catalogue(tuple(rows))


def _dataset(catalogue, **options):
    options = {"sampler": RandomWindows(16, 12, 0, (0.5, 2)), "legend": LEGEND} | options
    return WindowDataset(catalogue, options.pop("sampler"), **options)


def _equal(one, other):
    return torch.equal(one["image"], other["image"]) and torch.equal(one["label"], other["label"])


def test_samples_are_the_windows_pixels_and_class_indices(catalogue):
    data = _dataset(catalogue, sampler=GridWindows(16, 16))
    places = list(data.sampler.over([(50, 70), (40, 30)]))
    assert len(data) == len(places)
    for sample, (number, window) in zip(data, places, strict=False):
        row = catalogue.scenes[number]
        with rasterio.open(row.image) as image, rasterio.open(row.label) as label:
            pixels, codes = image.read(window=window), label.read(1, window=window)
            valid = image.dataset_mask(window=window) > 0
        expected = np.where(valid, LEGEND.indices[codes], NODATA)
        assert sample["label"].dtype == torch.uint8
        assert torch.equal(sample["image"], torch.from_numpy(pixels))
        assert np.array_equal(sample["label"], expected)


def test_samples_have_one_shape_and_no_label_where_the_scene_is_invalid_or_ends(catalogue):
    for sampler in (RandomWindows(16, 30, 0, (0.3, 3)), GridWindows(64, 64)):
        for sample in _dataset(catalogue, sampler=sampler):
            assert sample["image"].shape == (3, sampler.size, sampler.size)
            assert sample["label"].shape == (sampler.size, sampler.size)
            assert set(sample["label"].unique().tolist()) <= {0, 1, 2, NODATA}
    beyond = _dataset(catalogue, sampler=GridWindows(64, 64))[0]["label"]
    assert (beyond[50:] == NODATA).all()
    assert (beyond[5:15, 10:25] == NODATA).all()


@pytest.mark.parametrize("transform", [None, Augmenter(STRONG)])
def test_a_sample_depends_on_seed_and_index_alone(catalogue, transform):
    data = _dataset(catalogue, transform=transform, seed=3)
    forwards = [data[index] for index in range(12)]
    state = torch.random.get_rng_state()
    torch.manual_seed(99)
    again = _dataset(catalogue, transform=transform, seed=3)
    assert all(_equal(again[index], forwards[index]) for index in reversed(range(12)))
    torch.random.set_rng_state(state)
    _ = again[0]
    assert torch.equal(torch.random.get_rng_state(), state)


def test_another_seed_augments_otherwise(catalogue):
    one, other = (_dataset(catalogue, transform=Augmenter(STRONG), seed=s) for s in (0, 1))
    assert not all(_equal(one[index], other[index]) for index in range(12))


@fork
def test_workers_change_nothing(catalogue):
    data = _dataset(catalogue, transform=Augmenter(STRONG))
    alone = list(DataLoader(data, 3, num_workers=0))
    shared = list(DataLoader(data, 3, num_workers=2))
    assert len(alone) == len(shared) == 4
    assert all(_equal(one, other) for one, other in zip(alone, shared, strict=True))


@fork
def test_forked_workers_read_what_their_parent_decoded_with_several_threads(make_scene):
    """GDAL's threads stay behind in a fork: a worker that counts on them waits for ever."""
    blocks = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "zstd"}
    image = make_scene("image.tif", height=90, width=80, **blocks)
    codes = np.random.default_rng(0).choice([9, 4, 200], (1, 90, 80)).astype(np.uint8)
    label = make_scene("label.tif", pixels=codes, **blocks)
    rows = Catalogue((LabelledScene(image, label, "train", ""),))
    data = WindowDataset(rows, RandomWindows(40, 12), legend=LEGEND)
    alone = list(DataLoader(data, 3))
    shared = list(DataLoader(data, 3, num_workers=2, timeout=60))
    assert all(_equal(one, other) for one, other in zip(alone, shared, strict=True))


@pytest.mark.parametrize("compress", ["deflate", "zstd", "lzw"])
def test_a_damaged_block_is_an_error_whoever_decodes_it(make_scene, compress):
    blocks = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": compress}
    image = make_scene("image.tif", bands=1, height=64, width=64, **blocks)
    label = make_scene("label.tif", pixels=np.full((1, 64, 64), 9, np.uint8))
    with rasterio.open(image) as file:
        start, size = (
            int(file.get_tag_item(f"BLOCK_{what}_2_1", "TIFF", bidx=1))
            for what in ("OFFSET", "SIZE")
        )
    content = bytearray(image.read_bytes())
    content[start : start + size] = b"\xff" * size
    image.write_bytes(content)
    rows = Catalogue((LabelledScene(image, label, "train", ""),))
    data = WindowDataset(rows, GridWindows(32, 32), legend=LEGEND)
    for number in (0, 2, 3):  # the second window has the block at row 16, column 32
        assert data[number]["image"].shape == (1, 32, 32)
    with pytest.raises(SceneError, match=r"image\.tif cannot be read at rows 0-31, columns 32-63"):
        data[1]


@fork
def test_each_process_opens_its_own_files(catalogue, monkeypatch, tmp_path):
    """A forked worker shares file positions with its parent: using its handles mixes up reads."""
    log = tmp_path / "opened.log"

    class Logged(dataset.Scene):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            with log.open("a") as file:
                file.write(f"{os.getpid()}\n")

    monkeypatch.setattr(dataset, "Scene", Logged)
    data = _dataset(catalogue)
    for index in range(len(data)):
        _ = data[index]
    assert log.read_text().split() == [str(os.getpid())] * 2
    list(DataLoader(data, 3, num_workers=2))
    assert len(set(log.read_text().split())) == 3


def test_a_label_transform_sees_the_final_label(catalogue):
    def count(label):
        return np.full(label.shape, (label == NODATA).sum(), np.int32)

    data = _dataset(catalogue, transform=Augmenter(STRONG), label_transform=count)
    for sample in data:
        assert sample["affinity"].dtype == torch.int32
        assert (sample["affinity"] == (sample["label"] == NODATA).sum()).all()
    assert "affinity" not in _dataset(catalogue)[0]


def test_open_files_do_not_travel(catalogue):
    data = _dataset(catalogue)
    expected = data[0]
    copy = pickle.loads(pickle.dumps(data))
    assert _equal(copy[0], expected)


def test_bands_are_chosen_by_name(catalogue):
    sampler = GridWindows(16, 16)
    rgb = _dataset(catalogue, sampler=sampler)[0]["image"]
    chosen = _dataset(catalogue, sampler=sampler, bands=("blue", "red"))[0]["image"]
    assert torch.equal(chosen, rgb[[2, 0]])
    with pytest.raises(BandError, match="nir"):
        _ = _dataset(catalogue, bands=("nir",))[0]


def test_label_and_image_must_lie_on_one_grid(catalogue, make_scene):
    row = catalogue.scenes[0]
    off = make_scene("off.tif", height=50, width=71, bands=1)
    wrong = Catalogue((LabelledScene(row.image, off, "train", ""),))
    with pytest.raises(GridMismatch):
        _dataset(wrong)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_any_pixel_type_can_be_batched(make_scene, dtype):
    image = make_scene("image.tif", height=40, width=40, bands=4, dtype=dtype)
    label = make_scene("label.tif", pixels=np.full((1, 40, 40), 4, np.uint8))
    data = _dataset(
        Catalogue((LabelledScene(image, label, "train", ""),)), transform=Augmenter(Augmentation())
    )
    plain = _dataset(data.catalogue)
    batch = next(iter(DataLoader(data, 3)))["image"].float()
    assert batch.shape == (3, 4, 16, 16)
    assert torch.equal(batch[0], plain[0]["image"].float())
