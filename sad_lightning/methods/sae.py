"""Supervised autoencoder (SAE; ye2021 Table 2, appendix E).

    1/(n+m) (sum over normal x e(x) + sum over known anomalies x 1 / (e(x) + eps))

with the reconstruction error e(x) = mean over values (decoder(encoder(x)) - x)^2 and eps = 1e-6: the inverse, as in
Deep SAD, where a loss of -e(x) would explode. Unlabeled samples count as normal. S(x) = e(x).
"""

from typing import Unpack

import torch
from torch import Tensor

from sad_lightning.data.module import Batch
from sad_lightning.methods.autoencoder import Autoencoder
from sad_lightning.methods.method import ANY_LABEL, Method, Shared

_EPS = 1e-6


def sae_loss(error: Tensor, semi: Tensor) -> Tensor:
    """The objective on one batch, a scalar, from ``(B,)`` reconstruction errors and ``(B,)`` labels."""
    return torch.where(semi < 0, 1 / (error + _EPS), error).mean()


class SAE(Method):
    """Supervised autoencoder; for ``initial_weights`` see the part ``Autoencoder``."""

    trains_on = ANY_LABEL
    scores_are_distances = True
    needs_anomalies = True

    def __init__(self, *, initial_weights: str, **shared: Unpack[Shared]) -> None:
        super().__init__(initial_weights=initial_weights, **shared)
        self.autoencoder = Autoencoder(self.network, initial_weights)

    def loss(self, batch: Batch) -> Tensor:
        """The objective on one batch."""
        return sae_loss(self.score(batch.x), batch.semi)

    def score(self, x: Tensor) -> Tensor:
        """The reconstruction error, ``(B,)``."""
        return self.autoencoder(x)
