"""One job of a grid, from its planned cells to their files. Torch is imported when the first job starts."""

import gc
import traceback
from pathlib import Path

from sad_lightning.config.mistakes import is_not_defined, one_line
from sad_lightning.grid.plan import Job
from sad_lightning.grid.store import Outcome


def work(job: Job) -> list[Outcome]:
    """Run the job and return how each of its cells ended; of pretrainings, only the failures."""
    if not gc.get_freeze_count():
        gc.freeze()  # what imports left is never garbage
    try:
        return _outcomes(job)
    finally:
        gc.collect()  # a Trainer and its module refer to each other, and a worker runs many


def _outcomes(job: Job) -> list[Outcome]:
    from omegaconf import OmegaConf

    from sad_lightning.cell.run import pretrain_cells, run_cells
    from sad_lightning.cell.values import Cell

    cells = [
        Cell(OmegaConf.create(each.settings), Path(each.folder), each.data, each.method, each.experiment, sweep=True)
        for each in job.cells
    ]
    try:
        for cell in cells:
            cell.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return [_failure(planned.key, error) for planned in job.cells]
    if job.pretrains:
        errors = pretrain_cells(cells, stack=job.stack or None)
        keys = [planned.key for planned in job.cells]
        return [_failure(key, error) for key, error in zip(keys, errors, strict=True) if error is not None]
    return [
        _failure(planned.key, result)
        if isinstance(result, Exception)
        else Outcome(planned.key, "finished", result.metrics["auroc"])
        for planned, result in zip(job.cells, run_cells(cells, stack=job.stack or None), strict=True)
    ]


def _failure(key: str, error: Exception) -> Outcome:
    if is_not_defined(error):
        return Outcome(key, "not defined", line=str(error))
    line = one_line(error)
    trace = "" if line is not None else "".join(traceback.format_exception(error))
    return Outcome(key, "failed", line=line or f"{type(error).__name__}: {error}", trace=trace)
