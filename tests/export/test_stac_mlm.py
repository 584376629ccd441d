"""STAC items of models: valid by the published schemas, and true to the model."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import onnx
import pytest
import torch
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry, Resource

from rsseg import models
from rsseg.bundle import read_bundle
from rsseg.export.deepness import write_deepness
from rsseg.export.size import SIZE_KEY
from rsseg.export.stac_mlm import EO, MLM, item_of, write_item
from rsseg.models import load
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL

SCHEMAS = Path(__file__).parent / "schemas"
CORE = "https://schemas.stacspec.org/v1.1.0/item-spec/json-schema/item.json"
FOR_1_4 = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
PROPERTIES = "mlm-v1.5.2-properties"
STANDS_FOR = {"classification-v2.0.0": "classification-v1.1.0"}


@pytest.fixture(scope="module")
def registry():
    """The schemas by address; nothing is fetched."""
    pairs = []
    for file in SCHEMAS.glob("*-v*.json"):
        if file.stem == PROPERTIES:
            continue
        name, version = STANDS_FOR.get(file.stem, file.stem).split("-")
        address = f"https://stac-extensions.github.io/{name}/{version}/schema.json"
        schema = json.loads(file.read_text()) | {"$id": address}
        pairs.append((address, Resource.from_contents(schema)))
    for file in (SCHEMAS / "stac-v1.1.0").glob("*.json"):
        home = "https://geojson.org/schema/" if file.stem.istitle() else CORE.rpartition("/")[0]
        address = f"{home.rstrip('/')}/{file.name}"
        schema = json.loads(file.read_text()) | {"$id": address}  # one file misspells its own
        pairs.append((address, Resource.from_contents(schema)))
    return Registry().with_resources(pairs)


@pytest.fixture
def complaints(registry):
    """A function that tells what the schemas say against an item."""

    def run(item):
        found = []
        older = copy.deepcopy(item)
        older["stac_extensions"] = [FOR_1_4 if x == MLM else x for x in item["stac_extensions"]]
        for address in (CORE, EO, FOR_1_4):
            schema = registry.contents(address)
            found += [
                f"{address}: {list(error.path)} {error.message}"
                for error in Draft7Validator(schema, registry=registry).iter_errors(older)
            ]
        known = json.loads((SCHEMAS / f"{PROPERTIES}.json").read_text(encoding="utf-8"))
        known["$defs"]["MLMClassification"] = {}  # as its README says
        found += [
            f"{PROPERTIES}: {list(error.path)} {error.message}"
            for error in Draft202012Validator(known).iter_errors(item["properties"])
        ]
        # beyond them: MLM 1.5, and classification 1.1
        for given in item["properties"].get("mlm:input", []):
            found += [] if "bands" in given["input"]["dim_order"] else ["bands are no dimension"]
        for result in item["properties"]["mlm:output"]:
            described = [each.get("description") for each in result["classification:classes"]]
            found += [] if all(described) else ["a class is not described"]
        return found

    return run


@pytest.fixture
def exported(make_model, tmp_path):
    """A model as ONNX."""
    out = tmp_path / "model.onnx"
    write_deepness(*load(make_model()), out)
    return out


def test_items_of_models_are_valid(make_model, exported, complaints):
    full = EMBEDDED_MODEL
    bare = make_model("bare.safetensors", bands=5, gsd=None)
    odd = make_model("odd.safetensors", licence="ask Ada, (c) 2026")
    both = make_model("both.safetensors", licence="MIT AND CC-BY-4.0")
    for model in (full, bare, odd, both, exported):
        assert complaints(item_of(model, "./model")) == [], model
    assert item_of(full, "x")["stac_extensions"][0].endswith("/mlm/v1.5.2/schema.json")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda item: item["properties"].pop("mlm:input"),
        lambda item: item["properties"].pop("datetime"),
        lambda item: item["properties"].update({"mlm:nonsense": 1}),
        lambda item: item["properties"].update({"bands": [{"name": "red"}]}),
        lambda item: item["properties"]["mlm:input"][0]["value_scaling"][0].pop("mean"),
        lambda item: item["properties"]["mlm:input"][0]["input"].update(dim_order=["batch", "w"]),
        lambda item: item["properties"]["mlm:output"][0]["classification:classes"][0].pop("value"),
        lambda item: item["assets"]["model"].pop("mlm:artifact_type"),
        lambda item: item["assets"]["model"].update(roles=["data"]),
        lambda item: item["assets"]["model"].pop("eo:bands"),
        lambda item: item["stac_extensions"].clear(),
    ],
)
def test_the_schemas_see_what_is_wrong(complaints, spoil):
    item = item_of(EMBEDDED_MODEL, "./model")
    spoil(item)
    assert complaints(item)


def test_value_scaling_is_the_normalisation(make_model, make_pixels):
    model = make_model(scale=10_000.0)
    (given,) = item_of(model, "x")["properties"]["mlm:input"]
    bundle, pixels = read_bundle(model), make_pixels(top=9000, dtype="uint16")[0]
    for band, scaling in enumerate(given["value_scaling"]):
        scaled = (pixels[band] - scaling["mean"]) / scaling["stddev"]
        own = pixels[band] * bundle.normalisation.gain[band] + bundle.normalisation.offset[band]
        assert scaled == pytest.approx(own, abs=1e-5)


def test_sizes_are_those_of_the_network(make_model):
    model = make_model()
    network, _ = models.load(model)
    told = item_of(model, "x")["properties"]
    assert told["mlm:total_parameters"] == sum(p.numel() for p in network.parameters())
    everything = network.state_dict().values()
    assert told["mlm:memory_size"] == sum(4 * value.numel() for value in everything)
    half = model.with_name("half.safetensors")
    models.save(half, network, read_bundle(model), half=True)
    assert item_of(half, "x")["properties"]["mlm:memory_size"] == told["mlm:memory_size"]


def test_an_exported_graph_is_as_large_as_its_network(make_model, tmp_path):
    model, graph = make_model(), tmp_path / "m.onnx"
    write_deepness(*load(model), graph)
    of_model, of_graph = (item_of(file, "x")["properties"] for file in (model, graph))
    for key in ("mlm:total_parameters", "mlm:memory_size"):
        assert of_graph[key] == of_model[key] > 0


def test_a_graph_without_its_size_is_described_all_the_same(exported):
    graph = onnx.load(str(exported))
    kept = [each for each in graph.metadata_props if each.key != SIZE_KEY]
    del graph.metadata_props[:]
    graph.metadata_props.extend(kept)
    onnx.save(graph, str(exported))
    assert "mlm:total_parameters" not in item_of(exported, "x")["properties"]


def test_classes_scores_and_training_data_are_told():
    bundle = read_bundle(EMBEDDED_MODEL)
    told = item_of(EMBEDDED_MODEL, "x")["properties"]
    (result,) = told["mlm:output"]
    classes = result["classification:classes"]
    assert [known["value"] for known in classes] == list(range(len(bundle.legend)))
    assert [f"#{known['color_hint'].lower()}" for known in classes] == [
        known.hex for known in bundle.legend
    ]
    assert told["rsseg:scores"]["miou"] == bundle.scores["miou"]
    assert told["rsseg:training_data"]["split"] == bundle.provenance["split"]
    assert (told["license"], told["gsd"]) == (bundle.licence, bundle.gsd)


def test_what_is_unknown_is_left_out(make_model):
    told = item_of(make_model(gsd=None), "x")["properties"]
    absent = ("license", "gsd", "title", "mlm:hyperparameters", "rsseg:scores", "mlm:pretrained")
    assert not set(absent) & told.keys()


def test_an_exported_graph_takes_pixels_and_gives_probabilities(exported):
    item = item_of(exported, "./model.onnx")
    (given,), (result,) = item["properties"]["mlm:input"], item["properties"]["mlm:output"]
    assert {scaling["maximum"] for scaling in given["value_scaling"]} == {255.0}
    assert result["name"] == "probabilities"
    assert item["properties"]["mlm:framework"] == "ONNX"


def test_the_model_is_found_from_the_item(make_model, tmp_path):
    model, folder = make_model(), tmp_path / "catalogue"
    folder.mkdir()
    write_item(model, folder / "item.json")
    item = json.loads((folder / "item.json").read_text(encoding="utf-8"))
    assert (folder / item["assets"]["model"]["href"]).resolve() == model.resolve()
    assert torch.is_tensor(next(iter(models.load(model)[0].parameters())))
