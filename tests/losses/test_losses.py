import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score
from torch.nn import functional

from rsseg import losses
from rsseg.errors import OptionError
from rsseg.legend import NODATA
from rsseg.losses import (
    CLLoss,
    CrossEntropyLoss,
    DeepSupervision,
    DiceLoss,
    FocalLoss,
    IoULoss,
    LovaszSoftmaxLoss,
    NPALoss,
    median_frequency_weights,
)
from rsseg.losses.pixel import weighted_cross_entropy

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

    def test_double_precision_gradients_are_the_functions_slopes(self, name):
        logits, labels = _random(size=(2, 3, 4))
        loss = losses.create(name)
        assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits.double().requires_grad_())

    def test_unknown_options_are_refused(self, name):
        with pytest.raises(OptionError, match=f"{name}.*gama"):
            losses.create(name, gama=2)


def test_unknown_losses_are_refused():
    with pytest.raises(OptionError, match="no loss 'dise', expected dice"):
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


def test_class_weights_are_torchs():
    weights = [0.5, 2.0, 0.0, 1.0]
    logits, labels = _random()
    expected = functional.cross_entropy(
        logits, labels, weight=torch.tensor(weights), ignore_index=NODATA
    )
    loss = CrossEntropyLoss(class_weights=weights)
    assert float(loss(logits, labels)) == pytest.approx(float(expected), rel=1e-6)
    nothing = torch.full_like(labels, NODATA)
    assert float(loss(logits, nothing)) == 0
    weightless = torch.full_like(labels, 2)
    assert float(loss(logits, weightless)) == 0


@pytest.mark.parametrize("count", [3, 5])
def test_there_must_be_a_weight_for_each_class(count):
    loss, (logits, labels) = CrossEntropyLoss(class_weights=[1.0] * count), _random()
    for method in (loss, loss.pixels):
        with pytest.raises(OptionError, match=f"one class weight .*, expected 4, got {count}"):
            method(logits, labels)


def test_the_weighted_sum_is_torchs():
    logits, labels = (each.clone() for each in _random(ignored=0))
    weights = torch.rand(labels.shape, generator=torch.Generator().manual_seed(1))
    one, other = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    value = weighted_cross_entropy(one, labels, weights)
    expected = (functional.cross_entropy(other, labels, reduction="none") * weights).sum()
    (3 * value).backward()
    (3 * expected).backward()
    assert float(value.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert torch.allclose(one.grad, other.grad, atol=1e-6)


def test_median_frequency_weights():
    assert median_frequency_weights([10, 20, 40]) == [2.0, 1.0, 0.5]
    assert median_frequency_weights([10, 30, 0, 20, 40]) == pytest.approx(
        [2.5, 25 / 30, 0.0, 1.25, 0.625]
    )
    # the sixth class is clutter: out of the median, with the smallest weight of the others
    weights = median_frequency_weights([100, 80, 60, 50, 2, 1], rare=[5])
    assert weights == pytest.approx([0.6, 0.75, 1.0, 1.2, 30.0, 0.6])
    with pytest.raises(OptionError, match="no class has pixels"):
        median_frequency_weights([0, 0])


# --- focal


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_focal_is_the_formula(gamma):
    logits, labels = _random()
    known = labels != NODATA
    p = np.take_along_axis(logits.softmax(1).numpy(), np.where(known, labels, 0)[:, None], axis=1)[
        :, 0
    ][known]
    expected = np.mean(-0.25 * (1 - p) ** gamma * np.log(p))
    value = float(FocalLoss(gamma, alpha=0.25)(logits, labels))
    assert value == pytest.approx(expected, rel=1e-5)


def test_focal_without_gamma_is_the_cross_entropy():
    logits, labels = _random()
    assert torch.allclose(FocalLoss(0)(logits, labels), CrossEntropyLoss()(logits, labels))
    with pytest.raises(OptionError, match="gamma, expected 0 or more"):
        FocalLoss(-1)


# --- overlaps


def _slow_overlap(logits, labels, formula, scope, classes):
    """One class of one scope at a time in numpy; None for the mean of nothing."""
    scores = logits.double().softmax(1).movedim(1, -1).numpy()
    truth = labels.numpy()
    groups = [(scores, truth)] if scope == "batch" else zip(scores, truth, strict=True)
    values = []
    for p, y in groups:
        p, y = p[y != NODATA], y[y != NODATA]
        for c in range(logits.shape[1]):
            if len(y) and (classes == "all" or (y == c).any()):
                values.append(1 - formula(p[:, c], (y == c).astype(float)))
    return np.mean(values)


OVERLAPS = {
    DiceLoss: lambda p, y: 2 * (p * y).sum() / (p.sum() + y.sum()),
    IoULoss: lambda p, y: (p * y).sum() / (p + y - p * y).sum(),
}


@pytest.mark.parametrize("loss", OVERLAPS)
@pytest.mark.parametrize("scope", ["batch", "image"])
@pytest.mark.parametrize("classes", ["present", "all"])
def test_overlaps_are_the_formulas(loss, scope, classes):
    for seed in range(4):
        logits, labels = _random(seed, classes=5, size=(3, 2, 3), ignored=0.4)
        labels[labels == 4] = NODATA  # one class that never occurs
        labels[1] = NODATA  # an image without a labelled pixel does not count
        value = float(loss(scope=scope, classes=classes, eps=0)(logits, labels))
        expected = _slow_overlap(logits, labels, OVERLAPS[loss], scope, classes)
        assert value == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("present", range(1, 9))
def test_the_alpine_papers_iou_has_a_floor(present):
    """A perfect prediction of an image with m of 8 classes has the loss 1 - m / 8."""
    labels = (torch.arange(64) % present).reshape(1, 8, 8)
    logits = functional.one_hot(labels, 8).movedim(-1, 1) * 200.0
    paper = IoULoss(scope="image", classes="all", eps=0)
    assert float(paper(logits, labels)) == pytest.approx(1 - present / 8, abs=1e-6)
    assert float(IoULoss()(logits, labels)) == pytest.approx(0, abs=1e-6)


def test_other_words_are_refused():
    with pytest.raises(OptionError, match="scope, expected batch or image, got pixel"):
        DiceLoss(scope="pixel")
    with pytest.raises(OptionError, match="classes, expected present or all, got some"):
        IoULoss(classes="some")


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


@pytest.mark.parametrize("at_once", [1, 200, 10**9])
def test_lovasz_by_groups_of_classes_is_the_same(monkeypatch, at_once):
    logits, labels = _random(classes=7)
    expected = _slow_lovasz(logits, labels)
    monkeypatch.setattr("rsseg.losses.region._SORTED_AT_ONCE", at_once)
    assert float(LovaszSoftmaxLoss()(logits, labels)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("label", [-1, 4])
def test_lovasz_refuses_labels_that_are_no_class(label):
    logits, labels = _random()
    labels[0, 0, 0] = label
    with pytest.raises(OptionError, match="unusable label, expected 0 to 3"):
        LovaszSoftmaxLoss()(logits, labels)


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


def test_an_auxiliary_loss_of_its_own_makes_its_own_map():
    (main, labels), (aux, _) = _random(0), _random(1)
    loss, wider = NPALoss(search_region=2), NPALoss(search_region=4)
    affinity = losses.neighbouring_pixel_affinity(labels, 2)
    both = DeepSupervision(loss, aux_loss=wider)
    expected = loss(main, labels) + 0.4 * wider(aux, labels)
    assert torch.allclose(both((main, aux), labels, affinity), expected)
    assert not torch.allclose(wider(aux, labels), loss(aux, labels))


def test_deep_supervision_hands_on_what_the_loss_takes():
    (main, labels), (aux, _) = _random(0), _random(1)
    loss = NPALoss(search_region=2)
    counts = losses.neighbouring_pixel_affinity(labels, 2)
    expected = loss(main, labels) + 0.4 * loss(aux, labels)
    assert torch.allclose(DeepSupervision(loss)((main, aux), labels, counts), expected)
    mixed = DeepSupervision(loss, aux_loss=CrossEntropyLoss())
    expected = loss(main, labels) + 0.4 * CrossEntropyLoss()(aux, labels)
    assert torch.allclose(mixed((main, aux), labels, counts), expected)
