from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from rsseg import models
from rsseg.errors import TrainingError
from rsseg.prediction.engines.onnx_graph import EMBEDDED_MODEL
from rsseg.training import Recipe
from rsseg.training.task import SegmentationTask

CLASSES = [
    {"code": code, "name": name, "colour": [code, 0, 0]}
    for code, name in enumerate(("one", "two", "three"))
]


def recipe(**sections):
    values = {
        "title": "a test",
        "data": {
            "classes": CLASSES,
            "normalisation": {"scale": [255] * 3, "mean": [0.4, 0.5, 0.6], "std": [0.2] * 3},
            "window": 32,
        },
        "model": {"name": "unet-small", "options": {"widths": [4, 8]}},
        "trainer": {"steps": 5},
    }
    return Recipe.model_validate(
        {**values, **{name: {**values.get(name, {}), **new} for name, new in sections.items()}}
    )


def task_of(**sections):
    """A task without a trainer, and what it logs."""
    torch.manual_seed(0)
    task = SegmentationTask(recipe(**sections)).train()
    task.logged = {}
    task.log = lambda name, value, **options: task.logged.update({name: value})
    return task


def batch(seed=0, stride=1, numbers=(0, 1)):
    generator = torch.Generator().manual_seed(seed)
    side = 32 // stride
    return {
        "image": torch.randint(256, (2, 3, 32, 32), generator=generator, dtype=torch.uint8),
        "label": torch.randint(3, (2, side, side), generator=generator).to(torch.uint8),
        "number": list(numbers),
    }


def test_the_loss_is_of_normalised_pixels():
    task = task_of()
    sample = batch()
    loss = task.training_step(sample, 0)
    mean = torch.tensor([0.4, 0.5, 0.6])[:, None, None]
    pixels = (sample["image"].double() / 255 - mean) / 0.2
    logits = task.network(pixels.float())
    expected = functional.cross_entropy(logits, sample["label"].long())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_loss_that_is_not_finite_names_the_windows():
    task = task_of()
    task.describe = lambda number: f"scene_{number}.tif at row {number}"
    with torch.no_grad():
        next(task.network.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError) as caught:
        task.training_step(batch(numbers=(7, 11)), 0)
    message = str(caught.value)
    assert "the loss is nan at step 1" in message
    assert "scene_7.tif at row 7; scene_11.tif at row 11" in message


def test_an_auxiliary_loss_is_added_with_its_weight():
    model = {"name": "fcn-resnet101", "encoder": "resnet10t", "aux": True, "options": {}}
    loss = {"aux_weight": 0.3, "aux": {"name": "dice"}}
    task = task_of(model=model, loss=loss)
    main, aux = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 32, 32)
    task.network.forward = lambda images: (main, aux)
    sample = batch()
    found = task.training_step(sample, 0).item()
    labels = sample["label"].long()
    parts = task.loss.loss(main, labels), task.loss.aux_loss(aux, labels)
    assert found == pytest.approx((parts[0] + 0.3 * parts[1]).item())
    assert type(task.loss.aux_loss) is not type(task.loss.loss)


def test_logits_come_to_coarser_labels():
    task = task_of(data={"label_stride": 4})
    sample = batch(stride=4)
    loss = task.training_step(sample, 0)
    logits = task(sample["image"])
    smaller = functional.interpolate(logits, size=(8, 8), mode="bilinear", align_corners=False)
    expected = functional.cross_entropy(smaller, sample["label"].long())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_frozen_encoder_stays_and_learns_afterwards(monkeypatch):
    """Weights, statistics and the optimiser's memory."""
    sections = {"optimiser": {"freeze_encoder": 2, "clip": 1.0, "weight_decay": 0.1}}
    task = task_of(**sections)
    configured = task.configure_optimizers()
    optimiser, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    encoder = {name for name in task.network.state_dict() if name.startswith("encoder")}
    for step in range(4):
        monkeypatch.setattr(SegmentationTask, "global_step", step)
        before = {key: tensor.clone() for key, tensor in task.network.state_dict().items()}
        sample = batch(seed=step)
        task.on_train_batch_start(sample, step)
        optimiser.zero_grad()
        task.training_step(sample, step).backward()
        task.on_before_optimizer_step(optimiser)
        optimiser.step()
        schedule.step()
        after = task.network.state_dict()
        moved = {key for key in before if not torch.equal(before[key], after[key])}
        assert moved & encoder == (encoder if step >= 2 else set()), step
        assert moved >= after.keys() - encoder
        remembered = {id(parameter) for parameter in optimiser.state}
        inner = {id(parameter) for parameter in task.network.encoder.parameters()}
        assert (inner <= remembered) == (step >= 2)


def test_dropout_depends_on_seed_and_step_alone():
    draws = []
    for seed, step in ((1, 5), (1, 5), (1, 6), (2, 5)):
        task = task_of(trainer={"seeds": [seed]})
        torch.rand(step + seed)  # whatever was drawn before
        task.on_train_batch_start(batch(), step)
        draws.append(torch.rand(3).tolist())
    assert draws[0] == draws[1]
    assert len({tuple(draw) for draw in draws}) == 3


def test_scores_are_of_the_counts_of_all_processes():
    """The other process counted what is added in the reduction."""
    task = task_of()
    counts = np.array([[5, 1, 0, 0], [2, 3, 0, 1], [0, 0, 0, 0]])
    task.scorer = SimpleNamespace(count=lambda network, number, device: counts * (number + 1))
    other = torch.from_numpy(counts * 10)
    strategy = SimpleNamespace(reduce=lambda mine, reduce_op: mine + other)
    task._trainer = SimpleNamespace(strategy=strategy)
    task.on_validation_epoch_start()
    for number in (0, -1, 1):
        task.validation_step(number, 0)
    assert np.array_equal(task.confusion.matrix, counts * 3)
    task.on_validation_epoch_end()
    total = counts * 13
    iou = [total[k, k] / (total[k].sum() + total[:, k].sum() - total[k, k]) for k in (0, 1)]
    assert task.logged["val_iou_one"] == pytest.approx(iou[0])
    assert task.logged["val_iou_two"] == pytest.approx(iou[1])
    assert task.logged["val_miou"] == pytest.approx(np.mean(iou))
    assert task.logged["val_oa"] == pytest.approx(8 / 12)


def test_compiling_changes_no_name_of_a_tensor(tmp_path):
    plain, compiled = (task_of(trainer={"compile": choice}) for choice in (False, True))
    assert plain.state_dict().keys() == compiled.state_dict().keys()
    compiled.load_state_dict(plain.state_dict())


def test_fine_tuning_starts_with_what_the_embedded_model_knows():
    classes = [*CLASSES, {"code": 7, "name": "water", "colour": [0, 0, 9]}]
    task = task_of(
        data={"classes": classes},
        model={"name": "mst-deeplabv3plus", "weights": "embedded", "options": {}},
    ).eval()
    network, bundle = models.load(EMBEDDED_MODEL)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        mine = task.network(images)[:, 3]
        its = network(images)[:, bundle.legend.names.index("water")]
    assert torch.allclose(mine, its, atol=1e-4)


def test_the_statistics_of_the_encoder_move_as_fast_as_asked():
    """The first batch's share of the running mean, which begins at 0."""
    for momentum in (None, 0.01):
        task = task_of(model={"encoder_momentum": momentum})
        norms = [m for m in task.network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        seen = []
        for norm in norms:
            norm.register_forward_hook(
                lambda norm, given, made, seen=seen: seen.append(
                    (norm.running_mean / given[0].mean((0, 2, 3))).median().item()
                )
            )
        task.training_step(batch(), 0)
        inner = {id(m) for m in task.network.encoder.modules()}
        expected = [(momentum or 0.1) if id(norm) in inner else 0.1 for norm in norms]
        assert seen == pytest.approx(expected, rel=1e-3)
        assert len(set(expected)) == (1 if momentum is None else 2)
