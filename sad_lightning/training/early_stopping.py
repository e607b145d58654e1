"""Early stopping on own data: the weights of the epoch that ranks held-out labels best are kept.

The metrics of the held-out rows are torchmetrics'; a new one is one line in ``validation_metrics``. torchmetrics
expects probabilities: scores outside [0, 1] go through a float32 sigmoid, which makes large ones equal (perfectly
separated scores in [20, 40] get an AUROC of 0.5). Each of these metrics depends only on the order of the scores, so it
is computed from their ranks, which lie in [0, 1].
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision, BinarySensitivityAtSpecificity

from sad_lightning.errors import InputError
from sad_lightning.methods.steps import mode
from sad_lightning.stats.ranking import midranks
from sad_lightning.training.trainer import Stage

RESOLUTION = 1e-6  # torchmetrics counts in float32: smaller differences are rounding


class RecallAtFPR(BinarySensitivityAtSpecificity):
    """The largest share of anomalies that a threshold finds while it flags at most ``fpr`` of the others."""

    def __init__(self, fpr: float) -> None:
        super().__init__(min_specificity=1 - fpr - RESOLUTION)

    def compute(self) -> Tensor:  # type: ignore[override]
        """The recall, a scalar in [0, 1], without the threshold, which would be a rank."""
        recall, _ = super().compute()
        return recall


def validation_metrics(target_fpr: float) -> MetricCollection:
    """The metrics of held-out rows; update them with ``ranks(scores)`` and ``y``, both ``(n,)``.

    Every process scores all held-out rows, so that they need not be gathered.
    """
    metrics = MetricCollection(
        {
            "auroc": BinaryAUROC(),
            "average_precision": BinaryAveragePrecision(),
            "recall_at_target_fpr": RecallAtFPR(target_fpr),
        },
        prefix="validation_",
    )
    for metric in metrics.values():
        metric.sync_on_compute = False
    return metrics


def ranks(scores: Tensor) -> Tensor:
    """The rank of each score divided by their number, ``(n,)`` float64 in (0, 1]; equal scores have their mean rank."""
    if not scores.isfinite().all():
        raise InputError(
            f"optimizer.lr must let the training converge, but {int((~scores.isfinite()).sum())} of {len(scores)} "
            f"scores of held-out rows are not finite; lower it"
        )
    return torch.from_numpy(midranks(scores.double().cpu().numpy())) / len(scores)


class EarlyStopping(Callback):
    """Scores held-out rows after each epoch, keeps the weights of the best epoch, and stops when none better comes.

    The best epoch is the first with the highest AUROC.

    Args:
        stage: the record of the training; the metrics are added to its curves: ``validation_auroc``, ...
        batches: returns the held-out rows on a device, ``(B, ...)`` at a time.
        y: ``(n,)`` 1 for known anomalies, 0 for the others; at least one of each.
        patience: training stops after so many epochs without a better AUROC.
        target_fpr: the false-positive rate at which recall is measured.

    Attributes:
        aurocs: the AUROC of every epoch.
    """

    def __init__(
        self,
        stage: Stage,
        batches: Callable[[torch.device], Iterator[Tensor]],
        y: NDArray[np.int64],
        *,
        patience: int,
        target_fpr: float,
    ) -> None:
        self.stage, self.batches, self.y, self.patience = stage, batches, torch.from_numpy(y), patience
        self.metrics = validation_metrics(target_fpr)
        self.aurocs: list[float] = []
        self.best: dict[str, Tensor] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop at once if the training that is resumed had already stopped."""
        if self._is_over():
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute the metrics, keep the weights if they are the best so far, and stop if patience is over."""
        with mode(pl_module, training=False), torch.no_grad():
            parts = [pl_module.score(x).cpu().double() for x in self.batches(pl_module.device)]  # type: ignore[operator]
        scores = trainer.strategy.broadcast(torch.cat(parts))  # BatchNorm's statistics differ; one process decides
        self.metrics.reset()
        self.metrics.update(ranks(scores), self.y)
        values = {name: float(value) for name, value in self.metrics.compute().items()}
        self.stage.add(trainer.current_epoch, values)
        self.aurocs.append(values["validation_auroc"])
        if self._best_epoch() == len(self.aurocs) - 1:
            self.best = {name: value.detach().cpu().clone() for name, value in pl_module.state_dict().items()}
        if self._is_over():
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go back to the weights of the best epoch."""
        if self.best:
            pl_module.load_state_dict(self.best)

    def _best_epoch(self) -> int:
        """The first epoch, from 0, whose AUROC no later one exceeds by more than rounding."""
        best = 0
        for epoch, auroc in enumerate(self.aurocs):
            if auroc > self.aurocs[best] + RESOLUTION:
                best = epoch
        return best

    def _is_over(self) -> bool:
        """Whether ``patience`` epochs have passed since the best one."""
        return len(self.aurocs) > self._best_epoch() + self.patience

    def note(self) -> str:
        """Which epoch was kept, for the warnings of the result."""
        best, anomalies = self._best_epoch(), int(self.y.sum())
        return (
            f"epoch {best + 1} of {len(self.aurocs)} was kept: validation AUROC {self.aurocs[best]:.4f} on "
            f"{anomalies} known anomalies and {len(self.y) - anomalies} other rows"
        )

    def state_dict(self) -> dict[str, Any]:
        """The state for a resume checkpoint."""
        return {"aurocs": self.aurocs, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of a resume checkpoint."""
        self.aurocs, self.best = state_dict["aurocs"], state_dict["best"]
