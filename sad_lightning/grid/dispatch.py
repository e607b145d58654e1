"""The loop that runs the jobs of a grid on a backend and records how every cell ended.

``local.py`` is the backend that runs jobs on this machine, ``ray.py`` and ``slurm.py`` those of clusters.
"""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn, Protocol

from tqdm import tqdm

from sad_lightning.grid.plan import Job, PlannedCell
from sad_lightning.grid.store import MeanAuroc, Outcome, count, write_outcome

Work = Callable[[Job], list[Outcome]]
"""Runs a job and returns how each of its cells ended."""


class WorkerDeath(NamedTuple):
    """What a backend returns for a job whose worker died, with the reason for a person."""

    reason: str


class Backend(Protocol):
    """Runs jobs, as many at a time as it has slots."""

    slots: int
    on_cpu: bool

    def start(self, work: Work, *, accelerator: str, logs: Path) -> None:
        """Get ready to run jobs, on the accelerator of the Trainer's setting; the logs are of the workers."""

    def submit(self, job: Job) -> None:
        """Queue a job."""

    def next(self) -> tuple[Job, list[Outcome] | WorkerDeath]:
        """Wait until a job ends."""

    def close(self) -> None:
        """Stop everything that still runs."""


def run_jobs(
    jobs: Sequence[Job], backend: Backend, *, retries: int, finished: Mapping[str, Outcome], total: int
) -> dict[str, Outcome]:
    """Run jobs in this order, each after those that it needs; returns the outcome of every other cell, by key.

    Of the ``total`` cells of the grid those in ``finished`` have an outcome already, which is not recorded again. A job
    whose worker died is tried again, so many times as ``retries`` says.
    """
    with tqdm(total=total, initial=len(finished), desc="cells", unit="cell", disable=None, file=sys.stderr) as bar:
        return _Dispatch(backend, retries, finished, bar).run(list(jobs))


class _Dispatch:
    """The state of that loop."""

    def __init__(self, backend: Backend, retries: int, finished: Mapping[str, Outcome], bar: "tqdm[NoReturn]") -> None:
        self.backend, self.retries, self.finished, self.bar = backend, retries, finished, bar
        self.outcomes: dict[str, Outcome] = {}
        self.mean = MeanAuroc()
        self.attempts = Counter[int]()
        self.failed_pretrainings: dict[str, str] = {}  # name of the pretraining -> why its cells can not start

    def run(self, waiting: list[Job]) -> dict[str, Outcome]:
        unfinished = {job.number for job in waiting}
        running = 0
        while waiting or running:
            ready = [job for job in waiting if unfinished.isdisjoint(job.needs)]
            waiting = [job for job in waiting if not unfinished.isdisjoint(job.needs)]
            for job in ready:
                startable = self.startable(job)
                if startable:
                    self.backend.submit(job._replace(cells=startable))
                    running += 1
                else:
                    unfinished.discard(job.number)
            if running:
                job, ending = self.backend.next()
                if isinstance(ending, WorkerDeath) and self.attempts[job.number] < self.retries:
                    self.retry(job, ending)
                    continue
                running -= 1
                unfinished.discard(job.number)
                self.end(job, ending)
        return self.outcomes

    def startable(self, job: Job) -> tuple[PlannedCell, ...]:
        """The cells of the job whose pretraining is there; the others are recorded as failed."""
        if job.pretrains:
            return job.cells
        stopped = [cell for cell in job.cells if cell.shares in self.failed_pretrainings]
        self.record(stopped, [_failure(cell, self.failed_pretrainings[cell.shares]) for cell in stopped])
        return tuple(cell for cell in job.cells if cell not in stopped)

    def retry(self, job: Job, death: WorkerDeath) -> None:
        self.attempts[job.number] += 1
        message = f"sad_lightning: {death.reason}; tried again: {count(len(job.cells), 'cell')}"
        self.bar.write(message, sys.stderr)
        self.backend.submit(job)

    def end(self, job: Job, ending: list[Outcome] | WorkerDeath) -> None:
        outcomes = [_failure(cell, ending.reason) for cell in job.cells] if isinstance(ending, WorkerDeath) else ending
        if job.pretrains:  # only failures are reported
            pretraining_of = {cell.key: cell.shares for cell in job.cells}
            for outcome in outcomes:
                self.failed_pretrainings[pretraining_of[outcome.key]] = f"its pretraining failed: {outcome.line}"
        else:
            self.record(job.cells, outcomes)

    def record(self, cells: Sequence[PlannedCell], outcomes: Sequence[Outcome]) -> None:
        for cell, outcome in zip(cells, outcomes, strict=True):
            if cell.key not in self.finished:  # a finished cell trains again in a pack that has unfinished ones
                self.outcomes[cell.key] = outcome
                self.mean.add(outcome)
                write_outcome(cell, outcome)
                self.bar.update()
        self.bar.set_postfix_str(str(self.mean))


def _failure(cell: PlannedCell, line: str) -> Outcome:
    return Outcome(cell.key, "failed", line=line)
