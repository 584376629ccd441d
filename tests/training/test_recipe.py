import pytest
import yaml

from rsseg import losses, models
from rsseg.errors import RecipeError
from rsseg.legend import LAND_COVER
from rsseg.loading import Augmentation
from rsseg.training import read_recipe

MINIMAL = {
    "title": "a test",
    "data": {
        "classes": [{"code": 3, "name": "a", "colour": [1, 2, 3]}],
        "normalisation": {"scale": [255] * 3, "mean": [0.5] * 3, "std": [0.5] * 3},
    },
    "model": {"name": "mst-deeplabv3plus"},
    "trainer": {"steps": 10},
}


@pytest.fixture
def write(tmp_path):
    """A function that writes the minimal recipe with changes by dotted key."""

    def write_recipe(**changes):
        values = yaml.safe_load(yaml.safe_dump(MINIMAL))
        for key, value in changes.items():
            *sections, last = key.split("__")
            place = values
            for section in sections:
                place = place.setdefault(section, {})
            place[last] = value
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path

    return write_recipe


def test_the_shipped_recipe_is_the_embedded_models():
    recipe = read_recipe("landcover")
    assert recipe.legend == LAND_COVER
    assert recipe.model.name in models.BUILDERS
    assert losses.create(recipe.loss.name, **recipe.loss.options)
    assert len(recipe.normalisation) == len(recipe.data.bands)


def test_a_dumped_recipe_reads_as_itself(tmp_path):
    recipe = read_recipe("landcover")
    path = tmp_path / "used.yaml"
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json")), encoding="utf-8")
    assert read_recipe(path) == recipe


def test_what_is_left_out_has_a_default(write):
    recipe = read_recipe(write())
    assert recipe.data.augment == Augmentation()
    assert recipe.loss.name == "cross-entropy"
    assert recipe.legend.codes.tolist() == [3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"titles": "x"}, "unknown key titles; did you mean title"),
        ({"data__windows": 3}, r"unknown key data\.windows; did you mean window"),
        ({"data__augment__gama": 1}, r"unknown key data\.augment\.gama; did you mean gamma"),
        (
            {"data__augment__flip": 1},
            r"augment\.flip; did you mean horizontal_flip or vertical_flip",
        ),
        ({"data__scale": [2, 1]}, r"data\.scale: it should be \[SMALLEST, LARGEST\], both above 0"),
        ({"data__scale": [0, 1]}, r"data\.scale: it should be"),
        ({"data__scale": [1, float("inf")]}, r"data\.scale\.1: it should be a finite number"),
        ({"data__label_stride": 3}, r"data: windows of 512 pixels cannot have labels of stride 3"),
        ({"trainer__epoch": 3}, r"unknown key trainer\.epoch; did you mean epochs"),
        ({"optimiser": {"xy": 3}}, r"key optimiser\.xy, expected name, rate, encoder_factor, .*"),
        ({"seeds": [1]}, r"unknown key seeds; did you mean trainer\.seeds"),
        ({"data__bands": "red"}, r"data\.bands: it should be a list, such as \[a, b\]$"),
        ({"data__classes": ["a"]}, r"data\.classes\.0: it should be keys and values"),
        ({"data__balance": "even"}, r"data\.balance: it should be keys .*, or 'equal'$"),
        ({"data__normalisation": "x"}, r"it should be keys .*, or 'imagenet' or 'train'$"),
        ({"model__weight": "x"}, r"unknown key model\.weight; did you mean weights"),
        ({"data__window": 0}, r"data\.window: .*greater than or equal to 1"),
        ({"data__augment": {"hue": 0.7}}, r"data\.augment: .*out of range"),
        ({"trainer__precision": "fp64"}, r"trainer\.precision"),
        ({"trainer": {}}, r"trainer: .*either 'steps' or 'epochs'"),
        ({"data__normalisation__scale": ["x"]}, r"data\.normalisation\.scale"),
        ({"trainer__epochs": 3}, r"'steps' and 'epochs' are both given; make one of them null"),
        (
            {"trainer__steps": True},
            r"trainer\.steps: it cannot be true or false",
        ),
        ({"trainer__seeds": [0, True]}, r"trainer\.seeds: it cannot be true or false"),
        ({"trainer__seeds": [-1]}, r"trainer\.seeds"),
        ({"optimiser__rate": float("inf")}, r"optimiser\.rate: it should be a finite number"),
        ({"optimiser__lr": 1e-3}, r"unknown key optimiser\.lr; did you mean rate"),
        ({"trainer__lr": 1e-3}, r"unknown key trainer\.lr; did you mean optimiser\.rate"),
        ({"trainer__seeds": [2**63]}, r"trainer\.seeds"),
        ({"data__augment": {"rotation": True}}, r"data\.augment: it cannot be true or false"),
        ({"data__balance": {"a": True}}, r"data\.balance: it cannot be true or false"),
        ({"data__normalisation": {"scale": [1], "std": [1]}}, r"data\.normalisation\.mean: .*"),
        ({"data__train": 2020}, r"data\.train: it should be a text, in quotes"),
        ({"data__root": 5}, r"data\.root: it should be a path"),
        (
            {"data__classes": [{"code": 3, "name": "a", "color": [1, 2, 3]}]},
            r"unknown key data\.classes\.0\.color; did you mean colour",
        ),
    ],
)
def test_wrong_keys_and_values_are_refused_by_name(write, change, message):
    with pytest.raises(RecipeError, match=r"recipe\.yaml: .*" + message) as caught:
        read_recipe(write(**change))
    assert "\n" not in str(caught.value)


def test_settings_change_single_values(write):
    settings = (
        "data.window=64",
        "data.augment.quarter_turns=true",
        "data.scale=[0.5, 2]",
        "model.weights=null",
        "loss.options.warm_up=3",
        "title=x = y",
    )
    recipe = read_recipe(write(), settings)
    assert recipe.data.window == 64
    assert recipe.data.augment.quarter_turns is True
    assert recipe.data.scale == (0.5, 2)
    assert recipe.model.weights is None
    assert recipe.loss.options == {"warm_up": 3}
    assert recipe.title == "x = y"
    assert read_recipe(write(), ("data.window=64", "data.window=32")).data.window == 32


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.window", "incomplete, expected section.key=value, got data.window"),
        ("data.windw=3", r"unknown key data\.windw; did you mean window"),
        ("data.window=many", r"data\.window"),
        ("title.a=3", "'title' in title.a is a value, not a section"),
        ("data.window=[1", r"the value of the setting data\.window=\[1 is not YAML"),
    ],
)
def test_wrong_settings_are_refused(write, setting, message):
    with pytest.raises(RecipeError, match=message):
        read_recipe(write(), (setting,))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words", "a: [1, 2", "a: b: c"])
@pytest.mark.parametrize("settings", [(), ("data.window=3",)])
def test_files_that_are_no_recipe_are_refused_by_name(tmp_path, text, settings):
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=r"odd\.yaml"):
        read_recipe(path, settings)


def test_missing_recipes_are_refused_with_those_there_are():
    with pytest.raises(RecipeError, match="no recipe landcovr, expected a file or .*landcover"):
        read_recipe("landcovr")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data__classes": [MINIMAL["data"]["classes"][0]] * 2}, "share the code 3"),
        ({"data__classes": []}, "at least one class"),
        ({"data__classes": [{"code": 255, "name": "a", "colour": [0, 0, 0]}]}, "unusable code"),
        ({"data__normalisation": {"scale": [1], "mean": [0], "std": [1]}}, "bands"),
        ({"data__normalisation": {"scale": [1] * 3, "mean": [0] * 3, "std": [0] * 3}}, "positive"),
    ],
)
def test_contradictions_are_refused_before_anything_is_written(write, change, message):
    with pytest.raises(RecipeError, match=message):
        read_recipe(write(**change))
