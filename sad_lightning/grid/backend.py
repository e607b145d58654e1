"""What runs the jobs of a grid; ``local.py`` does on this machine, ``ray.py`` and ``slurm.py`` on clusters."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from sad_lightning.grid.plan import Job
from sad_lightning.grid.store import Outcome

Work = Callable[[Job], list[Outcome]]
"""Runs a job and returns how each of its cells ended."""


class WorkerDeath(NamedTuple):
    """What a backend returns for a job whose worker died.

    Attributes:
        reason: why it died, for a person.
    """

    reason: str


class Backend(Protocol):
    """Runs jobs, several at a time.

    Attributes:
        slots: how many jobs run at a time.
        on_cpu: whether they train on a CPU.
    """

    slots: int
    on_cpu: bool

    def start(self, work: Work, *, accelerator: str, logs: Path) -> None:
        """Get ready to run jobs.

        Args:
            work: the function that runs one job.
            accelerator: the Trainer's setting: ``auto``, ``cpu``, ``gpu``, ...
            logs: the folder for the output of the workers.
        """

    def submit(self, job: Job) -> None:
        """Queue a job."""

    def next(self) -> tuple[Job, list[Outcome] | WorkerDeath]:
        """Wait until a job ends."""

    def close(self) -> None:
        """Stop everything that still runs."""
