"""A cell, top to bottom: settings in, a result out. Several are run side by side, and share what trains alike."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from lightning import Trainer

from sad_lightning.cell.prepare import prepare
from sad_lightning.cell.record import Scored, forget_checkpoints, record
from sad_lightning.cell.seconds import added, timed
from sad_lightning.cell.values import Cell, Prepared
from sad_lightning.errors import InputError
from sad_lightning.result import Result
from sad_lightning.training.cache import fit_cached
from sad_lightning.training.members import fit_members

Before = TypeVar("Before")
After = TypeVar("After")


def run(cell: Cell) -> Result:
    """Train and score one cell, and write its result, scores and model into its folder.

    Raises:
        InputError: a setting or a file is wrong.
        NotDefinedError: the method needs known anomalies, and the cell has none.
    """
    (outcome,) = run_cells([cell])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def run_cells(cells: Sequence[Cell], *, stack: bool | None = None) -> list[Result | Exception]:
    """Train and score cells that differ in split and seed only; what stops one does not stop the others.

    Args:
        cells: what to run.
        stack: whether what has equal shape trains as one population; None where that is faster.

    Returns:
        For each cell its result, or the exception that stopped it.
    """
    prepared = prepare_all(cells, live=len(cells) == 1)
    try:
        pretrained = together(lambda going: pretrain(going, stack), prepared)
        started = attempt(start, pretrained)
        trained = together(lambda going: train(going, stack), started)
        scored = attempt(score, trained)
        return attempt(record, scored)
    finally:
        for cell in prepared:
            if isinstance(cell, Prepared):
                cell.log.finish(failed=True)  # one that was recorded has finished before


def pretrain_cells(cells: Sequence[Cell], *, stack: bool | None = None) -> list[Exception | None]:
    """Leave in the cache what the cells start from.

    Returns:
        For each cell why its pretraining can not be used, or None; what is wrong with the cell alone it says itself.
    """
    prepared = prepare_all(cells, live=False)  # the cells log what they start from
    pretrained = together(lambda going: pretrain(going, stack), prepared)
    for cell in cells:
        forget_checkpoints(cell.folder, "pretrain")
    return [
        after if isinstance(before, Prepared) and isinstance(after, Exception) else None
        for before, after in zip(prepared, pretrained, strict=True)
    ]


def prepare_all(cells: Sequence[Cell], *, live: bool) -> list[Prepared | Exception]:
    """The cells with their splits drawn and their models built; they score by one Trainer."""
    prepared: list[Prepared | Exception] = []
    scorer: Trainer | None = None
    for cell in cells:
        try:
            made = prepare(cell, live=live, scorer=scorer)
        except Exception as error:
            prepared.append(error)
        else:
            prepared.append(made)
            scorer = made.scorer
    return prepared


def pretrain(cells: Sequence[Prepared], stack: bool | None) -> None:
    """Train what the learners start from, or read what equal trainings left."""
    for alike in by_voice(cells):
        _pretrain(alike, stack)


def _pretrain(cells: Sequence[Prepared], stack: bool | None) -> None:
    first = cells[0]
    fit_cached(
        [training for cell in cells for training in cell.pretraining],
        first.pretrainer,
        settings={**first.settings["trainer"], "max_epochs": first.pretrain_epochs},
        processes=first.scorer.world_size,
        cache=Path(first.cfg.pretrain.cache),
        writes=first.scorer.is_global_zero,
        stack=stack,
    )


def start(cell: Prepared) -> Prepared:
    """Let the learner begin from what was pretrained."""
    with timed("train") as seconds:
        cell.learner.start(cell.pretraining, cell.scorer.strategy.root_device)
    return replace(cell, seconds=added(cell.seconds, seconds))


def train(cells: Sequence[Prepared], stack: bool | None) -> None:
    """Train the learners; cells that differ only in labels that a method does not look at are one training."""
    for alike in by_voice(cells):
        _train(alike, stack)


def _train(cells: Sequence[Prepared], stack: bool | None) -> None:
    first = cells[0]
    trainings = [training for cell in cells for training in cell.learner.trainings]
    blind = -1 not in first.learner.rows and any(cell.split.counts["known_anomaly"] for cell in cells)
    if blind and not first.cfg.overwrite and not first.learner.callbacks:
        fit_cached(
            trainings,
            first.trainer,
            settings=first.settings["trainer"],
            processes=first.scorer.world_size,
            cache=Path(first.cfg.pretrain.cache),
            writes=first.scorer.is_global_zero,
            stack=stack,
        )
    else:
        fit_members(trainings, first.trainer, stack=stack)


def by_voice(cells: Sequence[Prepared]) -> list[list[Prepared]]:
    """The cells, or of mixtures one voice of all cells after the other: each list differs in split and seed only."""
    groups: dict[str, list[Prepared]] = {}
    for cell in cells:
        for one in cell.alone:
            groups.setdefault(one.cell.method, []).append(one)
    return list(groups.values())


def score(cell: Prepared) -> Scored:
    """Score the test rows and those that set the threshold."""
    return Scored(cell, cell.learner.score(cell))


def attempt(step: Callable[[Before], After], values: Sequence[Before | Exception]) -> list[After | Exception]:
    """Take a step with every value that is none of an exception; what stops one does not stop the others."""
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
    step: Callable[[Sequence[Prepared]], None], values: Sequence[Prepared | Exception]
) -> list[Prepared | Exception]:
    """Take one step with all cells that are still going; what it fails of stops them all, a divergence the one."""
    going = [value for value in values if isinstance(value, Prepared)]
    if not going:
        return list(values)
    try:
        step(going)
    except Exception as error:
        return [value if isinstance(value, Exception) else error for value in values]
    return attempt(converged, values)


def converged(cell: Prepared) -> Prepared:
    """The cell, if its trainings can be used.

    Raises:
        InputError: one diverged.
    """
    for stage in cell.stages:
        if stage.error is not None:
            raise InputError(stage.error)
    return cell
