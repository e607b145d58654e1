"""One-class Deep SVDD (Ruff et al., ICML 2018; ruff2020 equations 3 and 4).

An encoder phi without biases, started from an autoencoder, maps all samples close to a fixed center c:

    1/n sum over x ||phi(x) - c||^2  +  lambda/2 ||W||^2      the second term is in the optimiser

The center is the mean representation before training; S(x) = ||phi(x) - c||. Labels are not used: known anomalies
are dropped, known normals are samples like any other.
"""

from typing import Unpack

from torch import Tensor

from sad_lightning.data.module import Batch
from sad_lightning.methods.hypersphere import Hypersphere
from sad_lightning.methods.method import NO_ANOMALIES, Method, Shared


class DeepSVDD(Method):
    """One-class Deep SVDD."""

    trains_on = NO_ANOMALIES
    scores_are_distances = True
    starts_pretrained = True

    def __init__(self, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        self.sphere = Hypersphere(self.network)

    def loss(self, batch: Batch) -> Tensor:
        """Equation 3 on one batch."""
        return self.sphere(batch.x).mean()

    def score(self, x: Tensor) -> Tensor:
        """Equation 4, ``(B,)``."""
        return self.sphere(x).sqrt()
