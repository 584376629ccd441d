"""The same integers and losses on a GPU as on the CPU."""

import pytest
import torch

from rsseg import losses

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def _random():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 6, 65, 33, generator=generator)
    labels = torch.randint(6, (2, 65, 33), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < 0.1] = 255
    return logits, labels


@pytest.mark.parametrize("k", [1, 32, 130])
@pytest.mark.parametrize("neighbour", ["neutral", "differs"])
def test_affinity_maps_are_the_same_integers(k, neighbour):
    _, labels = _random()
    expected = losses.neighbouring_pixel_affinity(labels, k, 255, neighbour)
    there = losses.neighbouring_pixel_affinity(labels.cuda(), k, 255, neighbour, classes=6)
    assert torch.equal(there.cpu(), expected)


@pytest.mark.parametrize("name", sorted(losses.BUILDERS))
def test_losses_and_gradients_agree(name):
    logits, labels = _random()
    here, there = logits.clone().requires_grad_(), logits.cuda().requires_grad_()
    value = losses.create(name)(here, labels)
    value.backward()
    on_gpu = losses.create(name).cuda()(there, labels.cuda())
    on_gpu.backward()
    assert float(on_gpu.detach()) == pytest.approx(float(value.detach()), rel=1e-4)
    assert torch.allclose(there.grad.cpu(), here.grad, rtol=1e-3, atol=1e-6)
