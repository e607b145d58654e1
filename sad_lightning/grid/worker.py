"""What a worker of a grid does: one job, from frozen settings to files. Torch is imported when the first job starts."""

import traceback
from pathlib import Path

from sad_lightning.config.mistakes import is_not_defined, one_line
from sad_lightning.grid.plan import Job
from sad_lightning.grid.store import Outcome


def work(job: Job) -> list[Outcome]:
    """Do the job, and say how each of its cells ended; a pretraining that worked has nothing to say."""
    from omegaconf import OmegaConf

    from sad_lightning.cell.run import pretrain_cells, run_cells
    from sad_lightning.cell.values import Cell

    cells = [
        Cell(OmegaConf.create(cell.settings), Path(cell.folder), cell.data, cell.method, cell.experiment, sweep=True)
        for cell in job.cells
    ]
    for one in cells:
        one.folder.mkdir(parents=True, exist_ok=True)
    if job.pretrains:
        errors = pretrain_cells(cells, stack=job.stack or None)
        return [_failed(cell.key, error) for cell, error in zip(job.cells, errors, strict=True) if error is not None]
    return [
        _failed(cell.key, ended)
        if isinstance(ended, Exception)
        else Outcome(cell.key, "finished", ended.metrics["auroc"])
        for cell, ended in zip(job.cells, run_cells(cells, stack=job.stack or None), strict=True)
    ]


def _failed(key: str, error: Exception) -> Outcome:
    if is_not_defined(error):
        return Outcome(key, "not defined", line=str(error))
    line = one_line(error)
    trace = "" if line is not None else "".join(traceback.format_exception(error))
    return Outcome(key, "failed", line=line or f"{type(error).__name__}: {error}", trace=trace)
