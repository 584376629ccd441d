import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score
from torch.nn import functional

from rsseg import losses
from rsseg.errors import OptionError
from rsseg.legend import NODATA
from rsseg.losses import CLLoss, CrossEntropyLoss, DeepSupervision, LovaszSoftmaxLoss

ALL = sorted(losses.BUILDERS)


def _random(seed=0, classes=4, size=(2, 6, 7), ignored=0.2):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(size[0], classes, *size[1:], generator=generator) * 3
    labels = torch.randint(classes, size, generator=generator)
    labels[torch.rand(size, generator=generator) < ignored] = NODATA
    return logits, labels


def _slow_lovasz(logits, labels):
    """The definition, pixel by pixel: sort errors, add each times the growth of 1 - Jaccard."""
    scores = np.moveaxis(logits.double().softmax(1).numpy(), 1, -1)
    scores, truth = scores[labels.numpy() != NODATA], labels.numpy()[labels.numpy() != NODATA]
    losses = []
    for c in np.unique(truth):
        errors = [
            (1 - p[c] if y == c else p[c], y == c) for p, y in zip(scores, truth, strict=True)
        ]
        errors.sort(key=lambda pair: -pair[0])
        total, hit, other, before, loss = sum(truth == c), 0, 0, 0.0, 0.0
        for error, member in errors:
            hit, other = hit + member, other + (not member)
            jaccard = 1 - (total - hit) / (total + other)
            loss += error * (jaccard - before)
            before = jaccard
        losses.append(loss)
    return np.mean(losses)


# --- every loss


@pytest.mark.parametrize("name", ALL)
class TestEveryLoss:
    def test_good_logits_score_lower_than_bad(self, name):
        loss = losses.create(name)
        _, labels = _random(ignored=0)
        good = functional.one_hot(labels, 4).movedim(-1, 1).float()
        values = [float(loss(good * strength, labels)) for strength in (-5, 0, 1, 5, 50)]
        assert values == sorted(values, reverse=True)
        assert values[-1] == pytest.approx(0, abs=1e-6)

    def test_nothing_labelled_gives_zero_with_a_graph(self, name):
        logits = _random()[0].requires_grad_()
        loss = losses.create(name)(logits, torch.full((2, 6, 7), NODATA))
        loss.backward()
        assert float(loss.detach()) == 0
        assert torch.equal(logits.grad, torch.zeros_like(logits))

    def test_unlabelled_pixels_have_no_say(self, name):
        loss = losses.create(name)
        logits, labels = _random()
        changed = torch.where(labels[:, None] == NODATA, logits * -7 + 3, logits)
        assert float(loss(changed, labels)) == pytest.approx(float(loss(logits, labels)), abs=1e-7)
        leaf = logits.clone().requires_grad_()
        loss(leaf, labels).backward()
        assert not leaf.grad.movedim(1, -1)[labels == NODATA].any()

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_logits_give_a_float32_loss(self, name, dtype):
        logits, labels = _random(size=(1, 40, 40))
        loss = losses.create(name)
        leaf = (logits * 10).to(dtype).requires_grad_()
        value = loss(leaf, labels)
        value.backward()
        assert value.dtype == torch.float32
        assert torch.isfinite(value)
        assert torch.isfinite(leaf.grad).all()
        exact = float(loss(leaf.detach().float(), labels))
        assert float(value.detach()) == pytest.approx(exact, rel=1e-6)

    def test_unknown_options_are_refused(self, name):
        with pytest.raises(OptionError, match=f"{name}.*gama"):
            losses.create(name, gama=2)


def test_unknown_losses_are_refused():
    with pytest.raises(OptionError, match="no loss 'dise', expected cl or cross-entropy or"):
        losses.create("dise")


# --- cross-entropy


@pytest.mark.parametrize("seed", range(3))
def test_cross_entropy_is_torchs_mean_over_labelled_pixels(seed):
    logits, labels = _random(seed)
    one, other = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    value = CrossEntropyLoss()(one, labels)
    expected = functional.cross_entropy(other, labels, ignore_index=NODATA)
    value.backward()
    expected.backward()
    assert float(value.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert torch.allclose(one.grad, other.grad, atol=1e-8)


# --- Lovasz-Softmax


def test_lovasz_worked_example():
    first = torch.tensor([[[0.9, 0.6, 0.3, 0.8]]])
    logits = torch.stack([first, 1 - first], dim=1).log()
    labels = torch.tensor([[[0, 0, 1, 1]]])
    assert float(LovaszSoftmaxLoss()(logits, labels)) == pytest.approx(0.508333, abs=1e-6)
    assert float(CrossEntropyLoss()(logits, labels)) == pytest.approx(0.645575, abs=1e-6)
    assert float(CLLoss()(logits, labels)) == pytest.approx(1.153908, abs=2e-6)


@pytest.mark.parametrize("seed", range(5))
def test_lovasz_is_the_definition(seed):
    logits, labels = _random(seed, classes=2 + seed)
    value = float(LovaszSoftmaxLoss()(logits, labels))
    assert value == pytest.approx(_slow_lovasz(logits, labels), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_lovasz_of_certain_predictions_is_one_minus_mean_iou_of_present_classes(seed):
    _, labels = _random(seed, classes=3)
    prediction = torch.randint(5, labels.shape, generator=torch.Generator().manual_seed(seed))
    logits = functional.one_hot(prediction, 5).movedim(-1, 1) * 200.0
    known = labels != NODATA
    present = labels[known].unique().tolist()
    iou = jaccard_score(labels[known], prediction[known], labels=present, average="macro")
    assert float(LovaszSoftmaxLoss()(logits, labels)) == pytest.approx(1 - iou, abs=1e-6)


def test_lovasz_sees_the_batch_as_one_picture():
    logits, labels = _random(size=(4, 5, 5))
    joined = logits.movedim(0, 1).reshape(1, 4, 20, 5), labels.reshape(1, 20, 5)
    loss = LovaszSoftmaxLoss()
    assert float(loss(logits, labels)) == pytest.approx(float(loss(*joined)), abs=1e-6)


# --- CL


def test_cl_is_the_weighted_sum():
    logits, labels = _random()
    ce, lovasz = CrossEntropyLoss()(logits, labels), LovaszSoftmaxLoss()(logits, labels)
    loss = CLLoss(ce_weight=0.5, lovasz_weight=2)
    assert float(loss(logits, labels)) == pytest.approx(float(0.5 * ce + 2 * lovasz), rel=1e-6)


def test_cl_warms_up_by_cross_entropy_alone_and_counts_training_calls_only():
    logits, labels = _random()
    loss = CLLoss(warm_up=2)
    alone, both = float(CrossEntropyLoss()(logits, labels)), float(CLLoss()(logits, labels))

    def values(count):
        return [float(loss(logits, labels)) for _ in range(count)]

    loss.eval()
    assert values(3) == pytest.approx([both] * 3)
    loss.train()
    assert values(1) == pytest.approx([alone])
    resumed = CLLoss(warm_up=2)
    resumed.load_state_dict(loss.state_dict())  # a checkpoint knows how far the warm-up was
    assert values(3) == pytest.approx([alone, both, both])
    assert float(resumed(logits, labels)) == pytest.approx(alone)
    assert float(resumed(logits, labels)) == pytest.approx(both)


# --- deep supervision


def test_deep_supervision_adds_a_share_of_the_auxiliary_loss():
    (main, labels), (aux, _) = _random(0), _random(1)
    plain = CrossEntropyLoss()
    together = DeepSupervision(CrossEntropyLoss(), weight=0.4)
    assert torch.equal(together(main, labels), plain(main, labels))
    expected = plain(main, labels) + 0.4 * plain(aux, labels)
    assert torch.allclose(together((main, aux), labels), expected)
    mixed = DeepSupervision(LovaszSoftmaxLoss(), weight=2.0, aux_loss=CrossEntropyLoss())
    expected = LovaszSoftmaxLoss()(main, labels) + 2.0 * plain(aux, labels)
    assert torch.allclose(mixed((main, aux), labels), expected)


def test_deep_supervision_does_not_hasten_a_warm_up():
    (main, labels), (aux, _) = _random(0), _random(1)
    together = DeepSupervision(CLLoss(warm_up=2)).train()
    for _ in range(2):
        assert float(together((main, aux), labels)) == pytest.approx(
            float(CrossEntropyLoss()(main, labels) + 0.4 * CrossEntropyLoss()(aux, labels))
        )
    assert int(together.loss.calls) == 2
