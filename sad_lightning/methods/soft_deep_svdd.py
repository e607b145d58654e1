"""Soft-boundary Deep SVDD (Ruff et al., ICML 2018; ruff2019 equation 1).

An encoder phi without biases, started from an autoencoder, maps samples into a sphere of radius R around a fixed
center c. Over n samples, training minimises

    R^2                                                       the volume
  + 1/(nu n) sum over x max(0, ||phi(x) - c||^2 - R^2)        what lies outside
  + lambda/2 ||W||^2                                          weight decay, in the optimiser

by turns: a step on W with R fixed, then R solved exactly on the same mini-batch (ruff2019 algorithm 1), from the
distances of that step. After training R is solved once more on all rows, so that a share nu of them lies outside.
S(x) = ||phi(x) - c||; S(x) - R is above zero outside the sphere. Labels are not used: known anomalies are dropped.
"""

from typing import Unpack

from torch import Tensor

from sad_lightning.checks import fraction_to_one
from sad_lightning.data.module import Batch
from sad_lightning.methods.method import NO_ANOMALIES, Method, Shared
from sad_lightning.methods.soft_hypersphere import SoftHypersphere


def soft_deep_svdd_loss(distance: Tensor, radius: Tensor, nu: float) -> Tensor:
    """Equation 1 on one batch of squared distances ``(B,)``, without the weight decay: a scalar, as the radius R is."""
    squared = radius.square()
    return squared + (distance - squared).clamp(min=0).mean() / nu


class SoftDeepSVDD(Method):
    """Soft-boundary Deep SVDD.

    Args:
        nu: in (0, 1], the share of training rows that may lie outside; 0.01 and 0.1 in the paper.
    """

    trains_on = NO_ANOMALIES
    starts_pretrained = True
    nu: float

    def __init__(self, *, nu: float, **shared: Unpack[Shared]) -> None:
        super().__init__(nu=fraction_to_one("method.nu", nu), **shared)
        self.sphere = SoftHypersphere(self.network, nu=self.nu)

    def loss(self, batch: Batch) -> Tensor:
        """Equation 1 on one batch, with R from the batch before."""
        return soft_deep_svdd_loss(self.sphere(batch.x), self.sphere.radius, self.nu)

    def score(self, x: Tensor) -> Tensor:
        """The distance to the center, ``(B,)``."""
        return self.sphere(x).sqrt()
