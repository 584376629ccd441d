"""What every network keeps to: one of each family quickly, the rest slowly."""

from copy import deepcopy
from typing import NamedTuple

import pytest
import torch
from torch import nn

from rsseg import models
from rsseg.bundle import Bundle, read_bundle
from rsseg.errors import OptionError
from rsseg.export.onnx import write_onnx
from rsseg.legend import LAND_COVER
from rsseg.normalise import Normalisation
from rsseg.prediction.engines.openvino_core import openvino_core

SIZES = [(1, 1), (1, 7), (2, 2), (33, 65), (64, 64), (130, 50), (1, 700)]


class Case(NamedTuple):
    """A network by name and options."""

    name: str
    options: dict

    def create(self, classes=5, bands=3, **more):
        """The network, with weights that depend on nothing but the case."""
        torch.manual_seed(0)
        return models.create(self.name, classes=classes, bands=bands, **{**self.options, **more})


FAMILIES = [
    Case("mst-deeplabv3plus", {}),
    Case("lm-deeplabv3plus", {}),
    Case("deeplabv3plus-mobilenetv2", {}),
    Case("deeplabv3-mobilenetv2", {"aux": True}),
    Case("pspnet-resnet101", {"encoder": "resnet14t", "aux": True}),
    Case("fcn-dilated-resnet101", {"encoder": "resnet14t"}),
    Case("unet-small", {}),
    Case("unet-vgg16", {"encoder": "vgg11"}),
    Case("unet-vgg16", {"encoder": "convnext_atto"}),
]
OTHERS = [
    *(Case(name, {}) for name in models.BUILDERS if name not in {case.name for case in FAMILIES}),
    Case("pspnet-resnet101", {}),
    Case("fcn-dilated-resnet101", {}),
    Case("unet-vgg16", {}),
    Case("unet", {"bilinear": True}),
    Case("lm-deeplabv3plus", {"strip_gate": "branch0", "output_stride": 8}),
    Case("deeplabv3plus-resnet50", {"encoder": "convnext_atto"}),
    Case("mst-deeplabv3plus", {"encoder": "efficientnet_b0", "output_stride": 8}),
]


def _id(case):
    return "-".join([case.name, *map(str, case.options.values())])


@pytest.fixture(
    params=[
        *(pytest.param(case, id=_id(case)) for case in FAMILIES),
        *(pytest.param(case, id=_id(case), marks=pytest.mark.slow) for case in OTHERS),
    ],
    scope="module",
)
def case(request):
    """Every network; one of each family is quick."""
    return request.param


@pytest.fixture(scope="module")
def network(case):
    """A network of a case in evaluation mode, its activations of about unit size; not to change."""
    return _calibrated(case.create())


def _bundle(case, bands):
    return Bundle(
        case.name,
        LAND_COVER,
        tuple(f"b{number}" for number in range(bands)),
        Normalisation.uniform(bands, scale=255, mean=0.5, std=0.5),
        case.options,
        window=64,
    )


@torch.no_grad()
def test_logits_have_the_size_of_the_image(network, case):
    for height, width in SIZES:
        logits = network(_images(height, width))
        assert logits.shape == (1, 5, height, width)
        assert logits.dtype == torch.float32
        assert torch.isfinite(logits).all()


@torch.no_grad()
def test_evaluation_is_deterministic_and_images_do_not_see_each_other(network):
    batch = _images(batch=3)
    logits = network(batch)
    assert torch.equal(network(batch), logits)
    for number in range(3):
        alone = network(batch[number : number + 1])
        assert _near(alone, logits[number : number + 1], 1e-4)


@torch.no_grad()
def test_memory_format_changes_nothing(network):
    batch = _images(65, 97)
    expected = network(batch)
    moved = deepcopy(network).to(memory_format=torch.channels_last)
    got = moved(batch.contiguous(memory_format=torch.channels_last))
    assert _near(got, expected, 1e-3)


@torch.no_grad()
def test_bfloat16_is_finite_and_near(network):
    batch = _images()
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(batch)
    exact = network(batch)
    assert torch.isfinite(logits).all()
    pair = torch.stack([logits.float().flatten(), exact.flatten()])
    assert torch.corrcoef(pair)[0, 1] > 0.9  # random networks amplify rounding


def test_every_parameter_learns(case):
    """Also shows that four bands are taken, and what comes out while training."""
    network = _calibrated(case.create(bands=4)).train()
    output = network(_images(33, 64, bands=4, batch=2))
    outputs = output if isinstance(output, tuple) else (output,)
    assert len(outputs) == (2 if case.options.get("aux") else 1)
    for logits in outputs:
        assert logits.shape == (2, 5, 33, 64)
    sum((logits * _images(33, 64, bands=5, batch=2)).sum() for logits in outputs).backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not _but_biases_before_normalisation(network, idle)


@pytest.mark.parametrize("bands", [1, 8])
@torch.no_grad()
def test_any_number_of_bands_is_taken(case, bands):
    network = case.create(bands=bands).eval()
    assert network(_images(32, 32, bands=bands)).shape == (1, 5, 32, 32)


def test_round_trip_through_a_file_is_exact(case, tmp_path):
    network, bundle = case.create(bands=4), _bundle(case, 4)
    path = tmp_path / "model.safetensors"
    models.save(path, network, bundle)
    copy, copied = models.load(path)
    assert copied == bundle == read_bundle(path)
    assert not copy.training
    expected, got = network.state_dict(), copy.state_dict()
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[key], got[key]) for key in expected)


@torch.no_grad()
def test_openvino_agrees_at_two_sizes(network, case, tmp_path):
    """The graph is exported once, by torch.export, with free height and width."""
    write_onnx(network, _bundle(case, 3), tmp_path / "network.onnx")
    core = openvino_core()
    compiled = core.compile_model(
        core.read_model(tmp_path / "network.onnx"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    smaller = [_images(20, 33)] if case.options.get("encoder") == "convnext_atto" else []
    for batch in (_images(), _images(96, 72), *smaller):
        got = torch.from_numpy(compiled(batch.numpy())[0])
        assert _near(got, network(batch), 1e-3)


def test_a_training_step_lowers_the_loss(case):
    network = case.create().double().train()  # a small gradient counts too
    batch, labels = _images(batch=4).double(), torch.randint(5, (4, 64, 64))
    optimiser = torch.optim.SGD(network.parameters(), 1e-4)
    for dropout in network.modules():
        if isinstance(dropout, (nn.Dropout, nn.Dropout2d)):
            dropout.p = 0.0  # the same function before and after
    values = []
    for _ in range(2):
        loss = nn.functional.cross_entropy(_main_logits(network(batch)), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(float(loss.detach()))
    assert values[1] < values[0]


def test_unknown_options_are_refused(case):
    with pytest.raises(OptionError, match=f"{case.name} has no option 'dropot'"):
        models.create(case.name, classes=2, dropot=0.5)
    for numbers in ({"classes": 0}, {"classes": 2, "bands": 0}):
        with pytest.raises(OptionError, match="at least one class and band"):
            models.create(case.name, **numbers)


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


def _near(one, other, tolerance):
    """Whether logits differ by no more than that, or that part of their spread if it is over 1."""
    return float((one - other).abs().max()) <= tolerance * max(1.0, float(other.std()))


def _images(height=64, width=64, bands=3, batch=1, seed=0):
    """Normalised images."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, bands, height, width, generator=generator)


def _main_logits(output):
    """The logits without an auxiliary head's."""
    return output[0] if isinstance(output, tuple) else output


def _calibrated(network):
    """The network in evaluation mode with statistics of noise, as if trained on it."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            if not module.weight.any():
                nn.init.constant_(module.weight, 0.2)  # timm starts residual branches from zero
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        network.train()(_images(batch=4, bands=_bands(network), seed=1))
    return network.eval()


def _bands(network):
    return next(p for p in network.parameters() if p.ndim == 4).shape[1]
