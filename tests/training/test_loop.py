"""Runs that are broken off and go on, in one process and in several, by the command itself."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from rsseg.bundle import read_bundle
from rsseg.errors import OptionError, OutputError, TrainingError
from rsseg.loading import WindowDataset
from rsseg.losses import NPALoss
from rsseg.training import Recipe, callbacks, loop, train
from rsseg.training.logs import points, read_log
from rsseg.training.task import SegmentationTask

COMMAND = Path(sys.executable).with_name("rsseg")


def changed(values, **sections):
    return Recipe.model_validate(
        {**values, **{name: {**values.get(name, {}), **new} for name, new in sections.items()}}
    )


class PowerCut(BaseException):
    """Raised in the middle of a run."""


def cut(recipe, out, step, resume=False):
    """A run that ends in the middle of a step."""

    def stop(done, total):
        if done == step:
            raise PowerCut

    with pytest.raises(PowerCut):
        train(recipe, out, resume, on_progress=stop)


def same(one, other):
    one, other = (load_file(str(model)) for model in (one, other))
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


SETTINGS = {
    "dropout": {
        "model": {
            "name": "fcn-resnet101",
            "encoder": "resnet10t",
            "aux": True,
            "options": {},
        }
    },
    "accumulated": {"optimiser": {"accumulate": 3, "clip": 0.5}, "trainer": {"ema": 0.7}},
    "frozen": {"optimiser": {"freeze_encoder": 3, "name": "sgd"}, "schedule": {"warm_up": 4}},
    "bf16": {"trainer": {"precision": "bf16", "validation": "windows"}, "data": {"workers": 1}},
    "warming": {"loss": {"name": "cl", "options": {"warm_up": 4}}},
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("name", SETTINGS)
def test_a_run_cut_twice_ends_as_if_unbroken(small_run, tmp_path, name):
    recipe = changed(small_run, **SETTINGS[name])
    whole = train(recipe, tmp_path / "whole")
    out = tmp_path / "cut"
    cut(recipe, out, 3)
    assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] == 2
    cut(recipe, out, 5, resume=True)
    result = train(recipe, out, resume=True)
    assert same(result.model, whole.model)
    assert result.scores == whole.scores
    for key in ("val_miou", "val_oa"):
        assert points(read_log(out), key) == points(read_log(tmp_path / "whole"), key)
        assert [step for step, _ in points(read_log(out), key)] == [2, 4, 6]


@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 5])
def test_patience_goes_on_where_it_was(small_run, tmp_path, monkeypatch, step):
    """The score is best after 2 steps, so a patience of 2 ends the run after 6 of 20."""
    recipe = changed(small_run, trainer={"steps": 20, "patience": 2, "ema": 0.5})
    falling = iter([0.9, 0.8, 0.7, 0.6, 0.5])
    monkeypatch.setattr(
        "rsseg.training.loop.SegmentationTask.on_validation_epoch_end",
        lambda task: task.log("val_miou", next(falling)),
    )
    out = tmp_path / "run"
    cut(recipe, out, step)
    falling = iter([0.8, 0.7, 0.6] if step == 3 else [0.7, 0.6])
    result = train(recipe, out, resume=True)
    last, best = (torch.load(out / f"{n}.ckpt", weights_only=True) for n in ("last", "best"))
    assert (last["global_step"], best["global_step"]) == (6, 2)
    result.model.unlink()  # as if killed after the last step, before the model was written
    train(recipe, out, resume=True)
    assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] == 6
    assert result.model.exists()


def test_every_validation_writes_the_last_step_too(small_run, tmp_path, monkeypatch):
    """Also at an interval of one step, and where the interval does not divide the steps."""
    saved = []
    save = lightning.Trainer.save_checkpoint
    monkeypatch.setattr(
        lightning.Trainer,
        "save_checkpoint",
        lambda self, path: (saved.append((self.global_step, path.name)), save(self, path)),
    )
    for steps, every, expected in ((3, 1, [1, 2, 3]), (5, 3, [3, 5]), (2, 9, [2])):
        saved.clear()
        recipe = changed(small_run, trainer={"steps": steps, "validate_every": every})
        out = tmp_path / f"run_{steps}"
        train(recipe, out)
        assert [step for step, name in saved if name == "last.ckpt"] == expected
        assert [step for step, _ in points(read_log(out), "val_miou")] == expected
        best = torch.load(out / "best.ckpt", weights_only=True)["global_step"]
        scores = dict(points(read_log(out), "val_miou"))
        assert scores[best] == max(scores.values())
        assert [step for step, name in saved if name == "best.ckpt"][-1] == best


def test_a_run_folder_may_move(small_run, tmp_path):
    recipe = changed(small_run, data={"workers": 0})
    cut(recipe, tmp_path / "here", 3)
    (tmp_path / "here").rename(tmp_path / "there")
    result = train(recipe, tmp_path / "there", resume=True)
    assert result.model == tmp_path / "there" / "best.safetensors"
    assert not (tmp_path / "here").exists()


def test_a_run_cut_before_its_first_checkpoint_begins_anew(small_run, tmp_path):
    recipe = changed(small_run)
    cut(recipe, tmp_path / "run", 1)
    assert not (tmp_path / "run" / "last.ckpt").exists()
    with pytest.raises(OutputError, match="already holds a run; add --resume"):
        train(recipe, tmp_path / "run")
    steps = []
    train(recipe, tmp_path / "run", True, on_progress=lambda done, total: steps.append(done))
    assert steps == [1, 2, 3, 4, 5, 6]


def test_a_torn_write_leaves_the_older_checkpoint(small_run, tmp_path, monkeypatch):
    """The disk is full in the middle of the third write of a checkpoint."""
    recipe, out = changed(small_run), tmp_path / "run"
    real, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 3:
            os.ftruncate(descriptor, 1000)
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device; free some space and go on"):
        train(recipe, out)
    assert not list(out.glob(".*"))
    assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] == 2
    assert train(recipe, out, resume=True).model.exists()
    (out / "best.safetensors").unlink()
    with (out / "last.ckpt").open("r+b") as file:
        file.truncate(1000)  # not by us
    with pytest.raises(TrainingError, match=r"last\.ckpt is damaged or missing; remove"):
        train(recipe, out, resume=True)


def test_what_a_trainer_cannot_do_is_told_before_anything_is_written(
    small_run, tmp_path, monkeypatch
):
    for trainer, reason in (
        ({"device": "cpu", "precision": "fp16"}, "CPUs do not train in fp16"),
        ({"device": "cuda", "devices": 512}, "512 x cuda cannot be trained on"),
    ):
        with pytest.raises(OptionError, match=reason):
            train(changed(small_run, trainer=trainer), tmp_path / "run")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="torchrun started 2 processes, expected 1"):
        train(changed(small_run), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 1])
def test_missing_data_in_mid_run_is_one_sentence(small_run, tmp_path, monkeypatch, workers):
    image = Path(small_run["data"]["root"]) / "0.tif"
    hidden = image.with_name("hidden.tif")
    begin = loop.fit

    def vanish(*arguments, **options):
        image.rename(hidden)
        return begin(*arguments, **options)

    monkeypatch.setattr(loop, "fit", vanish)
    try:
        with pytest.raises(Exception, match=r"/0\.tif") as caught:
            train(changed(small_run, data={"workers": workers}), tmp_path / "run")
    finally:
        hidden.rename(image)
    assert type(caught.value).__name__ == "SceneError"
    assert "Traceback" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_batch_of_one_window_is_refused_where_it_cannot_be_normalised(small_run, tmp_path):
    recipe = changed(
        small_run, data={"batch_size": 1}, model={"name": "mst-deeplabv3plus", "options": {}}
    )
    with pytest.raises(TrainingError, match="more than one window; set data.batch_size to 2"):
        train(recipe, tmp_path / "run")


def test_waiting_is_logged_as_a_share(small_run, tmp_path, monkeypatch):
    whole = WindowDataset.__getitem__
    monkeypatch.setattr(
        WindowDataset, "__getitem__", lambda self, n: (time.sleep(0.2), whole(self, n))[1]
    )
    recipe = changed(
        small_run, data={"batch_size": 1}, optimiser={"accumulate": 2},
        trainer={"steps": 20, "validate_every": 20},
    )  # fmt: skip
    monkeypatch.setattr(callbacks, "EVERY", 10)
    train(recipe, tmp_path / "run")
    shares = points(read_log(tmp_path / "run"), "data_wait")
    assert [step for step, _ in shares] == [10, 20]
    assert all(0.3 < share < 1 for _, share in shares)


@pytest.mark.parametrize(
    ("steps", "logged"), [(1, [1]), (2, [1, 2]), (7, [1, 3, 4, 6, 7]), (9, [1, 3, 4, 6, 8, 9])]
)
def test_the_first_the_last_and_validated_steps_are_logged_too(
    small_run, tmp_path, monkeypatch, steps, logged
):
    monkeypatch.setattr(callbacks, "EVERY", 3)
    out = tmp_path / "run"
    trainer = {"steps": steps, "validate_every": 4}
    train(changed(small_run, trainer=trainer, optimiser={"accumulate": 2}), out)
    assert [step for step, _ in points(read_log(out), "train_loss")] == logged
    assert [step for step, _ in points(read_log(out), "data_wait")] == logged[1:]


def test_the_logged_loss_is_the_mean_of_all_batches_since(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks, "EVERY", 3)
    losses = []
    whole = SegmentationTask.training_step

    def listen(task, batch, index):
        losses.append(whole(task, batch, index))
        return losses[-1]

    monkeypatch.setattr(SegmentationTask, "training_step", listen)
    recipe = changed(
        small_run, trainer={"steps": 7, "validate_every": 4}, optimiser={"accumulate": 2}
    )
    train(recipe, tmp_path / "run")
    values = [loss.item() for loss in losses]
    assert len(values) == 14
    logged = points(read_log(tmp_path / "run"), "train_loss")
    for before, (step, mean) in zip([0, 1, 3, 4, 6], logged, strict=True):
        assert mean == pytest.approx(np.mean(values[2 * before : 2 * step]), rel=1e-5)


def test_the_mean_weight_of_npaloss_is_logged_with_the_loss(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks, "EVERY", 3)
    labels, whole = [], SegmentationTask.training_step

    def listen(task, batch, index):
        labels.append(batch["label"].long())
        return whole(task, batch, index)

    monkeypatch.setattr(SegmentationTask, "training_step", listen)
    loss = {"name": "npa", "options": {"search_region": 3}}
    recipe = changed(small_run, loss=loss, optimiser={"accumulate": 2})
    train(recipe, tmp_path / "run")
    logged = points(read_log(tmp_path / "run"), "npa_weight")
    assert [step for step, _ in logged] == [1, 2, 3, 4, 6]
    assert len({weight for _, weight in logged}) > 1
    for step, weight in logged:
        last = labels[2 * step - 1]
        weights = NPALoss(search_region=3).weights(last)
        assert weight == pytest.approx(weights[last != 255].mean().item())


# ---------------------------------------------------------------- the command, in its own process


@pytest.fixture
def command(small_run, tmp_path):
    """A function that starts ``rsseg train`` on a longer run of the recipe."""
    small_run["trainer"] |= {"steps": 40, "validate_every": 10, "ema": 0.9}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(small_run), encoding="utf-8")

    def start(out, *more, launcher=(), **options):
        line = [*launcher, str(COMMAND), "train", str(path), "--out", str(out), *more]
        environment = {k: v for k, v in os.environ.items() if k != "PL_GLOBAL_SEED"}
        environment["OMP_NUM_THREADS"] = "1"
        return subprocess.Popen(
            line, stdout=-1, stderr=-1, text=True, start_new_session=True, env=environment,
            **options,
        )  # fmt: skip

    return start


def finish(process, timeout=180):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def wait_for(process, file, seconds=60):
    end = time.monotonic() + seconds
    while not file.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def slay(process):
    """End the command and all that it started, as a power cut would."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stderr.close()


@pytest.mark.slow
def test_a_command_killed_at_any_moment_ends_as_if_unbroken(command, tmp_path):
    whole = command(tmp_path / "whole", "--set", "data.workers=1")
    assert finish(whole)[0] == 0
    out = tmp_path / "killed"
    process = command(out, "--set", "data.workers=1")
    wait_for(process, out / "last.ckpt")
    time.sleep(random.uniform(0, 2))
    slay(process)
    before = torch.load(out / "last.ckpt", weights_only=True)["global_step"]
    assert before in (10, 20, 30, 40)
    code, text, errors = finish(command(out, "--resume", "--set", "data.workers=0"))
    assert (code, errors) == (0, "")
    assert "mIoU" in text
    assert same(out / "best.safetensors", tmp_path / "whole" / "best.safetensors")
    for key in ("train_loss", "val_miou"):
        assert points(read_log(out), key) == points(read_log(tmp_path / "whole"), key)
    assert not list(out.glob(".*"))


@pytest.mark.slow
def test_a_command_killed_while_it_writes_a_checkpoint_goes_on_from_the_one_before(
    command, tmp_path, monkeypatch
):
    """The fourth write is torn: nothing of it is at its place."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal\n"
        "calls, real = [], os.fsync\n"
        "def tear(descriptor):\n"
        "    calls.append(descriptor)\n"
        "    if len(calls) == 4:\n"
        "        os.ftruncate(descriptor, 1000)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(descriptor)\n"
        "os.fsync = tear\n"
    )
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        assert finish(command(out))[0] == -signal.SIGKILL
    written = torch.load(out / "last.ckpt", weights_only=True)["global_step"]
    assert written in (10, 20)  # the first validation writes the best and the last one
    assert [path.stat().st_size for path in out.glob(".*")] == [1000]
    code, _, errors = finish(command(out, "--resume"))
    assert (code, errors) == (0, "")
    steps = [step for step, _ in points(read_log(out), "val_miou")]
    assert steps == [10, 20, 30, 40]
    assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] == 40
    assert not list(out.glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_in_one_line(command, tmp_path, number):
    out = tmp_path / "run"
    process = command(out, "--set", "trainer.steps=100000")
    wait_for(process, out / "last.ckpt")
    process.send_signal(number)
    code, text, errors = finish(process)
    assert (code, text) == (1, "")
    assert errors == "Error: the run was interrupted; go on with --resume\n"
    assert torch.load(out / "last.ckpt", weights_only=True)["global_step"] >= 10


@pytest.mark.slow
def test_a_full_disk_is_one_line(command, tmp_path):
    """Files may not grow beyond 64 kB, which a checkpoint is larger than."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))

    out = tmp_path / "run"
    code, text, errors = finish(command(out, preexec_fn=limit))
    assert (code, text) == (1, "")
    assert errors.count("\n") == 1
    assert "File too large" in errors
    assert "free some space and go on with --resume" in errors
    assert not list(out.glob("*.ckpt"))
    assert not list(out.glob(".*"))


# ------------------------------------------------------------------------ two processes of a run

LOCAL = [Path(sys.executable).with_name("torchrun"), "--standalone", "--nproc-per-node=2"]
TWO = ("--set", "trainer.devices=2", "--set", "trainer.steps=10", "--set", "data.batch_size=1")


def drawn(folder):
    """Numbers of the samples by process, from the files that the traced commands leave."""
    return {
        path.stem: [int(line) for line in path.read_text().split()]
        for path in sorted(folder.glob("rank_*.txt"))
    }


@pytest.fixture
def traced(tmp_path, monkeypatch):
    """A folder in which each process of a command writes the numbers of the samples it draws."""
    folder = tmp_path / "traces"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import atexit, os, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'rsseg.training.train':\n"
        "            sys.meta_path.remove(self)\n"
        "            from rsseg.loading import WindowDataset\n"
        "            get = WindowDataset.__getitem__\n"
        "            names = ('RANK', 'LOCAL_RANK', 'SLURM_PROCID')\n"
        "            rank = next((os.environ[n] for n in names if n in os.environ), '0')\n"
        "            file = os.path.join(os.path.dirname(__file__), f'rank_{rank}.txt')\n"
        "            def read(self, number):\n"
        "                if self.transform is not None:\n"
        "                    print(number, file=open(file, 'a'))\n"
        "                return get(self, number)\n"
        "            WindowDataset.__getitem__ = read\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [(), LOCAL], ids=["command", "torchrun"])
def test_two_processes_share_a_run(command, traced, tmp_path, launcher):
    out = tmp_path / "run"
    code, text, errors = finish(command(out, *TWO, launcher=launcher))
    assert code == 0, errors
    assert text.count("mIoU") == 1
    assert "Error" not in errors
    assert launcher or errors == ""
    shares = drawn(traced)
    assert shares == {"rank_0": list(range(0, 20, 2)), "rank_1": list(range(1, 20, 2))}
    assert [path.name for path in out.glob("*.safetensors")] == ["best.safetensors"]
    assert len(list(out.glob("events*"))) == 1
    # both processes count: the score logged is that of all scenes, as the first alone finds it
    best = torch.load(out / "best.ckpt", weights_only=True)["global_step"]
    logged = dict(points(read_log(out), "val_miou"))[best]
    assert logged == pytest.approx(read_bundle(out / "best.safetensors").scores["miou"], abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [(), LOCAL], ids=["command", "torchrun"])
def test_two_processes_train_several_seeds(command, tmp_path, launcher):
    """One after the other; the median is told once."""
    out = tmp_path / "run"
    seeds = ("--set", "trainer.seeds=[4, 2]", "--set", "schedule.warm_up=99")
    code, text, errors = finish(command(out, *TWO, *seeds, launcher=launcher))
    assert code == 0, errors
    assert errors.count("note: the learning rate is never reached") == 1
    assert text.count("mIoU") == 2, "one line, and the head of the table"
    assert "median" in text
    names = [f"seed_{seed}/best.safetensors" for seed in (2, 4)]
    assert sorted(str(path.relative_to(out)) for path in out.glob("*/*.safetensors")) == names
    one, two = (load_file(str(out / name)) for name in names)
    assert not all(torch.equal(one[key], two[key]) for key in one)
    assert json.loads((out / "seeds.json").read_text())["seeds"].keys() == {"4", "2"}


@pytest.mark.slow
def test_two_processes_of_slurm_share_a_run(command, traced, tmp_path, monkeypatch):
    """As srun starts them; the same line begins the run and, queued again, leaves it as it is."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in {
        "JOB_ID": 1, "JOB_NAME": "train", "NTASKS": 2, "NTASKS_PER_NODE": 2, "NNODES": 1,
        "NODEID": 0, "JOB_NODELIST": "localhost", "NODELIST": "localhost",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(port))
    out = tmp_path / "run"
    for shares in ({"rank_0": list(range(0, 20, 2)), "rank_1": list(range(1, 20, 2))}, {}):
        started = []
        for number in "01":
            monkeypatch.setenv("SLURM_PROCID", number)
            monkeypatch.setenv("SLURM_LOCALID", number)
            started.append(command(out, *TWO, "--resume"))
        (code, text, errors), (other, silent, complaint) = [finish(each) for each in started]
        assert (code, other) == (0, 0), errors + complaint
        assert text.count("mIoU") == 1
        assert silent == ""
        assert drawn(traced) == shares
        for trace in traced.glob("rank_*"):
            trace.unlink()


@pytest.mark.slow
def test_two_processes_go_on(command, traced, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "run"
    more = (*TWO, "--set", "trainer.validate_every=4")
    assert finish(command(whole, *more))[0] == 0
    for trace in traced.glob("rank_*"):
        trace.unlink()
    process = command(out, *more)
    wait_for(process, out / "last.ckpt")
    slay(process)
    done = torch.load(out / "last.ckpt", weights_only=True)["global_step"]
    for trace in traced.glob("rank_*"):
        trace.unlink()
    code, _, errors = finish(command(out, "--resume", *more))
    assert (code, errors) == (0, "")
    shares = drawn(traced)
    if done < 10:
        assert shares["rank_1"] == list(range(2 * done + 1, 20, 2))
    assert same(out / "best.safetensors", whole / "best.safetensors")


@pytest.mark.slow
def test_an_error_in_one_process_ends_both(command, tmp_path):
    out = tmp_path / "run"
    process = command(out, *TWO, "--set", "optimiser.rate=1e30")
    code, text, errors = finish(process)
    assert code == 1
    assert text == ""
    assert "the loss is" in errors
    assert "Traceback" not in errors
    assert errors.count("\n") <= 2
