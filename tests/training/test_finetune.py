"""The shipped recipe ``finetune``, which goes on from the embedded model."""

import os

import numpy as np
import pytest
import torch

from rsseg import models
from rsseg.bundle import read_bundle
from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.tables import read_catalogue, write_catalogue
from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.geo.scene import open_raster
from rsseg.legend import LAND_COVER, Legend
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL
from rsseg.training import read_recipe, train
from rsseg.training.settling import settled
from rsseg.training.task import SegmentationTask

LEGEND = Legend.of({"house": (200, 0, 0), "road": (90, 90, 90), "water": (0, 0, 200)})


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """Lightning leaves its seed in the environment."""
    monkeypatch.setattr(os, "environ", os.environ.copy())


@pytest.fixture
def recipe(tmp_path, make_scene):
    """The recipe for labels of which two classes bear names that the embedded model knows."""
    rows = []
    for number, split in enumerate(("train", "val")):
        image = make_scene(f"{split}.tif", height=40, width=40, seed=number)
        codes = np.random.default_rng(number).integers(0, 3, (1, 40, 40), dtype=np.uint8)
        with open_raster(image) as dataset:
            grid = Grid.of(dataset)
        label = tmp_path / f"{split}_label.tif"
        write_raster(label, codes, grid, legend=LEGEND)
        rows.append(LabelledScene(image, label, split, split))
    write_catalogue(tmp_path / "catalogue.csv", Catalogue(tuple(rows)))
    return read_recipe(
        "finetune",
        (
            f"data.root={tmp_path}",
            "data.window=32",
            "data.batch_size=2",
            "data.workers=0",
            "trainer.steps=2",
            "trainer.validate_every=2",
        ),
    )


def test_it_reads_the_bands_and_scaling_of_the_embedded_model():
    recipe, bundle = read_recipe("finetune"), read_bundle(EMBEDDED_MODEL)
    assert recipe.model.name == bundle.architecture
    assert recipe.model.weights == "embedded"
    assert recipe.data.bands == bundle.bands
    assert recipe.normalisation == bundle.normalisation


def test_classes_of_the_same_name_start_from_the_embedded_weights_the_others_at_random(recipe):
    catalogue = read_catalogue(recipe.catalogue)
    recipe = settled(recipe, catalogue)
    assert recipe.legend == LEGEND
    theirs, bundle = models.load(EMBEDDED_MODEL)
    assert bundle.legend == LAND_COVER
    source, mine = theirs.state_dict(), SegmentationTask(recipe).network.state_dict()
    assert mine.keys() == source.keys()
    by_class = [name for name in mine if mine[name].shape != source[name].shape]
    assert by_class
    for name, tensor in mine.items():
        if name not in by_class:
            assert torch.equal(tensor, source[name])
            continue
        for index, land in enumerate(LEGEND.names):
            equal = [torch.equal(tensor[index], row) for row in source[name]]
            assert equal == [land == other for other in LAND_COVER.names]


@pytest.mark.slow
def test_it_trains_a_model_of_the_labels_classes(recipe, tmp_path):
    result = train(recipe, tmp_path / "run")
    network, bundle = models.load(result.model)
    assert bundle.legend == LEGEND
    assert result.scores["classes"].keys() == set(LEGEND.names)
    source = models.load(EMBEDDED_MODEL)[0].state_dict()
    moved = [
        float((tensor - source[name]).abs().max())
        for name, tensor in network.state_dict().items()
        if name.startswith("encoder") and tensor.is_floating_point()
    ]
    assert max(moved) < 1e-2  # the encoder is frozen at first; files hold half precision
