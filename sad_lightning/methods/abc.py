"""Autoencoding binary classifier (ABC; Yamanaka et al. 2019; ye2021 Table 2).

    1/(n+m) (sum over normal x e(x) - sum over known anomalies x log(1 - exp(-e(x))))

a binary cross-entropy with p(normal given x) = exp(-e(x)) and the reconstruction error
e(x) = mean over values (decoder(encoder(x)) - x)^2. Unlabeled samples count as normal. S(x) = e(x).
"""

from typing import Unpack

from torch import Tensor

from sad_lightning.data.module import Batch
from sad_lightning.methods.autoencoder import Autoencoder
from sad_lightning.methods.cross_entropy import exponential_cross_entropy
from sad_lightning.methods.method import ANY_LABEL, Method, Shared


class ABC(Method):
    """Autoencoding binary classifier; for ``initial_weights`` see the part ``Autoencoder``."""

    trains_on = ANY_LABEL
    needs_anomalies = True

    def __init__(self, *, initial_weights: str, **shared: Unpack[Shared]) -> None:
        super().__init__(initial_weights=initial_weights, **shared)
        self.autoencoder = Autoencoder(self.network, initial_weights)

    def loss(self, batch: Batch) -> Tensor:
        """The cross-entropy of one batch."""
        return exponential_cross_entropy(self.score(batch.x), batch.semi).mean()

    def score(self, x: Tensor) -> Tensor:
        """The reconstruction error, ``(B,)``."""
        return self.autoencoder(x)
