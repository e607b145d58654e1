"""Runs cells from settings to results. Several cells are run together, and share what they can train as one."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from lightning import Trainer

from sad_lightning.cell.prepare import prepare_cell
from sad_lightning.cell.record import record_cell
from sad_lightning.cell.values import Cell, PreparedCell, add_seconds, timed
from sad_lightning.checks import path_of
from sad_lightning.errors import InputError
from sad_lightning.result import Result, forget_checkpoints
from sad_lightning.training.members import MakeTrainer, fit_cached, fit_members
from sad_lightning.training.trainer import Training

Before = TypeVar("Before")
After = TypeVar("After")


def run_cell(cell: Cell) -> Result:
    """Train and score one cell, and write its result, scores and model into its folder.

    Raises:
        InputError: a setting or a file is wrong.
        NotDefinedError: the method needs known anomalies, and the cell has none.
    """
    (outcome,) = run_cells([cell])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning logs nothing below a warning in the block; afterwards whatever the caller has set."""
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


@_quiet()
def run_cells(cells: Sequence[Cell], *, stack: bool | None = None) -> list[Result | Exception]:
    """Train and score cells that differ only in split and seed; if one fails, the others go on.

    For ``stack`` see ``fit_members``. Returns for each cell its result, or the exception that stopped it.
    """
    prepared = prepare_all(cells, live=len(cells) == 1)
    try:
        left = together(partial(pretrain, stack=stack), prepared)
        left = attempt(start, left)
        left = together(partial(train, stack=stack), left)
        return attempt(score, left)
    finally:
        for cell in prepared:
            if isinstance(cell, PreparedCell):
                cell.log.finish(failed=True)  # no effect on those that were recorded


@_quiet()
def pretrain_cells(cells: Sequence[Cell], *, stack: bool | None = None) -> list[Exception | None]:
    """Pretrain what the cells start from, and write it to the cache.

    Returns:
        For each cell why its pretraining can not be used, or None; any other error comes again when the cell is run.
    """
    prepared = prepare_all(cells, live=False)  # the pretraining is logged when the cells are run
    left = together(partial(pretrain, stack=stack), prepared)
    for cell in cells:
        forget_checkpoints(cell.folder, "pretrain")
    return [
        after if isinstance(before, PreparedCell) and isinstance(after, Exception) else None
        for before, after in zip(prepared, left, strict=True)
    ]


def prepare_all(cells: Sequence[Cell], *, live: bool) -> list[PreparedCell | Exception]:
    """Prepare all cells, or keep the exceptions; they share one Trainer to score with."""
    prepared: list[PreparedCell | Exception] = []
    score_trainer: Trainer | None = None
    for cell in cells:
        try:
            one = prepare_cell(cell, live=live, score_trainer=score_trainer)
        except Exception as error:
            prepared.append(error)
        else:
            prepared.append(one)
            score_trainer = one.score_trainer
    return prepared


def pretrain(cells: Sequence[PreparedCell], stack: bool | None) -> None:
    """Train what the learners start from, or read it from the cache."""
    for group in by_voice(cells):
        first = group[0]
        settings = {**first.settings["trainer"], "max_epochs": first.pretrain_epochs}
        trainings = [training for cell in group for training in cell.pretraining]
        _fit_cached(first, trainings, first.make_pretrainer, settings, stack)


def start(cell: PreparedCell) -> PreparedCell:
    """Let the learner load its pretrained weights, and learn what it needs before training (a center)."""
    with timed("train") as seconds:
        cell.learner.start(cell.pretraining, cell.score_trainer.strategy.root_device)
    return replace(cell, seconds=add_seconds(cell.seconds, seconds))


def train(cells: Sequence[PreparedCell], stack: bool | None) -> None:
    """Train the learners; cells that differ only in labels that the method does not use share one training."""
    for group in by_voice(cells):
        first = group[0]
        trainings = [training for cell in group for training in cell.learner.trainings]
        drops_labels = -1 not in first.learner.trains_on and any(cell.split.counts["known_anomaly"] for cell in group)
        # only then are cells with other known anomalies one training; all others differ, and need no cache
        if drops_labels and not first.cfg.overwrite and not first.learner.callbacks:
            _fit_cached(first, trainings, first.make_trainer, first.settings["trainer"], stack)
        else:
            fit_members(trainings, first.make_trainer, stack=stack)


def _fit_cached(
    first: PreparedCell,
    trainings: Sequence[Training],
    make_trainer: MakeTrainer,
    settings: Mapping[str, Any],
    stack: bool | None,
) -> None:
    """Train what the cache has not, of cells that differ in split and seed from the first."""
    cache = path_of("pretrain.cache", first.cfg.pretrain.cache)
    fit_cached(
        trainings, make_trainer, settings=settings, processes=first.score_trainer.world_size,
        cache=cache, writes=first.score_trainer.is_global_zero, stack=stack,
    )  # fmt: skip
    first.score_trainer.strategy.barrier()  # what one process writes here, all of them read from now on


def by_voice(cells: Sequence[PreparedCell]) -> list[list[PreparedCell]]:
    """All cells in one list; for mixtures one list for each voice. The cells of a list differ in split and seed."""
    groups: dict[str, list[PreparedCell]] = {}
    for cell in cells:
        for one in cell.voices_or_self:
            groups.setdefault(one.cell.method, []).append(one)
    return list(groups.values())


def score(cell: PreparedCell) -> Result:
    """Score the test rows and the rows that set the threshold, and write what the cell leaves."""
    return record_cell(cell, cell.learner.score(cell))


def attempt(step: Callable[[Before], After], values: Sequence[Before | Exception]) -> list[After | Exception]:
    """Call a step with each value that is not an exception; an exception that it raises takes its place."""
    outcomes: list[After | Exception] = []
    for value in values:
        if isinstance(value, Exception):
            outcomes.append(value)
            continue
        try:
            outcomes.append(step(value))
        except Exception as error:
            outcomes.append(error)
    return outcomes


def together(
    step: Callable[[Sequence[PreparedCell]], None], values: Sequence[PreparedCell | Exception]
) -> list[PreparedCell | Exception]:
    """Call a step once with all cells that have not failed.

    If it raises, all of them have failed; if it does not, those whose training diverged have.
    """
    cells = [value for value in values if isinstance(value, PreparedCell)]
    if not cells:
        return list(values)
    try:
        step(cells)
    except Exception as error:
        return [value if isinstance(value, Exception) else error for value in values]
    return attempt(check_converged, values)


def check_converged(cell: PreparedCell) -> PreparedCell:
    """The cell, if none of its trainings diverged."""
    for stage in cell.stages:
        if stage.error is not None:
            raise InputError(stage.error)
    return cell
