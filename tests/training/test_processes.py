import subprocess
import sys

import pytest

from rsseg.errors import OptionError
from rsseg.training.processes import machines, rank

VARIABLES = (
    "TORCHELASTIC_RUN_ID", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "SLURM_NTASKS", "SLURM_NNODES",
    "SLURM_JOB_NAME",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_a_process_of_its_own_is_the_first_of_one_machine():
    assert (rank(), machines(1), machines(4)) == (0, 1, 1)


@pytest.mark.parametrize("variable", ["RANK", "LOCAL_RANK", "SLURM_PROCID"])
def test_the_rank_is_known_before_there_is_a_trainer(variable):
    program = "from rsseg.training.processes import rank; print(rank())"
    child = subprocess.run(
        [sys.executable, "-c", program], env={variable: "3"}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert child.stdout == "3\n"


@pytest.mark.parametrize(
    ("environment", "devices", "expected"),
    [
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}, 8, 2),
        ({"SLURM_NTASKS": "6", "SLURM_NNODES": "3"}, 6, 3),
        ({"SLURM_NTASKS": "1"}, 1, 1),
        ({"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "bash"}, 4, 1),
    ],
)
def test_machines_are_those_of_the_launcher(monkeypatch, environment, devices, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert machines(devices) == expected


def test_another_number_of_processes_is_refused(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "1")
    reason = "SLURM started 1 process, expected 2, as trainer.devices says; --set trainer.devices=1"
    with pytest.raises(OptionError, match=reason):
        machines(2)
