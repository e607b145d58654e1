"""Deep methods in a cell: one, or the members of an ensemble, trained by steps under the Trainer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sad_lightning.cell.checkpoint import CHECKPOINT, kind_of
from sad_lightning.cell.seconds import timed
from sad_lightning.cell.values import Prepared, Scores
from sad_lightning.checks import whole_number
from sad_lightning.data.split import Split
from sad_lightning.errors import InputError
from sad_lightning.training.early_stopping import EarlyStopping
from sad_lightning.training.ensemble import Ensemble
from sad_lightning.training.stage import Training, predict


@dataclass(frozen=True)
class Deep:
    """Deep methods of one kind, each with its own weights, order of rows and noise; their mean score counts.

    Attributes:
        trainings: one for each member.
        callbacks: early stopping, or nothing.
        voices: none.
    """

    trainings: tuple[Training, ...]
    callbacks: tuple[EarlyStopping, ...] = ()
    voices: tuple[Prepared, ...] = ()

    @property
    def rows(self) -> frozenset[int]:
        """The values of ``semi`` that it trains on."""
        return self.trainings[0].method.rows

    def start(self, pretraining: Sequence[Training], device: torch.device) -> None:
        """Take over the pretrained weights, and learn what is learnt before training (a center)."""
        if pretraining:
            for training, pretrained in zip(self.trainings, pretraining, strict=True):
                training.method.start_from(pretrained.method)
        for training in self.trainings:
            training.method.to(device).prepare(training.data.sweep(device))

    def score(self, prepared: Prepared) -> Scores:
        """Finish what training only estimated (a radius), score, and write ``model.ckpt``."""
        trainer = prepared.scorer
        device = trainer.strategy.root_device
        with timed("train") as finishing:
            for training in self.trainings:
                training.method.to(device).finish(training.data.sweep(device))
        methods = [training.method for training in self.trainings]
        scorer = methods[0] if len(methods) == 1 else Ensemble(methods, prepared.cfg.ensemble_mean)
        with timed("score") as scoring:
            scores = predict(trainer, scorer, self.trainings[0].data).numpy()
        path = prepared.cell.folder / CHECKPOINT
        trainer.save_checkpoint(path, weights_only=True, storage_options=kind_of(prepared.key))
        tested = len(prepared.split.test)
        notes = tuple(callback.note() for callback in self.callbacks)
        seconds = {**finishing, **scoring}
        return Scores(prepared.split, scores[:tested], scores[tested:], scorer, seconds, warnings=notes)


def deep_learner(trainings: Sequence[Training], split: Split, *, patience: int, target_fpr: float) -> Deep:
    """The methods, with early stopping where ``patience`` asks for it.

    Raises:
        InputError: there are several members, or no held-out labels to select the epoch by.
    """
    if not whole_number("patience", patience, least=0):
        return Deep(tuple(trainings))
    y = (split.selection_semi < 0).astype(np.int64)
    if len(trainings) > 1:
        raise InputError(f"patience must be 0 for an ensemble and for a baseline, got {patience}; set ensemble=1")
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
