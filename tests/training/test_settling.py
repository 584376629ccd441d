import numpy as np
import pytest
import rasterio

from rsseg.data.catalogue import Catalogue, LabelledScene
from rsseg.data.tables import write_catalogue
from rsseg.errors import RecipeError
from rsseg.geo.class_raster import write_raster
from rsseg.geo.grid import Grid
from rsseg.legend import Legend
from rsseg.training import Recipe
from rsseg.training.settling import settled

NAMES = ("dark", "middle", "bright")


@pytest.fixture
def scenes(make_scene, tmp_path):
    """Two scenes of unlike sizes with invalid and unlabelled pixels, and their arrays."""
    rows, arrays = [], []
    for number, (height, width) in enumerate(((40, 33), (20, 70))):
        generator = np.random.default_rng(number)
        pixels = generator.integers(1, 255, (3, height, width), np.uint8)
        codes = generator.choice([0, 1, 1, 1, 2, 255], (1, height, width)).astype(np.uint8)
        valid = generator.random((height, width)) < 0.9
        image = make_scene(f"{number}.tif", pixels=pixels, valid=valid, validity="nodata")
        label = make_scene(f"{number}_label.tif", pixels=codes)
        rows.append(LabelledScene(image, label, "train", ""))
        arrays.append((pixels, codes[0], valid))
    write_catalogue(tmp_path / "catalogue.csv", Catalogue(tuple(rows)))
    return Catalogue(tuple(rows)), arrays


def recipe(**sections):
    values = {
        "title": "a test",
        "data": {
            "classes": [
                {"code": code, "name": name, "colour": [code, 0, 0]}
                for code, name in enumerate(NAMES)
            ],
            "window": 16,
            "batch_size": 2,
        },
        "model": {"name": "unet-small"},
        "trainer": {"steps": 4},
    }
    return Recipe.model_validate(
        {**values, **{name: {**values.get(name, {}), **new} for name, new in sections.items()}}
    )


def test_statistics_are_those_of_the_valid_pixels_of_the_training_split(scenes):
    catalogue, arrays = scenes
    found = settled(recipe(data={"normalisation": "train"}), catalogue).data.normalisation
    pixels = np.concatenate([image[:, valid] for image, _, valid in arrays], axis=1) / 255
    assert found.scale == (255, 255, 255)
    assert found.mean == pytest.approx(pixels.mean(axis=1))
    assert found.std == pytest.approx(pixels.std(axis=1))


def test_labels_that_tell_no_classes_are_refused(scenes):
    with pytest.raises(RecipeError, match=r"0_label\.tif do not tell .* --set 'data\.classes="):
        settled(recipe(data={"classes": None}), scenes[0])


def test_imagenet_needs_no_data(scenes):
    found = settled(recipe(data={"normalisation": "imagenet"}), scenes[0]).data.normalisation
    assert found.mean == (0.485, 0.456, 0.406)
    assert found.std == (0.229, 0.224, 0.225)
    assert found.scale == (255, 255, 255)


def test_class_weights_are_median_over_frequency_in_both_losses(scenes):
    catalogue, arrays = scenes
    codes = np.concatenate([codes[valid] for _, codes, valid in arrays])
    counts = np.bincount(codes[codes != 255], minlength=3)
    loss = {
        "class_weights": "median-frequency",
        "aux": {"name": "cross-entropy", "class_weights": "median-frequency"},
    }
    model = {"name": "fcn-resnet101", "aux": True}
    found = settled(recipe(loss=loss, model=model), catalogue).loss
    expected = np.median(counts) / counts
    for part in (found, found.aux):
        assert part.options["class_weights"] == pytest.approx(expected)
        assert part.class_weights is None


def test_a_class_without_a_pixel_has_no_weight(scenes):
    classes = [*recipe().data.classes, {"code": 7, "name": "absent", "colour": [0, 0, 0]}]
    with pytest.raises(RecipeError, match="no pixel of absent tells a median-frequency weight"):
        settled(
            recipe(data={"classes": classes}, loss={"class_weights": "median-frequency"}),
            scenes[0],
        )


@pytest.mark.parametrize(
    ("trainer", "optimiser", "steps"),
    [
        # ceil(40 / 16) x ceil(33 / 16) + ceil(20 / 16) x ceil(70 / 16) = 9 + 10 windows
        ({"epochs": 1}, {}, 10),
        ({"epochs": 3}, {}, 30),
        ({"epochs": 3}, {"accumulate": 2}, 15),
        ({"epochs": 1, "devices": 2}, {"accumulate": 3}, 2),
        ({"epochs": 2}, {"accumulate": 100}, 2),
    ],
)
def test_epochs_become_steps(scenes, trainer, optimiser, steps):
    found = settled(recipe(trainer={"steps": None, **trainer}, optimiser=optimiser), scenes[0])
    assert (found.trainer.steps, found.trainer.epochs) == (steps, None)


def test_classes_are_those_of_the_labels(make_scene, tmp_path):
    legend = Legend.of({"field": (9, 9, 9), "wood": (0, 99, 0)})
    image = make_scene("image.tif", height=16, width=16)
    with rasterio.open(image) as source:
        grid = Grid.of(source)
    codes = np.zeros((1, 16, 16), np.uint8)
    write_raster(tmp_path / "label.tif", codes, grid, nodata=255, legend=legend)
    rows = Catalogue((LabelledScene(image, tmp_path / "label.tif", "train", ""),))
    assert settled(recipe(data={"classes": None}), rows).legend == legend


def test_what_is_settled_stays(scenes):
    once = settled(recipe(data={"normalisation": "train"}), scenes[0])
    assert settled(once, scenes[0]) == once
