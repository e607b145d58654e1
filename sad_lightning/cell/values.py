"""The values that the steps of a cell pass on, all frozen: ``Cell``, ``CellRows``, ``PreparedCell``, ``Scores``."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import torch
from hydra.utils import instantiate
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from omegaconf import DictConfig

from sad_lightning.checks import whole_number
from sad_lightning.data.arrays import Arrays, Renewal
from sad_lightning.data.module import Balance, DataModule, RenewedRows, Rows, Stream
from sad_lightning.data.own.labeled_split import row_hash
from sad_lightning.data.preprocess import Scaling
from sad_lightning.data.split import Split, Trim, trimmed
from sad_lightning.errors import InputError
from sad_lightning.methods.method import Method
from sad_lightning.model import Scorer
from sad_lightning.result import Coordinates
from sad_lightning.seeding import derive
from sad_lightning.tracking.logger import CellLog
from sad_lightning.training.trainer import Stage, Training, new_trainer

if TYPE_CHECKING:
    from sad_lightning.baselines.baseline import Baseline

_ROWS: WeakKeyDictionary[Arrays | Split, Rows] = WeakKeyDictionary()


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


@dataclass(frozen=True)
class CellRows:
    """The rows of a cell, from which the data of each method is made.

    ``suspicion`` says how like the known anomalies each training row is, ``(n,)`` from ``trim.py``; it is empty where
    no method asks for it.
    """

    arrays: Arrays
    split: Split
    scaling: Scaling
    seed: int
    balance: Balance
    suspicion: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def serve(
        self, model: "Method | Baseline", allowed: frozenset[int], batch_size: int, trim: Trim = 0.0
    ) -> DataModule:
        """The training rows whose ``semi`` is allowed, in the batches that the steps of the model need.

        ``trim`` is the share of the unlabeled rows that do not train, the most suspicious ones, or auto.
        """
        split = self.split if not len(self.suspicion) else trimmed(self.split, self.suspicion, trim)
        rows, semi = split.rows(allowed)
        name, streams, noise = "train", [Stream()], tuple[int, ...]()
        if isinstance(model, Method):
            name, streams, noise = model.stage, [update.stream for update in model.updates], model.noise
        if (count := np.isin(semi, sorted(streams[0].trains_on or allowed)).sum()) < 2:
            raise InputError(f"{name}: at least 2 rows are needed to train on, the split leaves {count}; change it")
        return DataModule(
            rows_of(self.arrays, self.split), self.scaling, rows=rows, semi=semi,
            scored=np.concatenate([self.split.test, self.split.calibration]), batch_size=batch_size,
            seed=derive(self.seed, name), streams=streams, noise=noise, balance=self.balance,
        )  # fmt: skip


class Learner(Protocol):
    """What a cell trains: ``Deep`` methods (``learner.py``), a ``Shallow`` baseline, or a ``MixtureLearner``."""

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


def rows_of(arrays: Arrays, split: Split) -> Rows:
    """The rows as tensors: one copy on each device for all cells of a data set, as long as the data set exists.

    Where they are renewed, a copy for each split.
    """
    if arrays.renewal is None:
        return _ROWS.setdefault(arrays, Rows(arrays.x))
    if split not in _ROWS:
        _ROWS[split] = _renewed(arrays, split, arrays.renewal)
    return _ROWS[split]


def _renewed(arrays: Arrays, split: Split, renewal: Renewal) -> RenewedRows:
    """The rows, of which the unlabeled training rows change in every epoch; none of these equals a held-out row."""
    places, hashes = split.train[split.semi == 0], row_hash(arrays.x)
    if not len(places):
        raise InputError(
            "data.renew=true takes other unlabeled rows in each epoch, and no row that trains is unlabeled; name the "
            "word of known normals in data.unlabeled, or leave it out"
        )
    held_out = np.setdiff1d(np.delete(hashes, split.train), hashes[split.train])
    schema = arrays.schema
    assert schema is not None  # own data has one
    return RenewedRows(
        arrays.x.astype(np.float32, copy=False), places,
        lambda epoch: renewal.rows(epoch, len(places), schema, held_out), renewal.content,
    )  # fmt: skip


def trainer_of(
    cfg: DictConfig, folder: Path, stages: Sequence[Stage], *, epochs: int = 0, callbacks: Sequence[Callback] = ()
) -> Trainer:
    """The Trainer of the settings; without stages it only scores."""
    if cfg.trainer.get("_partial_") is not True:
        raise InputError(f"trainer._partial_ must be true, got {cfg.trainer.get('_partial_')}; leave it")
    return new_trainer(instantiate(cfg.trainer), stages, epochs=epochs, folder=folder, callbacks=callbacks)


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
