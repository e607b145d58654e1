"""Metrics of held-out rows after each epoch, by torchmetrics; a new metric is one line in ``validation_metrics``.

torchmetrics expects probabilities: scores outside [0, 1] go through a float32 sigmoid, which makes large ones equal
(perfectly separated scores in [20, 40] get an AUROC of 0.5). Each of these metrics depends only on the order of the
scores, so it is computed from their ranks, which lie in [0, 1].
"""

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision, BinarySensitivityAtSpecificity

from sad_lightning.errors import InputError
from sad_lightning.stats.ranking import midranks

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
    """The rank of each score divided by their number, ``(n,)`` float64 in (0, 1]; equal scores have their mean rank.

    Raises:
        InputError: a score is not finite.
    """
    if not scores.isfinite().all():
        raise InputError(
            f"optimizer.lr must let the training converge, but {int((~scores.isfinite()).sum())} of {len(scores)} "
            f"scores of held-out rows are not finite; lower it"
        )
    return torch.from_numpy(midranks(scores.double().cpu().numpy())) / len(scores)
