from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from rasterio.windows import Window
from torch import nn

from rsseg.bundle import DECAY_BINS, Bundle
from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.errors import BandError, OptionError
from rsseg.legend import Legend
from rsseg.metrics import ConfusionMatrix
from rsseg.normalise import Normalisation
from rsseg.prediction import PredictOptions, predict
from rsseg.prediction.planning.decay import least_overlap
from rsseg.training import Recipe
from rsseg.training.samples import validation_windows
from rsseg.training.validation import TileScores, WindowScores

LEGEND = Legend.of({"low": (0, 0, 1), "middle": (0, 0, 2), "high": (0, 0, 3)})
BUNDLE = Bundle(
    "unet-small",
    LEGEND,
    ("1", "2", "3"),
    Normalisation.uniform(3, scale=255, mean=0.5, std=0.5),
    window=32,
)


class Network(nn.Module):
    """Looks at its neighbourhood, so that windows and blending matter; with a mode of its own."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 3, 5, padding=2)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, images):
        return self.norm(self.conv(images)) * 4


def by_hand(truth, predicted):
    counts = np.zeros((3, 4), np.int64)
    for t, p in zip(truth.ravel(), predicted.ravel(), strict=True):
        if t != 255:
            counts[t, 3 if p == 255 else p] += 1
    return counts


def codes_of(shape, seed=0):
    choices = np.array([0, 1, 2, 255], np.uint8)
    return np.random.default_rng(seed).choice(choices, (1, *shape))


def mapped(image, folder, **options):
    out = folder / "map.tif"
    chosen = PredictOptions(overwrite=True, device="cpu", precision="fp32", **options)
    predict(image, out, bundle=BUNDLE, network=Network(), options=chosen)
    with rasterio.open(out) as source:
        return source.read(1)


def test_tiles_are_what_predict_gives_counted_by_hand(make_scene, tmp_path):
    valid = np.random.default_rng(3).random((70, 90)) < 0.95
    image = make_scene("image.tif", valid=valid, validity="mask")
    codes = codes_of((70, 90))
    rows = Catalogue((LabelledScene(image, make_scene("label.tif", pixels=codes), "val", ""),))
    scorer = TileScores(BUNDLE, rows)
    network = Network().train()
    found = scorer.count(network, 0, "cpu")
    assert np.array_equal(found, by_hand(codes[0], mapped(image, tmp_path)))
    assert found[:, 3].sum() == ((codes[0] != 255) & ~valid).sum()
    assert not network.training


def test_parts_of_one_image_are_predicted_once(make_scene, tmp_path):
    """Windows see the whole image, whatever part of it is labelled."""
    image, other = make_scene("image.tif", 64, 80), make_scene("other.tif", 40, 40, seed=5)
    codes = codes_of((64, 80))
    label = make_scene("label.tif", pixels=codes)
    parts = (Window(0, 0, 40, 64), Window(48, 10, 20, 30))
    rows = [LabelledScene(image, label, "val", str(n), window=p) for n, p in enumerate(parts)]
    last = LabelledScene(other, make_scene("o.tif", pixels=codes_of((40, 40), 1)), "val", "")
    scorer = TileScores(BUNDLE, Catalogue((rows[0], last, rows[1])))
    assert len(scorer) == 2
    predicted = mapped(image, tmp_path)
    expected = sum(by_hand(codes[0][p.toslices()], predicted[p.toslices()]) for p in parts)
    assert np.array_equal(scorer.count(Network(), 0, "cpu"), expected)


def test_polygons_are_truth_too(make_scene, tmp_path):
    import geopandas
    import shapely

    image = make_scene("image.tif", 40, 60)
    box = shapely.box(400_005, 4_999_985, 400_020, 4_999_995)  # columns 10-40, rows 10-30
    geopandas.GeoDataFrame({"class": ["high"]}, geometry=[box], crs="EPSG:32633").to_file(
        tmp_path / "label.gpkg"
    )
    codes = np.full((40, 60), 255, np.uint8)
    codes[10:30, 10:40] = 2
    rows = Catalogue((LabelledScene(image, tmp_path / "label.gpkg", "val", ""),))
    found = TileScores(BUNDLE, rows).count(Network(), 0, "cpu")
    assert np.array_equal(found, by_hand(codes, mapped(image, tmp_path)))


def test_coarser_labels_are_compared_at_their_own_pixels(make_scene, tmp_path):
    image = make_scene("image.tif", 40, 60)
    codes = codes_of((10, 15))
    label = make_scene("label.tif", pixels=codes, transform=Affine(2, 0, 4e5, 0, -2, 5e6))
    rows = Catalogue((LabelledScene(image, label, "val", ""),))
    found = TileScores(BUNDLE, rows, label_stride=4).count(Network(), 0, "cpu")
    predicted = mapped(image, tmp_path)
    nearest = predicted[2::4, 2::4]
    assert np.array_equal(found, by_hand(codes[0], nearest))


def test_scenes_are_predicted_at_the_distance_of_the_model(make_scene, tmp_path):
    image, codes = make_scene("image.tif", 64, 64), codes_of((64, 64))
    rows = Catalogue((LabelledScene(image, make_scene("l.tif", pixels=codes), "val", ""),))
    coarse = replace(BUNDLE, gsd=1.0)
    found = TileScores(coarse, rows, rescale=True).count(Network(), 0, "cpu")
    out = tmp_path / "map.tif"
    options = PredictOptions(rescale=True, device="cpu")
    predict(image, out, bundle=coarse, network=Network(), options=options)
    with rasterio.open(out) as source:
        assert np.array_equal(found, by_hand(codes[0], source.read(1)))
    assert not np.array_equal(found, TileScores(coarse, rows).count(Network(), 0, "cpu"))


def test_what_cannot_be_predicted_shows_before_the_training(make_scene):
    label = make_scene("label.tif", bands=1)
    unknown = make_scene("unknown.tif", crs=None)
    rows = Catalogue((LabelledScene(unknown, label, "val", ""),))
    TileScores(BUNDLE, rows).require_predictable(Network(), "cpu")
    with pytest.raises(OptionError, match="distance of"):
        TileScores(BUNDLE, rows, rescale=True).require_predictable(Network(), "cpu")
    narrow = Catalogue((LabelledScene(make_scene("one.tif", bands=1), label, "val", ""),))
    with pytest.raises(BandError):
        TileScores(BUNDLE, narrow).require_predictable(Network(), "cpu")


def test_receptive_decay_is_that_of_the_images(make_scene):
    """A network that sees two pixels around errs at the border of windows, and nowhere else."""
    images = [make_scene(f"{n}.tif", 60, 70, seed=n) for n in range(2)]
    small = make_scene("small.tif", 50, 70)
    label = make_scene("label.tif", pixels=codes_of((60, 70)))
    rows = [LabelledScene(image, label, "val", "") for image in (small, *images)]
    decay = TileScores(BUNDLE, Catalogue(tuple(rows))).decay(Network(), "cpu")
    assert decay is not None
    assert decay[0] > decay[1] > 0.05 > 5 * max(decay[2:]), "steps are of a pixel, the reach is two"
    assert least_overlap(decay) == 2 / DECAY_BINS
    assert TileScores(BUNDLE, Catalogue(tuple(rows[:1]))).decay(Network(), "cpu") is None


def test_windows_are_scored_one_by_one(make_scene):
    codes = codes_of((64, 96))
    image, label = make_scene("image.tif", 64, 96), make_scene("label.tif", pixels=codes)
    recipe = Recipe.model_validate(
        {
            "title": "a test",
            "data": {
                "bands": [1, 2, 3],
                "classes": [{"code": c.code, "name": c.name, "colour": c.colour} for c in LEGEND],
                "normalisation": {"scale": [255] * 3, "mean": [0.5] * 3, "std": [0.5] * 3},
                "window": 32,
            },
            "model": {"name": "unet-small"},
            "trainer": {"steps": 1},
        }
    )
    rows = Catalogue((LabelledScene(image, label, "val", ""),))
    scorer = WindowScores(recipe, validation_windows(recipe, rows))
    assert len(scorer) == 6
    network = Network()
    total = ConfusionMatrix(LEGEND.names)
    for number in range(6):
        total.add(scorer.count(network, number, "cpu"))
    with rasterio.open(image) as source:
        pixels = torch.from_numpy(source.read()).float() / 255
    expected = np.zeros((3, 4), np.int64)
    for row in range(0, 64, 32):
        for column in range(0, 96, 32):
            place = slice(row, row + 32), slice(column, column + 32)
            with torch.no_grad():
                logits = network.eval()((pixels[:, place[0], place[1]][None] - 0.5) / 0.5)
            expected += by_hand(codes[0][place], logits[0].argmax(0).numpy())
    assert np.array_equal(total.matrix, expected)
