import pytest
import torch
from torch import nn

from rsseg import models
from rsseg.errors import OptionError

PARAMETERS = {
    ("mst-deeplabv3plus", 2): 6_018_066,
    ("mst-deeplabv3plus", 6): 6_019_094,
    ("mst-deeplabv3plus", 7): 6_019_351,
}
"""The papers' counts, see models-spec: every architecture has at least one."""

SIZES = [(1, 1), (1, 7), (2, 2), (33, 65), (64, 64), (513, 100)]


def _count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def _images(height=64, width=64, bands=3, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, bands, height, width, generator=generator)


@pytest.mark.parametrize(("name", "classes"), PARAMETERS)
def test_parameters_are_the_papers(name, classes):
    assert _count(models.create(name, classes=classes)) == PARAMETERS[name, classes]


def test_every_architecture_has_a_count():
    assert {name for name, _ in PARAMETERS} == set(models.BUILDERS)


def test_parts_of_mst_are_the_papers():
    network = models.create("mst-deeplabv3plus", classes=6)
    parts = {name: _count(part) for name, part in network.named_children()}
    assert parts == {
        "encoder": 1_811_712,
        "aspp": 82_688 + 3 * 738_048 + 82_688,
        "attention": 204_800,
        "merge": 328_448,
        "shallow": 1_296,
        "fuse": 1_291_776,
        "classify": 1_542,
    }


@pytest.mark.parametrize("name", sorted(models.BUILDERS))
class TestEveryModel:
    @pytest.fixture
    def network(self, name):
        torch.manual_seed(0)
        return models.create(name, classes=5).eval()

    @pytest.mark.parametrize(("height", "width"), SIZES)
    @torch.no_grad()
    def test_logits_have_the_size_of_the_image(self, network, name, height, width):
        logits = network(_images(height, width))
        assert logits.shape == (1, 5, height, width)
        assert logits.dtype == torch.float32
        assert torch.isfinite(logits).all()

    @torch.no_grad()
    def test_evaluation_is_deterministic_and_images_do_not_see_each_other(self, network, name):
        images = _images(batch=3)
        logits = network(images)
        assert torch.equal(network(images), logits)
        for number in range(3):
            alone = network(images[number : number + 1])
            assert torch.allclose(alone, logits[number : number + 1], atol=1e-5)

    @torch.no_grad()
    def test_memory_format_changes_nothing(self, network, name):
        images = _images(65, 97)
        expected = network(images)
        moved = models.create(name, classes=5).eval()
        moved.load_state_dict(network.state_dict())
        moved = moved.to(memory_format=torch.channels_last)
        got = moved(images.contiguous(memory_format=torch.channels_last))
        assert torch.allclose(got, expected, atol=1e-4)

    @torch.no_grad()
    def test_bfloat16_is_finite_and_near(self, network, name):
        images = _images()
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images)
        assert torch.isfinite(logits).all()
        exact = network(images)
        assert (logits.float() - exact).abs().mean() < 0.05 * exact.std()

    def test_every_parameter_learns(self, name):
        torch.manual_seed(0)
        network = models.create(name, classes=5, bands=4)
        logits = network(_images(33, 32, bands=4, batch=2))
        assert logits.shape == (2, 5, 33, 32)
        (logits * _images(33, 32, bands=5, batch=2)).sum().backward()
        idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert not _but_biases_before_normalisation(network, idle)

    @torch.no_grad()
    @pytest.mark.parametrize("stride", [8, 16])
    def test_output_stride_is_kept(self, name, stride):
        network = models.create(name, classes=2, output_stride=stride).eval()
        shallow, deep = network.encoder(_images(32, 64))
        assert shallow.shape[-2:] == (8, 16)
        assert deep.shape[-2:] == (32 // stride, 64 // stride)

    def test_unknown_options_are_refused(self, name):
        with pytest.raises(OptionError, match=f"{name}.*dropot"):
            models.create(name, classes=2, dropot=0.5)
        with pytest.raises(OptionError, match="output stride, expected .*16.*got 12"):
            models.create(name, classes=2, output_stride=12)
        for numbers in ({"classes": 0}, {"classes": 2, "bands": 0}):
            with pytest.raises(OptionError, match="at least one class and band"):
                models.create(name, **numbers)


def test_unknown_architectures_are_refused():
    with pytest.raises(OptionError, match="no architecture 'segnet', expected mst-deeplabv3plus"):
        models.create("segnet", classes=2)


def _but_biases_before_normalisation(network, names):
    """Batch normalisation takes away what a bias before it adds: its gradient is 0, or rounding."""
    before = set()
    for name, unit in network.named_modules():
        if isinstance(unit, nn.Sequential):
            pairs = zip(unit.named_children(), list(unit.children())[1:], strict=False)
            before |= {
                f"{name}.{number}.bias"
                for (number, part), after in pairs
                if isinstance(part, nn.Conv2d) and isinstance(after, nn.BatchNorm2d)
            }
    return sorted(set(names) - before)
