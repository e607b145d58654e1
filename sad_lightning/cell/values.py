"""The values that the steps of a cell pass on: ``Cell``, then ``PreparedCell``, then ``Scores``; all are frozen."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from hydra.utils import instantiate
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from omegaconf import DictConfig

from sad_lightning.checks import whole_number
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.preprocess import Scaling
from sad_lightning.data.split import Split
from sad_lightning.model import Scorer
from sad_lightning.result import Coordinates
from sad_lightning.tracking.logger import CellLog
from sad_lightning.training.stage import Stage, Training
from sad_lightning.training.trainer import new_trainer


@dataclass(frozen=True)
class Cell:
    """A cell to run.

    Attributes:
        cfg: its settings.
        folder: of its files.
        data: the choice of ``data`` on the command line.
        method: the choice of ``method``.
        experiment: the choice of ``experiment``, if there is one.
        sweep: whether it is part of a sweep.
        arrays: rows in memory, instead of those of ``cfg.data``.
    """

    cfg: DictConfig
    folder: Path
    data: str
    method: str
    experiment: str | None = None
    sweep: bool = False
    arrays: Arrays | None = None


class Learner(Protocol):
    """What a cell trains: deep methods (``cell.deep``), a baseline (``cell.shallow``), a mixture (``cell.mixture``)."""

    @property
    def trainings(self) -> tuple[Training, ...]:
        """What trains under the Trainer."""

    @property
    def trains_on(self) -> frozenset[int]:
        """The values of ``semi`` whose rows train."""

    @property
    def callbacks(self) -> Sequence[Callback]:
        """Callbacks of its training; with any it is not trained with others as one."""

    @property
    def voices(self) -> "tuple[PreparedCell, ...]":
        """The voices of a mixture, each prepared as a cell of its own; empty for other learners."""

    def start(self, pretraining: Sequence[Training], device: torch.device) -> None:
        """Load the pretrained weights, and learn what is learned before training (a center)."""

    def score(self, prepared: "PreparedCell") -> "Scores":
        """Score the test rows and the rows that set the threshold, and write the checkpoint."""


@dataclass(frozen=True)
class PreparedCell:
    """A cell whose rows are drawn and whose models are built.

    Attributes:
        cell: the cell.
        key: of the settings that determine its numbers.
        seed: of the cell.
        settings: those that determine its numbers, resolved; its key is computed from them.
        coordinates: by which its result is grouped and paired with others.
        cfg: all settings, with the shape of the rows.
        arrays: the data set.
        split: which rows train, and which are scored.
        scaling: of the raw rows.
        pretraining: the trainings that the learner starts from; may be empty.
        learner: what trains.
        score_trainer: the Trainer that scores; cells that are run together share it.
        log: the logger of the cell.
        live: whether it logs while it trains; cells that are run together log in the end.
        warnings: for a person.
        seconds: wall time so far, by stage.
        warm_start: what goes on from a model file, and what is fitted anew; empty without a warm start.
    """

    cell: Cell
    key: str
    seed: int
    settings: dict[str, Any]
    coordinates: Coordinates
    cfg: DictConfig
    arrays: Arrays
    split: Split
    scaling: Scaling
    pretraining: tuple[Training, ...]
    learner: Learner
    score_trainer: Trainer
    log: CellLog
    live: bool
    warnings: tuple[str, ...]
    seconds: Mapping[str, float]
    warm_start: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The records of all its trainings, in order."""
        return tuple(training.stage for training in (*self.pretraining, *self.learner.trainings))

    @property
    def voices_or_self(self) -> "tuple[PreparedCell, ...]":
        """The voices of a mixture, else the cell itself."""
        return self.learner.voices or (self,)

    @property
    def pretrain_epochs(self) -> int:
        """The number of epochs of the pretraining."""
        return whole_number("pretrain.epochs", self.cfg.pretrain.epochs)

    def make_pretrainer(self, stages: Sequence[Stage]) -> Trainer:
        """A Trainer for the pretraining of ``stages``, with its resume checkpoint in this cell's folder."""
        return trainer_of(self.cfg, self.cell.folder, stages, epochs=self.pretrain_epochs)

    def make_trainer(self, stages: Sequence[Stage]) -> Trainer:
        """A Trainer for the training of ``stages``, with its resume checkpoint in this cell's folder."""
        epochs = whole_number("trainer.max_epochs", self.cfg.trainer.max_epochs)
        return trainer_of(self.cfg, self.cell.folder, stages, epochs=epochs, callbacks=self.learner.callbacks)


@dataclass(frozen=True)
class Scores:
    """The scores of a trained cell.

    Attributes:
        split: that of the cell, without test rows that a baseline's settings were chosen on, if these do not count.
        test: ``(N,)`` scores of the test rows.
        normal: scores of the rows that set the threshold.
        scorer: the trained model, for a model file.
        selection: how a baseline's settings were chosen; empty for other methods.
        warnings: for a person.
        seconds: wall time, by stage.
    """

    split: Split
    test: NDArray[np.float64]
    normal: NDArray[np.float64]
    scorer: Scorer
    seconds: Mapping[str, float]
    selection: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def trainer_of(
    cfg: DictConfig, folder: Path, stages: Sequence[Stage], *, epochs: int = 0, callbacks: Sequence[Callback] = ()
) -> Trainer:
    """The Trainer of the settings; without stages it only scores."""
    make: Callable[..., Trainer] = instantiate(cfg.trainer)
    return new_trainer(make, stages, epochs=epochs, folder=folder, callbacks=callbacks)


@contextmanager
def timed(stage: str) -> Iterator[dict[str, float]]:
    """A mapping that holds the seconds of the block under the name ``stage``, after the block."""
    seconds: dict[str, float] = {}
    start = time.perf_counter()
    yield seconds
    seconds[stage] = time.perf_counter() - start


def add_seconds(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """The sums of two mappings of seconds."""
    return {stage: first.get(stage, 0.0) + second.get(stage, 0.0) for stage in {**first, **second}}
