"""Cells, top to bottom: settings in, results out. Several walk side by side and share what trains alike."""

from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import DictConfig

from sad_lightning.cell.walk import Task, Walk
from sad_lightning.data.arrays import Arrays
from sad_lightning.result import Result
from sad_lightning.training.cache import fit_cached
from sad_lightning.training.members import fit_members


def run(
    cfg: DictConfig,
    folder: Path,
    *,
    data_name: str,
    method_name: str,
    experiment: str | None = None,
    sweep: bool = False,
    arrays: Arrays | None = None,
) -> Result:
    """Train and score one cell, and write its result, scores and model into ``folder``.

    Args:
        cfg: its settings.
        folder: where its files go.
        data_name: the data set's choice on the command line.
        method_name: the method's choice.
        experiment: the experiment's choice, where there is one.
        sweep: whether it is one of a sweep.
        arrays: rows in memory, instead of those that ``cfg.data`` names.

    Raises:
        InputError: a setting or a file is wrong.
        NotDefinedError: the method needs known anomalies, and the cell has none.
    """
    (outcome,) = run_cells([Task(cfg, folder, data_name, method_name, experiment, sweep, arrays)])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def run_cells(tasks: Sequence[Task], *, stack: bool | None = None) -> list[Result | Exception]:
    """Train and score cells that differ in split and seed only; what stops one does not stop the others.

    Args:
        tasks: the cells.
        stack: whether what has equal shape trains as one population; None where that is faster.

    Returns:
        For each cell its result, or the exception that stopped it.
    """
    walks = begin(tasks, live=len(tasks) == 1)
    pretrain(walks, stack)
    each(walks, Walk.prepare)
    train(walks, stack)
    each(walks, Walk.score)
    each(walks, Walk.leave)
    return [walk.result if walk.error is None else walk.error for walk in walks]


def pretrain_cells(tasks: Sequence[Task], *, stack: bool | None = None) -> list[Exception | None]:
    """Leave in the cache what the cells start from.

    Returns:
        For each cell why its pretraining can not be used, or None; what is wrong with a cell alone is told by the cell.
    """
    walks = begin(tasks, live=False)  # the cells log what they start from
    began = [walk.error is None for walk in walks]
    pretrain(walks, stack)
    for state in (state for task in tasks for state in task.folder.glob("pretrain*.resume.ckpt")):
        state.unlink(missing_ok=True)  # another grid may share the cell
    return [walk.error if ok else None for walk, ok in zip(walks, began, strict=True)]


def begin(tasks: Sequence[Task], *, live: bool) -> list[Walk]:
    """The cells with their splits drawn and their models built."""
    first = Walk(tasks[0], live=live)
    walks = [first, *(Walk(task, live=False, like=first) for task in tasks[1:])]
    each(walks, Walk.begin)
    return walks


def pretrain(walks: Sequence[Walk], stack: bool | None) -> None:
    """Train what the methods start from, or read what equal trainings left."""

    def fit(going: Sequence[Walk]) -> None:
        first = going[0]
        fit_cached(
            [method for walk in going for method in walk.firsts],
            [rows for walk in going for rows in walk.first_data],
            [stage for walk in going for stage in walk.first_stages],
            first.pretrainer,
            settings={**first.settings["trainer"], "max_epochs": first.pretrain_epochs},
            processes=first.scoring.world_size,
            cache=Path(first.cfg.pretrain.cache),
            writes=first.scoring.is_global_zero,
            stack=stack,
        )

    together([walk for walk in walks if walk.firsts], fit)


def train(walks: Sequence[Walk], stack: bool | None) -> None:
    """Train the methods; cells that differ only in labels that a method does not look at are one training."""

    def fit(going: Sequence[Walk]) -> None:
        first = going[0]
        methods = [method for walk in going for method in walk.models]
        data = [rows for walk in going for rows in walk.data]
        stages = [stage for walk in going for stage in walk.stages]
        blind = -1 not in methods[0].rows and any(walk.split.counts["known_anomaly"] for walk in going)
        if blind and not first.cfg.overwrite and not first.chooser:
            fit_cached(
                methods, data, stages, first.trainer,
                settings=first.settings["trainer"], processes=first.scoring.world_size,
                cache=Path(first.cfg.pretrain.cache), writes=first.scoring.is_global_zero, stack=stack,
            )  # fmt: skip
        else:
            fit_members(methods, data, stages, first.trainer, stack=stack)

    together([walk for walk in walks if walk.stages], fit)


def each(walks: Sequence[Walk], step: Callable[[Walk], None]) -> None:
    """Take one step with every cell that is still going."""
    for walk in walks:
        if walk.error is None:
            try:
                step(walk)
            except Exception as error:
                walk.stop(error)


def together(walks: Sequence[Walk], step: Callable[[Sequence[Walk]], None]) -> None:
    """Take one step with all cells that are still going; what it fails of stops them all, a divergence the one."""
    going = [walk for walk in walks if walk.error is None]
    if not going:
        return
    try:
        step(going)
    except Exception as error:
        for walk in going:
            walk.stop(error)
    each(going, Walk.check)
