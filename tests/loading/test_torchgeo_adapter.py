"""Both directions, with torchgeo's own samplers and datasets."""

import warnings

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.windows import Window, from_bounds
from torch.utils.data import DataLoader

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.errors import GridMismatch, LegendError, OptionError, SceneError
from rsseg.legend import NODATA, LandClass, Legend
from rsseg.loading import Augmentation, Augmenter, batches

with warnings.catch_warnings():  # of the libraries that torchgeo imports
    warnings.simplefilter("ignore")
    from torchgeo.datasets import NonGeoDataset, Vaihingen2D, stack_samples
    from torchgeo.samplers import GridGeoSampler, RandomGeoSampler

    from rsseg.loading.torchgeo_adapter import CatalogueDataset, TorchgeoSamples

LEGEND = Legend(tuple(LandClass(code, f"c{code}", (code,) * 3) for code in (9, 4)))
WEST = Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)


@pytest.fixture
def catalogue(make_scene):
    rows = []
    for number, east in enumerate((400_000, 400_030)):
        transform = Affine(0.5, 0, east, 0, -0.5, 5_000_000)
        image = make_scene(f"{number}.tif", height=50, width=60, transform=transform, seed=number)
        codes = np.random.default_rng(number).choice([9, 4, NODATA], (1, 50, 60)).astype(np.uint8)
        label = make_scene(f"{number}_label.tif", pixels=codes, transform=transform)
        rows.append(LabelledScene(image, label, "train", str(number)))
    return Catalogue(tuple(rows))


@pytest.mark.parametrize("kind", [RandomGeoSampler, GridGeoSampler])
def test_our_scenes_under_its_samplers(catalogue, kind):
    dataset = CatalogueDataset(catalogue, LEGEND)
    options = {"length": 20} if kind is RandomGeoSampler else {"stride": 16}
    loader = DataLoader(
        dataset, 1, sampler=kind(dataset, size=16, **options), collate_fn=stack_samples
    )
    seen = 0
    for batch in loader:
        x, y, _ = batch["bounds"][0]
        found = []
        for row in catalogue:
            with rasterio.open(row.image) as image, rasterio.open(row.label) as label:
                exact = from_bounds(x.start, y.start, x.stop, y.stop, image.transform)
                window = Window(*(round(value) for value in exact.flatten()))
                inside = window.col_off >= 0 and window.col_off + 16 <= 60
                inside &= window.row_off >= 0 and window.row_off + 16 <= 50
                if inside:
                    found.append((image.read(window=window), label.read(1, window=window)))
        if not found:
            continue
        seen += 1
        assert batch["image"].dtype == torch.float32
        assert batch["mask"].dtype == torch.int64
        assert any(
            np.array_equal(batch["image"][0], pixels)
            and np.array_equal(batch["mask"][0], LEGEND.indices[codes])
            for pixels, codes in found
        )
    assert seen >= 10


def test_what_no_scene_has_is_an_index_error(catalogue):
    dataset = CatalogueDataset(catalogue, LEGEND)
    with pytest.raises(IndexError, match="no scene has anything"):
        dataset[slice(0, 10), slice(0, 10)]
    beyond = dataset[slice(399_990, 400_010), slice(4_999_990, 5_000_000)]
    assert (beyond["mask"][:, :20] == NODATA).all()
    assert (beyond["mask"][:, 20:] != NODATA).any()
    doubled = CatalogueDataset(
        catalogue, LEGEND, transforms=lambda s: {**s, "twice": s["mask"] * 2}
    )
    assert "twice" in doubled[slice(400_000, 400_004), slice(4_999_990, 4_999_994)]


def test_scenes_torchgeo_cannot_take_together_are_refused(catalogue, make_scene):
    for options, message in (
        ({"transform": WEST @ Affine.scale(2)}, "one CRS and pixel size"),
        ({"crs": "EPSG:32632"}, "one CRS and pixel size"),
        ({"crs": None}, "a CRS, and north up"),
        ({"transform": WEST @ Affine.rotation(10)}, "north up"),
    ):
        image, label = (make_scene(f"other_{n}.tif", bands=1, **options) for n in ("i", "l"))
        rows = (*catalogue, LabelledScene(image, label, "train", ""))
        with pytest.raises(GridMismatch, match=message):
            CatalogueDataset(Catalogue(rows), LEGEND)


@pytest.fixture
def vaihingen(tmp_path):
    """Two tiles in torchgeo's layout, in its colours."""
    generator = np.random.default_rng(0)
    truth = {}
    for area, (height, width) in (("1", (40, 30)), ("11", (12, 50))):
        name = f"top_mosaic_09cm_area{area}.tif"
        classes = generator.integers(0, 6, (height, width))
        colours = np.array(Vaihingen2D.colormap, np.uint8)[classes]
        picture = generator.integers(0, 256, (height, width, 3), np.uint8)
        for path, pixels in ((tmp_path / name, colours), (tmp_path / "top" / name, picture)):
            path.parent.mkdir(exist_ok=True)
            shape = {"count": 3, "height": height, "width": width, "dtype": "uint8"}
            with rasterio.open(path, "w", driver="GTiff", **shape) as target:
                target.write(np.moveaxis(pixels, -1, 0))
        truth[height, width] = picture, classes
    return Vaihingen2D(str(tmp_path)), truth


def test_its_datasets_become_our_samples(vaihingen):
    dataset, truth = vaihingen
    samples = TorchgeoSamples(dataset, size=12, count=30, classes=6, seed=1)
    assert len(samples) == 30
    pictures = set()
    for number in range(30):
        sample = samples[number]
        assert sample["label"].dtype == torch.uint8
        found = [
            (shape, top, left)
            for shape, (picture, classes) in truth.items()
            for top in range(shape[0] - 11)
            for left in range(shape[1] - 11)
            if np.array_equal(sample["label"], classes[top : top + 12, left : left + 12])
        ]
        assert len(found) == 1
        shape, top, left = found[0]
        picture = truth[shape][0][top : top + 12, left : left + 12]
        assert np.array_equal(sample["image"], np.moveaxis(picture, -1, 0))
        pictures.add(shape)
        assert torch.equal(samples[number]["image"], sample["image"])
    assert pictures == set(truth)
    assert not torch.equal(samples[0]["image"], samples[30]["image"])


def test_small_pictures_are_reflected_and_unlabelled_beyond(vaihingen):
    dataset, truth = vaihingen
    samples = TorchgeoSamples(dataset, size=32, count=8)
    tall = [
        sample for sample in map(samples.__getitem__, range(8)) if (sample["label"] == NODATA).any()
    ]
    assert tall
    for sample in tall:
        here = sample["label"] != NODATA
        rows, columns = int(here.any(1).sum()), int(here.any(0).sum())
        assert (rows, columns) in ((12, 32), (32, 30))
        if rows == 12:
            assert torch.equal(sample["image"][:, 12:22], sample["image"][:, 1:11].flip(1))


def test_classes_are_mapped_and_strangers_refused(vaihingen):
    dataset, _ = vaihingen
    plain = TorchgeoSamples(dataset, size=12, count=5)
    indices = {0: NODATA, 1: 0, 2: 1, 3: 2, 4: 3, 5: 4}
    mapped = TorchgeoSamples(dataset, size=12, count=5, indices=indices, classes=5)
    table = torch.tensor([indices[value] for value in range(6)], dtype=torch.uint8)
    for number in range(5):
        assert torch.equal(mapped[number]["label"], table[plain[number]["label"].long()])
    few = TorchgeoSamples(dataset, size=12, count=5, classes=4)
    with pytest.raises(LegendError, match=r"picture \d of Vaihingen2D holds the value [45]"):
        few[0]


def test_augmentation_is_the_same_for_one_number(vaihingen):
    augment = Augmenter(Augmentation(rotation=20))
    samples = TorchgeoSamples(vaihingen[0], size=12, count=6, transform=augment)
    for number in range(6):
        one, other = samples[number], samples[number]
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["label"], other["label"])


class Wrong(NonGeoDataset):
    """Pictures without masks."""

    def __init__(self, length=1):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return {"image": torch.zeros(3, 4, 4), "label": torch.tensor(1)}


def test_datasets_of_other_tasks_are_refused():
    with pytest.raises(SceneError, match=r"picture 0 of Wrong has no mask.*got image \(3, 4, 4\)"):
        TorchgeoSamples(Wrong(), size=4, count=1)[0]
    for size, count, length in ((0, 1, 1), (1, 0, 1), (1, 1, 0)):
        with pytest.raises(OptionError, match="positive size and count"):
            TorchgeoSamples(Wrong(length), size=size, count=count)


@given(st.integers(0, 60), st.integers(0, 40), st.integers(1, 20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_box_of_whole_pixels_is_never_resampled(catalogue, east, south, side):
    # places in quarters of a pixel, so that some corners lie half way between two
    dataset = CatalogueDataset(catalogue, LEGEND)
    left, top = 400_000 + east / 8, 5_000_000 - south / 8
    pixels = dataset[left : left + side / 2, top - side / 2 : top]["image"].numpy()
    with rasterio.open(catalogue.scenes[0].image) as image:
        whole = image.read()
    near = [(south // 4 + r, east // 4 + c) for r in (0, 1) for c in (0, 1)]
    assert any(np.array_equal(pixels, whole[:, r : r + side, c : c + side]) for r, c in near)


def test_batches_of_its_datasets_differ_by_epoch(vaihingen):
    samples = TorchgeoSamples(vaihingen[0], size=12, count=6)
    loader = batches(samples, 3)
    epochs = [[batch["image"] for batch in loader] for _ in range(2)]
    assert [len(epoch) for epoch in epochs] == [2, 2]
    assert epochs[0][0].shape == (3, 3, 12, 12)
    assert not torch.equal(epochs[0][0], epochs[1][0])
