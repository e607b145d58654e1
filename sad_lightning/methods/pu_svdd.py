"""PU-SVDD (Takahashi et al. 2024, "Deep positive-unlabeled anomaly detection for contaminated unlabeled data").

Deep SAD takes every unlabeled sample for normal. Here a share alpha of them are anomalies, which look like the known:

    L = alpha E_A[1 / (d + 1e-6)] + |E_U[d] - alpha E_A[d]|,   d(x) = ||phi(x) - c||^2

over known anomalies A and unlabeled samples U, so that the second term is (1 - alpha) E_N[d], the distance of the
normal samples among U. Encoder and center are those of Deep SVDD, S(x) = ||phi(x) - c||. Known normals are in U.
"""

from typing import Unpack

from torch import Tensor

from sad_lightning.checks import fraction
from sad_lightning.data.module import Batch
from sad_lightning.methods.hypersphere import Hypersphere
from sad_lightning.methods.method import ANY_LABEL, Method, Shared
from sad_lightning.methods.positive_unlabeled import positive_unlabeled_risk

_EPS = 1e-6


class PUSVDD(Method):
    """Positive-unlabeled Deep SVDD; ``pollution_ratio`` is alpha, the share of anomalies among unlabeled samples."""

    trains_on = ANY_LABEL
    scores_are_distances = True
    needs_anomalies = True
    starts_pretrained = True
    pollution_ratio: float

    def __init__(self, *, pollution_ratio: float, **shared: Unpack[Shared]) -> None:
        super().__init__(pollution_ratio=fraction("method.pollution_ratio", pollution_ratio), **shared)
        self.sphere = Hypersphere(self.network)

    def loss(self, batch: Batch) -> Tensor:
        """The risk of one batch."""
        distance = self.sphere(batch.x)
        return positive_unlabeled_risk(distance, 1 / (distance + _EPS), batch.semi, self.pollution_ratio)

    def score(self, x: Tensor) -> Tensor:
        """||phi(x) - c||, ``(B,)``."""
        return self.sphere(x).sqrt()
