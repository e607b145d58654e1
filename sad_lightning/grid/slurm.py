"""Jobs on a Slurm cluster, through submitit. All its machines must see the folder of the results."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sad_lightning.checks import positive, whole_number
from sad_lightning.errors import InputError, error_words, extra, first_line
from sad_lightning.grid.dispatch import Work, WorkerDeath
from sad_lightning.grid.plan import Job
from sad_lightning.grid.store import Outcome


class Slurm:
    """Runs jobs through submitit.

    Args:
        cluster: ``slurm``, or ``local`` for processes of this machine.
        slots: how many jobs are in Slurm's queue at a time.
        parameters: of submitit: ``timeout_min``, ``cpus_per_task``, ``gpus_per_node``, ``slurm_partition``, ...
        seconds: how often the jobs are polled.

    Raises:
        InputError: submitit is not installed, or a setting is out of range.
    """

    def __init__(self, cluster: str, slots: int, parameters: Mapping[str, Any], seconds: float) -> None:
        self.slots = whole_number("hydra.launcher.backend.slots", slots)
        self.seconds = positive("hydra.launcher.backend.seconds", seconds)
        self.cluster, self.parameters = cluster, dict(parameters)
        self.on_cpu = not self.parameters.get("gpus_per_node")
        with extra("slurm", "hydra/launcher=slurm"):
            import submitit
        self.submitit: Any = submitit

    def start(self, work: Work, *, accelerator: str, logs: Path) -> None:
        """Get ready to submit jobs.

        Raises:
            InputError: this machine belongs to no such cluster, or submitit refuses the parameters.
        """
        logs.mkdir(parents=True, exist_ok=True)
        try:
            self.executor = self.submitit.AutoExecutor(folder=str(logs / "slurm"), cluster=self.cluster)
            self.executor.update_parameters(name="sad_lightning", **self.parameters)
        except (RuntimeError, ValueError, TypeError, AssertionError, NameError) as error:
            reason = error_words(error)
            raise InputError(
                f"hydra.launcher.backend: submitit refuses cluster={self.cluster} with its parameters ({reason}); "
                f"change them with hydra.launcher.backend.KEY=VALUE"
            ) from error
        self.work, self.waiting, self.running = work, list[Job](), dict[Any, Job]()

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self.waiting.append(job)
        self._fill()

    def next(self) -> tuple[Job, list[Outcome] | WorkerDeath]:
        """Wait until a job ends."""
        while True:
            for submitted in list(self.running):
                if submitted.done():
                    job = self.running.pop(submitted)
                    self._fill()
                    return job, self._outcomes(submitted)
            time.sleep(self.seconds)

    def close(self) -> None:
        """Cancel the jobs that still run."""
        for submitted in getattr(self, "running", {}):
            submitted.cancel(check=False)

    def _fill(self) -> None:
        while self.waiting and len(self.running) < self.slots:
            job = self.waiting.pop(0)
            self.running[self.executor.submit(self.work, job)] = job

    def _outcomes(self, submitted: Any) -> list[Outcome] | WorkerDeath:
        try:
            outcomes: list[Outcome] = submitted.result()
        except self.submitit.core.utils.UncompletedJobError as error:  # a job that failed is one, too
            return WorkerDeath(f"Slurm job {submitted.job_id} ended without an outcome ({first_line(error)})")
        return outcomes
