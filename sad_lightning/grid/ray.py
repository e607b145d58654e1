"""Jobs on a Ray cluster, one machine or many; the folder of the results is one that all of them see."""

from pathlib import Path
from typing import Any

from sad_lightning.checks import at_least_zero, whole_number
from sad_lightning.errors import InputError
from sad_lightning.grid.local import Death, Work
from sad_lightning.grid.plan import Job
from sad_lightning.grid.store import Outcome


class Ray:
    """Runs jobs on a Ray cluster.

    Args:
        address: of the cluster; ``auto`` for the one that runs, null to start one on this machine.
        cpus: of a job.
        gpus: of a job, a share where several fit on one.

    Raises:
        InputError: Ray is not installed, or a setting is out of range.
    """

    def __init__(self, address: str | None, cpus: int, gpus: float) -> None:
        self.address, self.cpus = address, whole_number("hydra.launcher.backend.cpus", cpus)
        self.gpus = at_least_zero("hydra.launcher.backend.gpus", gpus)
        try:
            import ray
        except ImportError as error:
            raise InputError("hydra/launcher=ray: needs Ray; pip install 'sad_lightning[ray]'") from error
        self.ray: Any = ray

    def start(self, work: Work, *, accelerator: str, logs: Path) -> None:
        """Join the cluster.

        Raises:
            InputError: there is none at the address, or it has not what a job needs.
        """
        try:
            if not self.ray.is_initialized():
                self.ray.init(address=self.address, include_dashboard=False, log_to_driver=False, logging_level="error")
        except (ConnectionError, ValueError) as error:
            raise InputError(
                f"hydra.launcher.backend.address={self.address}: no Ray cluster answers there ({_one_line(error)}); "
                f"`ray start --head` begins one"
            ) from error
        there = self.ray.cluster_resources()
        self.on_cpu = self.gpus == 0
        slots = there.get("CPU", 0) // self.cpus
        self.slots = int(slots if self.on_cpu else min(slots, there.get("GPU", 0) // self.gpus))
        if self.slots < 1:
            raise InputError(
                f"hydra.launcher.backend: a job asks for {self.cpus} CPUs and {self.gpus:g} GPUs, the cluster has "
                f"{there.get('CPU', 0):g} and {there.get('GPU', 0):g}; ask for less"
            )
        remote = self.ray.remote(_work)
        self.function = remote.options(
            num_cpus=self.cpus, num_gpus=self.gpus, max_retries=0
        )  # Ray gives a job as many threads as CPUs
        self.work, self.running = work, dict[Any, Job]()

    def submit(self, job: Job) -> None:
        """Hand a job to the cluster."""
        self.running[self.function.remote(self.work, job)] = job

    def next(self) -> tuple[Job, list[Outcome] | Death]:
        """Wait for a job to end."""
        (ended, *_), _ = self.ray.wait(list(self.running), num_returns=1)
        job = self.running.pop(ended)
        try:
            return job, self.ray.get(ended)
        except self.ray.exceptions.RayError as error:
            return job, Death(f"Ray lost the job ({_one_line(error)})")

    def close(self) -> None:
        """End what still runs, and leave the cluster."""
        for reference in getattr(self, "running", {}):
            self.ray.cancel(reference, force=True)
        self.ray.shutdown()


def _work(work: Work, job: Job) -> list[Outcome]:
    return work(job)


def _one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
