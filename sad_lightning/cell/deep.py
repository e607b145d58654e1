"""Deep methods in a cell: one method, or the members of an ensemble, trained under the Trainer, and their file."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from sad_lightning import methods
from sad_lightning.cell.key import key_of
from sad_lightning.cell.values import PreparedCell, Scores, timed
from sad_lightning.checks import whole_number
from sad_lightning.data.split import Split
from sad_lightning.errors import InputError, error_words
from sad_lightning.files import read_archive
from sad_lightning.methods.method import Method
from sad_lightning.training.early_stopping import EarlyStopping
from sad_lightning.training.ensemble import Ensemble
from sad_lightning.training.stage import Training
from sad_lightning.training.trainer import score_rows

CHECKPOINT = "model.ckpt"


def kind_of(key: str) -> str:
    """The kind of file that the checkpoint of a cell is, see ``files.write_archive``."""
    return f"Lightning checkpoint of cell {key}"


@dataclass(frozen=True)
class Deep:
    """One deep method, or an ensemble of them, each with its own weights, order of rows and noise.

    Attributes:
        trainings: one for each member.
        callbacks: early stopping, or none.
        goes_on: whether the methods hold the weights and centers of an earlier training, from which they start.
    """

    trainings: tuple[Training, ...]
    callbacks: tuple[EarlyStopping, ...] = ()
    goes_on: bool = False
    voices: ClassVar[tuple[()]] = ()

    @property
    def trains_on(self) -> frozenset[int]:
        """The values of ``semi`` whose rows train."""
        return self.trainings[0].method.trains_on

    def start(self, pretraining: Sequence[Training], device: torch.device) -> None:
        """Load the pretrained weights, and let the methods learn what they need before training (a center)."""
        if pretraining:
            for training, pretrained in zip(self.trainings, pretraining, strict=True):
                training.method.start_from(pretrained.method)
        for training in self.trainings:
            training.method.to(device)
            if not self.goes_on:
                training.method.prepare(training.data.in_order(device))

    def score(self, prepared: PreparedCell) -> Scores:
        """Compute what training only estimated (a radius), score, and write ``model.ckpt``."""
        trainer = prepared.score_trainer
        device = trainer.strategy.root_device
        with timed("train") as train_seconds:
            for training in self.trainings:
                training.method.to(device).finish(training.data.in_order(device))
        methods = [training.method for training in self.trainings]
        scorer = methods[0] if len(methods) == 1 else Ensemble(methods, prepared.cfg.ensemble_mean)
        with timed("score") as score_seconds:
            scores = score_rows(trainer, scorer, self.trainings[0].data).numpy()
        path = prepared.cell.folder / CHECKPOINT
        trainer.save_checkpoint(path, weights_only=True, storage_options=kind_of(prepared.key))
        n_test = len(prepared.split.test)
        notes = tuple(callback.note() for callback in self.callbacks)
        seconds = {**train_seconds, **score_seconds}
        return Scores(prepared.split, scores[:n_test], scores[n_test:], scorer, seconds, warnings=notes)


def deep_learner(trainings: Sequence[Training], split: Split, *, patience: int, target_fpr: float) -> Deep:
    """The methods, with early stopping if ``patience`` is not 0.

    Raises:
        InputError: early stopping of several members, or without held-out labels.
    """
    if not whole_number("patience", patience, least=0):
        return Deep(tuple(trainings))
    y = (split.selection_semi < 0).astype(np.int64)
    if len(trainings) > 1:
        raise InputError(f"patience must be 0 for an ensemble, got {patience}; leave it, or set ensemble=1")
    if not 0 < y.sum() < len(y):
        raise InputError(
            f"patience={patience} selects the epoch by held-out labels, which are {y.sum()} known anomalies and "
            f"{len(y) - y.sum()} others; give more labels, raise split.validation_ratio, or set patience=0"
        )
    (training,), rows = trainings, torch.from_numpy(split.selection)

    def batches(device: torch.device) -> Iterator[torch.Tensor]:
        return (training.data.samples(part.to(device)) for part in torch.split(rows, 1000))

    early_stopping = EarlyStopping(training.stage, batches, y, patience=patience, target_fpr=target_fpr)
    return Deep((training,), (early_stopping,))


def load_model(path: Path, settings: Mapping[str, Any]) -> Method | Ensemble:
    """The method or ensemble of a finished cell, in eval mode on the CPU.

    Raises:
        InputError: there is no checkpoint, it is not the one of the cell, or its method is not known here.
    """
    if settings.get("voices"):
        raise InputError(
            f"{path.parent}: holds a mixture, which has a checkpoint a voice; choose the folder of a method"
        )
    method = _method_of(str(settings["method"]["_target_"]))  # imports it, so that an ensemble can find it by name
    kind = Ensemble if settings["ensemble"] > 1 else method
    try:
        file = read_archive(path, kind_of(key_of(settings)))
        model = kind.load_from_checkpoint(file, map_location="cpu", weights_only=True).eval()
    except Exception as error:  # code that was changed since fails in many ways
        reason = error_words(error)
        raise InputError(f"{path}: must be the checkpoint of the cell ({reason}); run the cell again") from error
    assert isinstance(model, Method | Ensemble)
    return model


def _method_of(target: str) -> type[Method]:
    """The class that a result names: a method of this package, or of a module that is imported already.

    A stored file must not decide what is imported.
    """
    room, _, name = target.rpartition(".")
    method = getattr(methods if room == methods.__name__ else sys.modules.get(room), name, None)
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise InputError(f"{target}: must be a method that is known here; name its module with --import")
    return method
