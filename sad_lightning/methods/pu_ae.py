"""PU-AE (Takahashi et al. 2024, "Deep positive-unlabeled anomaly detection for contaminated unlabeled data").

The loss of ABC, where a share alpha of the unlabeled samples are anomalies, which look like the known:

    L = alpha E_A[-log(1 - exp(-e))] + |E_U[e] - alpha E_A[e]|,   e(x) = mean over values (decoder(encoder(x)) - x)^2

over known anomalies A and unlabeled samples U, so that the second term is (1 - alpha) E_N[e], the error of the normal
samples among U. S(x) = e(x). Known normals are in U. The authors' code has the norm of the error in place of e.
"""

from typing import Unpack

import torch
from torch import Tensor

from sad_lightning.checks import fraction
from sad_lightning.data.module import Batch
from sad_lightning.methods.autoencoder import Autoencoder
from sad_lightning.methods.cross_entropy import exponential_cross_entropy
from sad_lightning.methods.method import ANY_LABEL, Method, Shared
from sad_lightning.methods.positive_unlabeled import positive_unlabeled_risk


class PUAE(Method):
    """Positive-unlabeled autoencoder; for ``initial_weights`` see the part ``Autoencoder``.

    Args:
        pollution_ratio: alpha, the share of anomalies among the unlabeled samples.
    """

    trains_on = ANY_LABEL
    needs_anomalies = True
    pollution_ratio: float

    def __init__(self, *, initial_weights: str, pollution_ratio: float, **shared: Unpack[Shared]) -> None:
        pollution_ratio = fraction("method.pollution_ratio", pollution_ratio)
        super().__init__(initial_weights=initial_weights, pollution_ratio=pollution_ratio, **shared)
        self.autoencoder = Autoencoder(self.network, initial_weights)

    def loss(self, batch: Batch) -> Tensor:
        """The risk of one batch."""
        error = self.score(batch.x)
        as_anomaly = exponential_cross_entropy(error, torch.full_like(batch.semi, -1))
        return positive_unlabeled_risk(error, as_anomaly, batch.semi, self.pollution_ratio)

    def score(self, x: Tensor) -> Tensor:
        """The reconstruction error, ``(B,)``."""
        return self.autoencoder(x)
