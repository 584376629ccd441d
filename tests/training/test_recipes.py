"""The shipped recipes: each row of the papers' tables can be trained, with the papers' numbers."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from torch import nn

from rsseg import losses, models
from rsseg.data import Catalogue, LabelledScene, read_catalogue, splits, write_catalogue
from rsseg.data.datasets import DATASETS, published
from rsseg.data.datasets.alpine import FREQUENT
from rsseg.data.datasets.folder import FolderOptions, prepare_folder
from rsseg.data.gaofen1 import FieldPolygons
from rsseg.data.gaofen1 import prepare as prepare_gaofen1
from rsseg.errors import RecipeError
from rsseg.legend import Legend
from rsseg.loading import Augmenter
from rsseg.training import Recipe, read_recipe, train
from rsseg.training.optimising import optimiser_of, rate_factor, schedule_of
from rsseg.training.settling import settled
from rsseg.training.shipped import read_values, shipped
from rsseg_cli.main import main

FILES = list(shipped())
NAMES = [
    name if variant is None else f"{name}:{variant}"
    for name, file in shipped().items()
    for variant in (None, *(read_values(file).get("variants") or {}))
]
TAIKANG = Legend.of({"background": (90, 90, 90), "cultivated": (200, 180, 60)})


def legend_of(recipe: Recipe) -> Legend:
    """The classes of a recipe, or those that its prepared data have."""
    if recipe.data.classes is not None:
        return recipe.legend
    name = dataset_of(recipe)
    return published(name).legend if name in DATASETS else TAIKANG


def dataset_of(recipe: Recipe) -> str:
    """The dataset that its folder is of; one's own has Dubai's classes here."""
    name = recipe.data.root.name
    return "dubai" if name == "mine" else name


def network_of(recipe: Recipe) -> nn.Module:
    """The network of a recipe without numbers."""
    model = recipe.model
    facts = {
        "name": model.name,
        "classes": len(legend_of(recipe)),
        "bands": len(recipe.data.bands),
        "output_stride": model.output_stride,
        "aux": model.aux,
        "encoder": model.encoder,
        **model.options,
    }
    return _on_meta(json.dumps(facts))


@cache
def _on_meta(facts: str) -> nn.Module:
    with torch.device("meta"):
        return models.create(**json.loads(facts))


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_and_variant_can_be_trained(name: str) -> None:
    recipe = read_recipe(name)
    network = network_of(recipe)
    head = getattr(network, "aux", None)
    assert (head is not None) == recipe.model.aux

    options = dict(recipe.loss.options)
    if recipe.loss.class_weights:
        options["class_weights"] = [1.0] * len(legend_of(recipe))
    loss = losses.create(recipe.loss.name, **options)
    labels = torch.tensor([[[0, 1], [1, 255]]])
    assert loss(torch.zeros(1, len(legend_of(recipe)), 2, 2), labels) > 0
    assert set(recipe.loss.rare) <= set(legend_of(recipe).names)

    bands = [str(band) for band in recipe.data.bands]
    augmenter = Augmenter(recipe.data.augment, bands=bands, classes=legend_of(recipe).names)
    side = 8 * recipe.data.label_stride
    image = torch.randint(256, (len(bands), side, side), dtype=torch.uint8)
    label = torch.full((8, 8), 1, dtype=torch.uint8)
    changed, moved = augmenter(image, label)
    assert (changed.shape, moved.shape) == (image.shape, label.shape)

    optimiser = optimiser_of(recipe.optimiser, network)
    rates = [group["lr"] for group in optimiser.param_groups]
    section = recipe.optimiser
    assert rates == [section.rate * section.encoder_factor, section.rate]
    schedule = schedule_of(optimiser, recipe.schedule, 100, section.freeze_encoder)
    assert schedule.get_last_lr()[1] > 0
    assert (schedule.get_last_lr()[0] == 0) == (section.freeze_encoder > 0)


MST = {
    "data.window": 512,
    "data.batch_size": 8,
    "data.scale": (0.25, 2.0),
    "data.augment.rotation": 10,
    "optimiser.name": "adam",
    "optimiser.rate": 5e-4,
    "optimiser.weight_decay": 0.0,
    "schedule.name": "cosine",
    "schedule.final": 0.01,
    "loss.name": "cross-entropy",
    "model.output_stride": 16,
}
NPA = {
    "data.window": 513,
    "data.batch_size": 6,
    "data.scale": (0.5, 2.0),
    "data.normalisation": "train",
    "data.bands": ("nir", "red", "green"),
    "data.augment.rotation": 10,
    "optimiser.name": "sgd",
    "optimiser.rate": 0.01,
    "optimiser.encoder_factor": 1.0,
    "optimiser.momentum": 0.9,
    "optimiser.weight_decay": 1e-4,
    "schedule.name": "poly",
    "schedule.power": 0.9,
    "trainer.steps": 5000,
    "trainer.seeds": (0, 1, 2),
    "model.weights": "imagenet",
}
LM = {
    "data.window": 768,
    "data.batch_size": 8,
    "data.normalisation": "imagenet",
    "data.augment.brightness": 0.5,
    "data.augment.saturation": 0.5,
    "optimiser.name": "sgd",
    "optimiser.rate": 0.1,
    "optimiser.encoder_factor": 0.1,
    "optimiser.momentum": 0.9,
    "optimiser.weight_decay": 1e-4,
    "schedule.name": "poly",
    "schedule.power": 0.9,
    "trainer.steps": 30_000,
    "model.weights": "imagenet",
    "model.output_stride": 16,
    "model.encoder_momentum": 0.01,
}
ALPINE = {
    "data.window": 400,
    "data.label_stride": 2,
    "data.batch_size": 32,
    "data.augment.rotation": 0,
    "optimiser.name": "sgd",
    "optimiser.rate": 1e-3,
    "optimiser.momentum": 0.9,
    "optimiser.weight_decay": 0.0,
}
FAMILIES = {
    "mst-vaihingen": MST,
    "mst-gid": MST,
    "mst-taikang": MST,
    "npa-vaihingen": NPA,
    "lm-cityscapes": LM,
    "alpine": ALPINE,
}

ROWS: dict[str, dict[str, Any]] = {
    "mst-vaihingen": {"trainer.steps": 37_200, "optimiser.freeze_encoder": 18_600},
    "mst-vaihingen:mst-random": {"model.weights": None, "optimiser.freeze_encoder": 0},
    "mst-vaihingen:unet": {"model.name": "unet-vgg16", "optimiser.freeze_encoder": 0},
    "mst-vaihingen:pspnet": {"model.aux": True, "loss.aux_weight": 0.4},
    "mst-gid": {"trainer.steps": 273_000, "optimiser.freeze_encoder": 136_500},
    "mst-taikang": {"trainer.steps": 68_400, "optimiser.freeze_encoder": 34_200},
    "npa-vaihingen": {
        "loss.name": "npa",
        "loss.options": {"search_region": 32, "transform": "log10", "offset": 0.5},
        "model.aux": False,
    },
    "npa-vaihingen:fcn-npa-norm-0": {
        "loss.options": {"search_region": 32, "transform": "norm", "offset": 0.0}
    },
    "npa-vaihingen:fcn-npa-ln": {
        "loss.options": {"search_region": 32, "transform": "ln", "offset": 0.5}
    },
    "npa-vaihingen:fcn-npa-8": {
        "loss.options": {"search_region": 8, "transform": "log10", "offset": 0.5}
    },
    "npa-vaihingen:fcn-weighted": {
        "loss.class_weights": "median-frequency",
        "loss.rare": ("clutter",),
        "loss.options": {},
    },
    "npa-vaihingen:fcn-focal": {"loss.options": {"gamma": 2.0}},
    "npa-vaihingen:deeplabv3-npa": {
        "model.options": {"dropout": 0.5},
        "model.output_stride": 8,
        "model.aux": True,
        "loss.aux_weight": 0.4,
        "loss.name": "npa",
    },
    "npa-vaihingen:pspnet-cross-entropy": {
        "model.options": {"dropout": 0.1},
        "loss.name": "cross-entropy",
        "loss.options": {},
    },
    "lm-cityscapes": {
        "loss.name": "cl",
        "loss.options": {"ce_weight": 1.0, "lovasz_weight": 1.0, "warm_up": 0},
        "model.options": {"dropout": 0.1},
    },
    "lm-cityscapes:lm-focal": {"loss.options": {"gamma": 2.0, "alpha": 1.0}},
    "lm-cityscapes:deeplabv3plus-xception": {"loss.name": "cross-entropy", "loss.options": {}},
    "alpine": {"trainer.epochs": 75, "schedule.name": "constant", "model.weights": None},
    "alpine:unet-focal": {"trainer.epochs": 100, "loss.options": {"gamma": 2.0, "alpha": 1.0}},
    "alpine:unet-small-weighted": {
        "trainer.epochs": 100,
        "loss.class_weights": "median-frequency",
        "loss.rare": (),
    },
    "alpine:unet-iou": {"loss.options": {"scope": "image", "classes": "all", "eps": 0.0}},
    "alpine:restricted": {"trainer.epochs": 60, "loss.name": "cross-entropy"},
    "alpine:deeplabv3-focal": {
        "trainer.epochs": 50,
        "model.weights": "coco",
        "model.output_stride": 8,
        "model.options": {"dropout": 0.5},
        "schedule.name": "step",
        "schedule.factor": 0.1,
        "data.normalisation": "imagenet",
    },
}
"""What the papers, or where they are silent their code, say of single rows."""


def value(recipe: Recipe, key: str) -> Any:
    place: Any = recipe
    for name in key.split("."):
        place = getattr(place, name)
    return place


@pytest.mark.parametrize("name", ROWS)
def test_numbers_are_the_papers(name: str) -> None:
    recipe = read_recipe(name)
    expected = FAMILIES[name.partition(":")[0]] | ROWS[name]
    if name == "mst-vaihingen:unet":
        expected = expected | {"model.output_stride": None}
    assert {key: value(recipe, key) for key in expected} == expected


@pytest.mark.parametrize("name", [name for name in NAMES if name.partition(":")[0] in FAMILIES])
def test_no_variant_leaves_the_setting_of_its_paper(name: str) -> None:
    """But for the network, the loss and the length, which are what its tables compare."""
    recipe = read_recipe(name)
    own = ("model", "loss", "trainer", "schedule", "data.normalisation")
    for key, expected in FAMILIES[name.partition(":")[0]].items():
        if not key.startswith(own):
            assert value(recipe, key) == expected, key


PARAMETERS = {
    "mst-vaihingen": 6_019_094,
    "mst-vaihingen:mobilenetv2": 5_814_294,
    "mst-vaihingen:deeplabv3plus": 54_709_702,
    "mst-vaihingen:pspnet": 68_062_156,
    "mst-vaihingen:unet": 24_891_462,
    "mst-taikang": 6_018_066,
    "npa-vaihingen": 51_941_446,
    "npa-vaihingen:fcn-dilated-npa": 54_302_796,
    "npa-vaihingen:pspnet-npa": 67_938_380,
    "npa-vaihingen:deeplabv3-npa": 60_988_492,
    "lm-cityscapes": 7_201_835,
    "lm-cityscapes:lm-cross-entropy": 7_201_835,
    "lm-cityscapes:strip": 5_701_107,
    "lm-cityscapes:eca": 5_225_206,
    "lm-cityscapes:epsa": 6_725_928,
    "lm-cityscapes:strip-eca": 5_701_110,
    "lm-cityscapes:strip-epsa": 7_201_832,
    "lm-cityscapes:deeplabv3plus-mobilenetv2": 5_225_203,
    "lm-cityscapes:deeplabv3-mobilenetv2": 5_113_363,
    "lm-cityscapes:deeplabv3plus-resnet101": 58_753_459,
    "alpine": 31_038_088,
    "alpine:unet-small-iou": 1_927_240,
    "alpine:deeplabv3-focal": 39_635_528,
}
"""Of the networks with the classes of the data, as counted by hand from the papers."""


@pytest.mark.parametrize("name", PARAMETERS)
def test_networks_have_the_papers_size(name: str) -> None:
    network = network_of(read_recipe(name))
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[name]


def test_learning_rates_go_down_as_in_the_papers() -> None:
    rates = {
        name: rate_factor(read_recipe(name).schedule, steps)
        for name, steps in (
            ("mst-vaihingen", 37_200),
            ("npa-vaihingen", 5000),
            ("lm-cityscapes", 30_000),
            ("alpine", 17_250),
            ("alpine:deeplabv3-focal", 11_500),
        )
    }
    assert all(rate(0) == 1 for rate in rates.values())
    assert rates["mst-vaihingen"](37_200) == pytest.approx(0.01)
    assert rates["mst-vaihingen"](18_600) == pytest.approx((1 + 0.01) / 2)
    assert rates["npa-vaihingen"](2500) == pytest.approx(0.5**0.9)
    assert rates["lm-cityscapes"](30_000) * 0.1 == pytest.approx(1e-6)
    assert rates["alpine"](17_249) == 1
    assert rates["alpine:deeplabv3-focal"](5749) == 1
    assert rates["alpine:deeplabv3-focal"](5750) == pytest.approx(0.1)
    assert math.isclose(rates["alpine:deeplabv3-focal"](11_499), 0.1)


def test_alpine_images_are_flipped_for_the_classes_that_are_not_frequent() -> None:
    data = read_recipe("alpine").data
    chosen = data.augment.only_classes
    assert set(chosen) == set(published("alpine").legend.names) - set(FREQUENT)
    assert (data.repeat.classes, data.repeat.times) == (chosen, 4)


@pytest.mark.parametrize("name", FAMILIES)
def test_commands_in_comments_are_right(name: str) -> None:
    """They parse, and train and prepare what the recipe is about."""
    text = shipped()[name].read_text(encoding="utf-8")
    joined = re.sub(r"\n#     (?=\S)", " ", text)
    commands = [shlex.split(line)[1:] for line in re.findall(r"^#   (rsseg .*)$", joined, re.M)]
    assert {words[0] for words in commands} >= {"prepare", "train"}
    for words in commands:
        command: click.Command = main
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        with command.make_context(command.name, words) as context:
            if command.name == "train":
                assert (
                    read_recipe(context.params["recipe"]).data.root == read_recipe(name).data.root
                )
            assert Path(context.params.get("target", "data")).parts[0] == "data"


# Class weights, with a class left out of their median


@pytest.fixture
def uneven(make_scene: Any) -> Catalogue:
    """Eight rows of one class, four of another, two of a third, two of clutter."""
    codes = np.repeat(np.uint8([0] * 8 + [1] * 4 + [2] * 2 + [3] * 2), 16).reshape(1, 16, 16)
    image, label = make_scene(height=16, width=16), make_scene("label.tif", pixels=codes)
    return Catalogue((LabelledScene(image, label, "train", "one"),))


def weighted(**loss: Any) -> Recipe:
    names = ("a", "b", "c", "clutter")
    classes = [{"code": i, "name": n, "colour": [i, i, i]} for i, n in enumerate(names)]
    values = {
        "title": "a test",
        "data": {"classes": classes},
        "model": {"name": "unet"},
        "loss": loss,
        "trainer": {"steps": 1},
    }
    return Recipe.model_validate(values)


def test_a_rare_class_gets_the_least_weight(uneven: Catalogue) -> None:
    recipe = settled(weighted(class_weights="median-frequency"), uneven)
    assert recipe.loss.options["class_weights"] == pytest.approx([3 / 8, 3 / 4, 3 / 2, 3 / 2])
    recipe = settled(weighted(class_weights="median-frequency", rare=["clutter"]), uneven)
    assert recipe.loss.options["class_weights"] == pytest.approx([1 / 2, 1, 2, 1 / 2])
    assert (recipe.loss.class_weights, recipe.loss.rare) == (None, ())


def test_rare_classes_are_refused_where_they_mean_nothing(uneven: Catalogue) -> None:
    with pytest.raises(ValueError, match="'rare' is of class_weights"):
        weighted(rare=["clutter"])
    with pytest.raises(RecipeError, match="loss.rare has a class 'cluter', expected a, b, c"):
        settled(weighted(class_weights="median-frequency", rare=["cluter"]), uneven)


# Each recipe on a miniature of its data, and on those that no recipe is of: told is the folder

START = ("model.weights=null",)
SMALL = (
    *("data.window=32", "model.window=64", "data.batch_size=2"),
    *("data.workers=0", "trainer.epochs=null", "trainer.steps=2", "trainer.validate_every=2"),
    *("trainer.seeds=[3]", "trainer.precision=fp32"),
)
NETWORKS = {
    "npa-vaihingen": (*START, "model.encoder=resnet14t"),
    "alpine": (*START, "model.options={widths: [4, 8]}"),
    "finetune": (),  # the embedded model and its weights
}
"""What of the networks is made smaller; of the others it is the encoder."""
ELSEWHERE = (
    ("npa-vaihingen", "potsdam"), ("mst-gid", "gid15"), ("finetune", "loveda"),
    ("finetune", "folder"),
)  # fmt: skip
OWN = ("building", "grass", "road")


@pytest.fixture
def prepared(makers: Callable[[str], Any], tmp_path: Path) -> Callable[[str], Path]:
    """A function that prepares a miniature of a dataset and gives its folder."""

    def prepare(name: str) -> Path:
        source, target = tmp_path / "source", tmp_path / name
        if name == "taikang":
            _prepare_taikang(makers("data/gaofen1"), source, target)
        elif name == "folder":
            _lay_out_folder(makers("data/datasets"), source)
            prepare_folder(source, target, FolderOptions(classes=",".join(OWN)))
        elif name == "alpine":
            _lay_out_alpine(makers("data/datasets"), source)
            published("alpine").prepare(source, target)
        else:
            makers("data/datasets").MINIATURES[name](source)
            published(name).prepare(source, target)
        return target

    return prepare


def _lay_out_alpine(datasets: Any, source: Path) -> None:
    """Three images of 32 x 32 pixels and their labels of 16 x 16, as published."""
    generator = np.random.default_rng(0)
    (source / "splits").mkdir(parents=True)
    for number, split in enumerate(("train", "val", "test")):
        name = f"25{number}00_11025"
        for path, bands, side, end in (
            (source / "rgb" / f"{name}_rgb.tif", 3, 32, 256),
            (source / "alpine_label" / f"{name}_label.tif", 1, 16, 8),
        ):
            pixels = generator.integers(0, end, (bands, side, side), dtype=np.uint8)
            datasets._write(path, pixels)
        (source / "splits" / f"{split}.csv").write_text(f"{name}\n", encoding="utf-8")


def _lay_out_folder(datasets: Any, source: Path) -> None:
    """Five images of 32 x 32 pixels and masks of 0, 1 and 2, of which one is to validate."""
    generator = np.random.default_rng(0)
    for number in range(5):
        for folder, bands, end in (("images", 3, 256), ("masks", 1, len(OWN))):
            pixels = generator.integers(0, end, (bands, 32, 32), dtype=np.uint8)
            datasets._write(source / folder / f"{number}.tif", pixels)


def _prepare_taikang(gaofen1: Any, source: Path, target: Path) -> None:
    """A delivered scene with one field, cut into blocks."""
    gaofen1.Miniature(rows=30, columns=32).deliver(source)
    east, north = gaofen1.EAST, gaofen1.NORTH
    ring = [(east + x, north + y) for x, y in ((-60, -60), (60, -60), (60, 60), (-60, 60))]
    field = {
        "type": "FeatureCollection",
        "crs": {"type": "name", "properties": {"name": gaofen1.UTM}},
        "features": [
            {
                "type": "Feature",
                "properties": {"class": "cultivated"},
                "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
            }
        ],
    }
    (source / "fields.geojson").write_text(json.dumps(field), encoding="utf-8")
    polygons = FieldPolygons(source / "fields.geojson", "class", "background")
    prepare_gaofen1(source, target, fields=polygons)
    whole = read_catalogue(target / "catalogue.csv")
    blocks = splits.by_block(whole, {"train": 0.9, "val": 0.1}, size=64, gap=8)
    write_catalogue(target / "blocks.csv", blocks)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dataset"),
    [*((name, dataset_of(read_recipe(name))) for name in FILES), *ELSEWHERE],
)
def test_a_recipe_trains_where_only_the_folder_is_told(
    name: str,
    dataset: str,
    prepared: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())  # Lightning leaves its seed there
    smaller = NETWORKS.get(name, (*START, "model.encoder=mobilenetv2_035"))
    recipe = read_recipe(name, (*SMALL, *smaller, f"data.root={prepared(dataset)}"))
    result = train(recipe, tmp_path / "run")
    network, bundle = models.load(result.model)
    legend = {"taikang": TAIKANG.names, "folder": OWN}.get(dataset)
    assert bundle.legend.names == (legend or published(dataset).legend.names)
    assert bundle.bands == tuple(str(band) for band in recipe.data.bands)
    with torch.no_grad():
        logits = network(torch.zeros(1, len(bundle.bands), 40, 33))
    assert logits.shape == (1, len(bundle.legend), 40, 33)
    assert torch.isfinite(logits).all()
