import pytest
import torch

from rsseg import models
from rsseg.errors import BundleError
from rsseg.legend import Legend
from rsseg.models.transfer import take_over
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL

OLD = Legend.of({"water": (0, 0, 1), "road": (0, 0, 2), "wood": (0, 0, 3)})
NEW = Legend.of({"wood": (1, 0, 0), "field": (2, 0, 0), "water": (3, 0, 0), "city": (4, 0, 0)})
CHOICES = {
    "unet-small": {"widths": (4, 8)},
    "fcn-resnet101": {"encoder": "resnet10t"},
    "mst-deeplabv3plus": {},
}


def network(name, classes, seed, **options):
    torch.manual_seed(seed)
    return models.create(name, classes=classes, **{**CHOICES[name], **options}).eval()


def builder(name, **options):
    return lambda classes: models.create(name, classes=classes, **{**CHOICES[name], **options})


@pytest.mark.parametrize("name", CHOICES)
def test_logits_of_shared_classes_are_those_of_the_other_network(name):
    old, new = network(name, 3, 0), network(name, 4, 1)
    assert take_over(new, NEW, old, OLD, builder(name)) == ("field", "city")
    images = torch.randn(1, 3, 40, 56)
    with torch.no_grad():
        assert torch.allclose(new(images)[:, [0, 2]], old(images)[:, [2, 0]], atol=1e-5)


@pytest.mark.parametrize("name", CHOICES)
def test_rows_are_taken_by_name_and_all_else_is_equal(name):
    old, new = network(name, 3, 0), network(name, 4, 1)
    before = {key: tensor.clone() for key, tensor in new.state_dict().items()}
    take_over(new, NEW, old, OLD, builder(name))
    source, differing = old.state_dict(), []
    for key, tensor in new.state_dict().items():
        if tensor.shape == source[key].shape:
            assert torch.equal(tensor, source[key])
            continue
        differing.append(key)
        for index, theirs in ((0, 2), (2, 0)):
            assert torch.equal(tensor[index], source[key][theirs])
        for index in (1, 3):
            assert torch.equal(tensor[index], before[key][index])
    assert differing
    assert all(new.state_dict()[key].shape[0] == 4 for key in differing)


def test_equal_classes_give_an_equal_network():
    old, new = network("unet-small", 3, 0), network("unet-small", 3, 1)
    assert take_over(new, OLD, old, OLD, builder("unet-small")) == ()
    assert all(torch.equal(t, old.state_dict()[k]) for k, t in new.state_dict().items())


def test_an_auxiliary_head_stays_where_the_other_has_none():
    name = "fcn-resnet101"
    plain, helped = network(name, 3, 0), network(name, 3, 1, aux=True)
    before = {key: tensor.clone() for key, tensor in helped.aux.state_dict().items()}
    take_over(helped, OLD, plain, OLD, builder(name, aux=True))
    assert all(torch.equal(t, before[k]) for k, t in helped.aux.state_dict().items())
    assert torch.equal(
        helped.state_dict()["head.classify.weight"], plain.state_dict()["head.classify.weight"]
    )
    other = network(name, 3, 2)
    take_over(other, OLD, helped, OLD, builder(name))
    again = network(name, 3, 3, aux=True)
    take_over(again, OLD, helped, OLD, builder(name, aux=True))
    for mine, its in ((other, helped), (again, helped)):
        assert all(torch.equal(t, its.state_dict()[k]) for k, t in mine.state_dict().items())


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        (("unet-small", {"widths": (4, 8, 16)}), "is only there"),
        (("unet-small", {"widths": (4, 12)}), "there, not"),
        (("unet-small", {"bands": 4}), "4 x 4 x 3 x 3 there, not 4 x 3 x 3 x 3"),
        (("fcn-resnet101", {}), "another architecture"),
    ],
)
def test_other_architectures_are_refused_and_nothing_is_changed(theirs, reason):
    mine = network("unet-small", 3, 0)
    before = {key: tensor.clone() for key, tensor in mine.state_dict().items()}
    name, options = theirs
    with pytest.raises(BundleError, match=reason):
        take_over(mine, OLD, network(name, 3, 1, **options), OLD, builder("unet-small"))
    assert all(torch.equal(t, before[k]) for k, t in mine.state_dict().items())


def test_the_embedded_model_with_other_classes():
    """Reordered and added classes: what it knew of the shared ones is what it knows."""
    old, bundle = models.load(EMBEDDED_MODEL)
    legend = Legend.of({"water": (0, 0, 1), "glacier": (0, 0, 2), "building": (0, 0, 3)})
    build = builder("mst-deeplabv3plus")
    new = build(3).eval()
    assert take_over(new, legend, old, bundle.legend, build) == ("glacier",)
    names = bundle.legend.names
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        expected = old(images)[:, [names.index("water"), names.index("building")]]
        assert torch.allclose(new(images)[:, [0, 2]], expected, atol=1e-5)
