import pytest

from rsseg.data.tables import read_catalogue
from rsseg.training import Recipe
from rsseg.training.describing import described


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ({"options": {"widths": [8, 16]}}, {"widths": [8, 16]}),
        ({"name": "pspnet-resnet101", "aux": True, "output_stride": 8, "options": {}},
         {"aux": True, "output_stride": 8}),
        ({"name": "fcn-resnet101", "encoder": "resnet14t", "options": {}},
         {"encoder": "resnet14t"}),
    ],
)  # fmt: skip
def test_the_options_are_those_that_build_the_network_again(small_run, model, options):
    recipe = Recipe.model_validate({**small_run, "model": {**small_run["model"], **model}})
    catalogue = read_catalogue(recipe.catalogue)
    bundle = described(recipe, 3, catalogue.split("train"), catalogue.split("val"))
    assert (bundle.architecture, bundle.options) == (recipe.model.name, options)
    assert bundle.provenance["split"] == {"train": ["town 0"], "validation": ["town 1", "town 2"]}
    assert (bundle.provenance["seed"], bundle.window, bundle.gsd) == (3, 32, None)


def test_paths_are_not_told_and_the_resolution_is_the_models_or_the_one_read_at(small_run):
    data = {**small_run["data"], "read_gsd": 2.0, "licence": "CC0-1.0", "attribution": "us"}
    recipe = Recipe.model_validate({**small_run, "data": data})
    catalogue = read_catalogue(recipe.catalogue)
    bundle = described(recipe, 3, catalogue, catalogue)
    assert str(recipe.data.root) not in bundle.to_json()
    assert (bundle.gsd, bundle.licence, bundle.provenance["attribution"]) == (2.0, "CC0-1.0", "us")
    finer = recipe.model_copy(update={"model": recipe.model.model_copy(update={"gsd": 0.5})})
    assert described(finer, 3, catalogue, catalogue).gsd == 0.5
