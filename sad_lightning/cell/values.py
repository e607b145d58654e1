"""The values that a cell is from step to step: settings, then prepared, then scores. Nothing of them changes."""

from collections.abc import Callable, Mapping, Sequence
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
from sad_lightning.training.stage import Stage, Training, new_trainer


@dataclass(frozen=True)
class Cell:
    """A cell to run.

    Attributes:
        cfg: its settings.
        folder: where its files go.
        data: the data set's choice on the command line.
        method: the method's choice.
        experiment: the experiment's choice, where there is one.
        sweep: whether it is one of a sweep.
        arrays: rows in memory, instead of those that ``cfg.data`` names.
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
        """What trains by steps under the Trainer."""

    @property
    def rows(self) -> frozenset[int]:
        """The values of ``semi`` that it trains on."""

    @property
    def callbacks(self) -> Sequence[Callback]:
        """What watches its training; then it trains alone."""

    @property
    def voices(self) -> "tuple[Prepared, ...]":
        """Those of a mixture, each as the cell that it would be alone; empty for others."""

    def start(self, pretraining: Sequence[Training], device: torch.device) -> None:
        """Begin from what was pretrained, and learn what is learnt before training."""

    def score(self, prepared: "Prepared") -> "Scores":
        """Score the test rows and those of the threshold, and write the checkpoint."""


@dataclass(frozen=True)
class Prepared:
    """A cell whose rows are drawn and whose models are built.

    Attributes:
        cell: what it was made from.
        key: names what determines its numbers.
        seed: of the cell.
        settings: those that determine its numbers, resolved; its key is computed from them.
        coordinates: where it stands among others.
        cfg: the settings, with the shape of the rows.
        arrays: the data set.
        split: which rows train, and which are scored.
        scaling: what the raw rows become.
        pretraining: what the learner starts from; empty where it starts from nothing.
        learner: what trains.
        scorer: the Trainer of all that is not training; cells that are run together share it.
        log: where the cell logs.
        live: whether it logs while it trains; cells that are run together log in the end.
        warnings: what a person should know of.
        seconds: wall time so far, by stage.
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
    scorer: Trainer
    log: CellLog
    live: bool
    warnings: tuple[str, ...]
    seconds: Mapping[str, float]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The records of all its trainings, in order."""
        return tuple(training.stage for training in (*self.pretraining, *self.learner.trainings))

    @property
    def alone(self) -> "tuple[Prepared, ...]":
        """What trains as a cell does: the voices of a mixture, else the cell itself."""
        return self.learner.voices or (self,)

    @property
    def pretrain_epochs(self) -> int:
        """How many epochs the pretraining has."""
        return whole_number("pretrain.epochs", self.cfg.pretrain.epochs)

    def pretrainer(self, stages: Sequence[Stage]) -> Trainer:
        """A Trainer for the pretraining of ``stages``, with its resume checkpoint in this cell's folder."""
        return trainer_of(self.cfg, self.cell.folder, stages, epochs=self.pretrain_epochs)

    def trainer(self, stages: Sequence[Stage]) -> Trainer:
        """A Trainer for the training, likewise."""
        epochs = whole_number("trainer.max_epochs", self.cfg.trainer.max_epochs)
        return trainer_of(self.cfg, self.cell.folder, stages, epochs=epochs, callbacks=self.learner.callbacks)


@dataclass(frozen=True)
class Scores:
    """What a trained cell gives.

    Attributes:
        split: the rows; without those test rows that a baseline's settings were chosen on and that are not scored.
        test: ``(N,)`` scores of the test rows.
        normal: scores of the rows that set the threshold.
        scorer: what scored, for a model file.
        selection: how a baseline's settings were chosen; empty for others.
        warnings: what a person should know of.
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
    """The Trainer that the settings ask for; one without stages only scores."""
    make: Callable[..., Trainer] = instantiate(cfg.trainer)
    return new_trainer(make, stages, epochs=epochs, folder=folder, callbacks=callbacks)
