"""Autoencoder (ruff2020 appendix E): a method of its own, and the pretraining of other methods' encoders.

    1/n sum over x  mean over values (decoder(encoder(x)) - x)^2

The reconstruction error of a sample is its score. Labels are not used: known anomalies are dropped.
"""

from typing import Unpack

from torch import Tensor

from sad_lightning.data.module import Batch
from sad_lightning.methods.autoencoder import Autoencoder
from sad_lightning.methods.method import NO_ANOMALIES, Method, Shared


class AE(Method):
    """Autoencoder; for ``initial_weights`` see the part ``Autoencoder``."""

    trains_on = NO_ANOMALIES
    scores_are_distances = True

    def __init__(self, *, initial_weights: str, **shared: Unpack[Shared]) -> None:
        super().__init__(initial_weights=initial_weights, **shared)
        self.autoencoder = Autoencoder(self.network, initial_weights)

    def loss(self, batch: Batch) -> Tensor:
        """The mean squared error of one batch."""
        return self.score(batch.x).mean()

    def score(self, x: Tensor) -> Tensor:
        """The reconstruction error, ``(B,)``."""
        return self.autoencoder(x)
