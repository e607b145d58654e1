"""Jobs on a Ray cluster. All its machines must see the folder of the results."""

from pathlib import Path
from typing import Any

from sad_lightning.checks import at_least_zero, whole_number
from sad_lightning.errors import InputError, extra, first_line
from sad_lightning.grid.dispatch import Work, WorkerDeath
from sad_lightning.grid.plan import Job
from sad_lightning.grid.store import Outcome


class Ray:
    """Runs jobs on a Ray cluster.

    Args:
        address: of the cluster; ``auto`` for one that is running, null to start one on this machine.
        cpus: number for each job.
        gpus: number for each job; a fraction where several jobs share one.

    Raises:
        InputError: Ray is not installed, or a setting is out of range.
    """

    def __init__(self, address: str | None, cpus: int, gpus: float) -> None:
        self.address, self.cpus = address, whole_number("hydra.launcher.backend.cpus", cpus)
        self.gpus = at_least_zero("hydra.launcher.backend.gpus", gpus)
        with extra("ray", "hydra/launcher=ray"):
            import ray
        self.ray: Any = ray

    def start(self, work: Work, *, accelerator: str, logs: Path) -> None:
        """Join the cluster.

        Raises:
            InputError: there is no cluster at the address, or it has less than one job needs.
        """
        try:
            if not self.ray.is_initialized():
                self.ray.init(address=self.address, include_dashboard=False, log_to_driver=False, logging_level="error")
        except Exception as error:  # a node that does not start in time is a plain one
            raise InputError(
                f"hydra.launcher.backend.address={self.address}: no Ray cluster answers there ({first_line(error)}); "
                f"`ray start --head` begins one"
            ) from error
        resources = self.ray.cluster_resources()
        self.on_cpu = self.gpus == 0
        slots = resources.get("CPU", 0) // self.cpus
        self.slots = int(slots if self.on_cpu else min(slots, resources.get("GPU", 0) // self.gpus))
        if self.slots < 1:
            raise InputError(
                f"hydra.launcher.backend: a job asks for {self.cpus} CPUs and {self.gpus:g} GPUs, the cluster has "
                f"{resources.get('CPU', 0):g} and {resources.get('GPU', 0):g}; ask for less"
            )
        remote = self.ray.remote(_work)
        self.function = remote.options(
            num_cpus=self.cpus, num_gpus=self.gpus, max_retries=0
        )  # Ray limits a job to as many threads as CPUs
        self.work, self.running = work, dict[Any, Job]()

    def submit(self, job: Job) -> None:
        """Queue a job on the cluster."""
        self.running[self.function.remote(self.work, job)] = job

    def next(self) -> tuple[Job, list[Outcome] | WorkerDeath]:
        """Wait until a job ends."""
        (ended, *_), _ = self.ray.wait(list(self.running), num_returns=1)
        job = self.running.pop(ended)
        try:
            return job, self.ray.get(ended)
        except self.ray.exceptions.RayError as error:
            return job, WorkerDeath(f"Ray lost the job ({first_line(error)})")

    def close(self) -> None:
        """Cancel the jobs that still run, and leave the cluster."""
        for reference in getattr(self, "running", {}):
            self.ray.cancel(reference, force=True)
        self.ray.shutdown()


def _work(work: Work, job: Job) -> list[Outcome]:
    return work(job)
