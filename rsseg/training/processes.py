"""The processes of a run: which one this is, and who started them."""

from __future__ import annotations

import os

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.utilities.rank_zero import rank_zero_only

from rsseg.errors import OptionError


def rank() -> int:
    """Index of this process among those of the run; 0 where there is but one.

    Lightning takes it from the environment when it is imported (``RANK``, ``LOCAL_RANK``,
    ``SLURM_PROCID``), and anew when it makes a trainer.
    """
    return int(getattr(rank_zero_only, "rank", 0) or 0)


def started_outside() -> bool:
    """Whether torchrun or SLURM starts the processes, and not the first one the others."""
    return _launched() is not None


def require_launcher(devices: int) -> None:
    """Check that it is known who starts the processes of several trainings in a row.

    Raises:
        OptionError: If they were started by something else than torchrun, SLURM or this command.
    """
    if devices > 1 and rank() == 0 and "LOCAL_RANK" in os.environ and not started_outside():
        raise OptionError(
            "several seeds need processes that torchrun, SLURM or the command itself starts",
            remedy="unset LOCAL_RANK, or train one seed at a time by --set 'trainer.seeds=[0]'",
        )


def machines(devices: int) -> int:
    """Machines that a run of so many processes is spread over.

    Raises:
        OptionError: If torchrun or SLURM started another number of processes.
    """
    launched = _launched()
    if launched is None:
        return 1
    launcher, processes, nodes = launched
    if processes != devices:
        raise OptionError(
            f"{launcher} started {processes} process{'es' if processes > 1 else ''}",
            expected=f"{devices}, as trainer.devices says",
            remedy=f"--set trainer.devices={processes}, or start as many processes"
            + (", by srun --ntasks-per-node" if launcher == "SLURM" else ""),
        )
    return nodes


def environments() -> list[SLURMEnvironment]:
    """What Lightning is to know of who started the processes.

    Under SLURM it would write checkpoints of its own on a signal, put the job back in the queue and
    begin there from them without a word, at windows that ours does not.
    """
    launched = _launched()
    slurm = launched is not None and launched[0] == "SLURM"
    return [SLURMEnvironment(auto_requeue=False)] if slurm else []


def _launched() -> tuple[str, int, int] | None:
    """Who started how many processes on how many machines; None if we are to start them."""
    environment = os.environ
    if "TORCHELASTIC_RUN_ID" in environment:
        processes = int(environment["WORLD_SIZE"])
        return "torchrun", processes, processes // int(environment["LOCAL_WORLD_SIZE"])
    # as Lightning tells jobs from shells inside of SLURM
    shell = environment.get("SLURM_JOB_NAME") in ("bash", "interactive")
    if "SLURM_NTASKS" in environment and not shell:
        return "SLURM", int(environment["SLURM_NTASKS"]), int(environment.get("SLURM_NNODES", 1))
    return None
