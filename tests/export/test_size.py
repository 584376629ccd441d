import onnx
import pytest

from rsseg.errors import BundleError
from rsseg.export.deepness import write_deepness
from rsseg.export.size import SIZE_KEY, NetworkSize, network_size
from rsseg.models import load


def test_statistics_are_no_parameters_but_take_memory():
    tensors = [("conv.weight", 6), ("norm.weight", 2), ("norm.running_mean", 2), ("norm.bias", 2)]
    assert NetworkSize.of(tensors) == NetworkSize(parameters=10, memory=48)


def test_a_graph_tells_the_size_of_its_network(make_model, tmp_path):
    model, graph = make_model(), tmp_path / "m.onnx"
    network, bundle = load(model)
    write_deepness(network, bundle, graph)
    size = network_size(graph)
    assert size == network_size(model)
    assert size.parameters == sum(value.numel() for value in network.parameters())


@pytest.mark.parametrize("text", ["7", "{}", '{"parameters": 1}', "x"])
def test_a_size_that_is_none_is_refused(make_model, tmp_path, text):
    graph = tmp_path / "m.onnx"
    write_deepness(*load(make_model()), graph)
    changed = onnx.load(str(graph))
    for each in changed.metadata_props:
        if each.key == SIZE_KEY:
            each.value = text
    onnx.save(changed, str(graph))
    with pytest.raises(BundleError, match=r"m\.onnx does not tell its size"):
        network_size(graph)
