"""Hydra's own frame around each cell of a grid, where settings of ``hydra`` want something of every job."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import JobRuntime, env_override, run_job, setup_globals
from hydra.experimental.callback import Callback
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, read_write

from sad_lightning.config.mistakes import one_line
from sad_lightning.errors import InputError, error_words
from sad_lightning.grid.compose import Sweep
from sad_lightning.grid.dispatch import Work
from sad_lightning.grid.plan import Job, PlannedCell
from sad_lightning.grid.store import Outcome


def settings_of_jobs(master: DictConfig, callbacks: Sequence[Any]) -> list[str]:
    """The settings of ``hydra`` that want something of every job, by name; where there are none, a job is a pack.

    Of Hydra's callbacks only those that see jobs count.
    """
    hydra = master.hydra
    see_jobs = any(
        getattr(type(each), name, None) not in (None, getattr(Callback, name))
        for each in callbacks
        for name in ("on_job_start", "on_job_end")
    )
    wanted = {
        "hydra.callbacks": see_jobs,
        "hydra.job.env_set": OmegaConf.select(master, "hydra.job.env_set"),
        "hydra.job.chdir": hydra.job.chdir,
        "hydra.output_subdir": hydra.output_subdir,
    }
    return [name for name, value in wanted.items() if value]


def settings_of_cells(sweep: Sweep, cells: Sequence[PlannedCell]) -> dict[str, DictConfig]:
    """The settings of each cell with their ``hydra`` node, by key."""
    composed = {}
    for cell in cells:
        cfg = copy.deepcopy(sweep.compose(cell.overrides))
        with read_write(cfg.hydra):  # the folder is planned, and workers compose none
            cfg.hydra.sweep.dir, cfg.hydra.sweep.subdir = str(Path(cell.folder).parent), Path(cell.folder).name
        composed[cell.key] = cfg
    return composed


@dataclass(frozen=True)
class HydraJob:
    """Runs a job as Hydra's own launcher does: with its callbacks, in its folder, under its environment."""

    work: Work
    callbacks: Any
    settings: Mapping[str, DictConfig]

    def __call__(self, job: Job) -> list[Outcome]:
        """Run the job, each cell of it by itself, and return how they ended."""
        hydra = self.settings[job.cells[0].key].hydra
        setup_globals()
        JobRuntime.instance().set("name", hydra.job.name)
        if job.pretrains:
            with env_override(hydra.job.env_set):
                return self.work(job)
        return [self._outcome(job, cell) for cell in job.cells]

    def _outcome(self, job: Job, cell: PlannedCell) -> Outcome:
        outcomes: list[Outcome] = []

        def task(_: DictConfig) -> float | None:
            outcomes.extend(self.work(job._replace(cells=(cell,), stack=False)))
            if outcomes[0].status == "failed":
                raise InputError(outcomes[0].line)  # which callbacks see
            return outcomes[0].auroc

        try:
            run_job(
                task_function=task,
                config=self.settings[cell.key],
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
                hydra_context=HydraContext(None, self.callbacks),  # type: ignore[arg-type]  # which loads nothing
            )
        except Exception as error:  # the frame's own, such as a folder that can not be made
            return Outcome(cell.key, "failed", line=one_line(error) or error_words(error))
        return outcomes[0]
