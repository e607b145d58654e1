"""How Hydra finds the grid. Every Hydra program of this environment imports this file: nothing heavy stands above."""

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class GridSweeper(BasicSweeper):
    """Hydra's own sweeper, without its trial composition of every cell: the launcher composes each, and faster."""

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Leave it to the launcher."""


class GridLauncher(Launcher):
    """Runs the cells of a sweep as a grid: planned, shared, packed, resumable.

    Args:
        backend: settings of what runs the jobs.
        retries: how often the cells of a worker that died are tried again.
    """

    def __init__(self, backend: Any, retries: int) -> None:
        super().__init__()
        self.backend, self.retries = backend, retries

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra."""
        self.context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run every cell that has no result yet."""
        from sad_lightning.grid.launcher import launch
        from sad_lightning.grid.worker import work

        return launch(
            self.context,
            self.config,
            job_overrides,
            self.backend,
            work,
            retries=self.retries,
            first=initial_job_idx,
        )
