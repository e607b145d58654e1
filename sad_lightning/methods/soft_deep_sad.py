"""Soft-boundary SS-DSVDD, the semi-supervised soft-boundary Deep SVDD (ruff2019 equation 3 and algorithm 1).

An encoder phi without biases, started from an autoencoder, maps normal samples into a sphere of radius R around a
fixed center c, and known anomalies out of it. Over n unlabeled samples x and m labeled samples (x, semi), semi = +1
known normal and -1 known anomaly, training minimises

    R^2                                                                             the volume
  + 1/(nu (n+m))   sum over unlabeled x       max(0, ||phi(x) - c||^2 - R^2)        what lies outside
  + eta/(nu (n+m)) sum over labeled (x, semi) max(0, semi (||phi(x) - c||^2 - R^2)) what lies on the wrong side
  + lambda/2 ||W||^2                                                                weight decay, in the optimiser

by turns: a step on W with R fixed, then R solved exactly on the same mini-batch, labels included, from the distances
of that step. After training R is solved once more on all rows. S(x) = ||phi(x) - c||; S(x) - R is above zero outside.
Without labels this is soft-boundary Deep SVDD.
"""

from typing import Unpack

import torch
from torch import Tensor

from sad_lightning.checks import fraction_to_one, positive
from sad_lightning.data.module import Batch
from sad_lightning.methods.method import ANY_LABEL, Method, Shared
from sad_lightning.methods.soft_hypersphere import SoftHypersphere


def soft_deep_sad_loss(distance: Tensor, semi: Tensor, radius: Tensor, eta: float, nu: float) -> Tensor:
    """Equation 3 on one batch of squared distances ``(B,)``, without the weight decay: a scalar, as the radius R is."""
    squared = radius.square()
    outside, inside = (distance - squared).clamp(min=0), (squared - distance).clamp(min=0)
    labeled = eta * torch.where(semi > 0, outside, inside)
    return squared + torch.where(semi == 0, outside, labeled).mean() / nu


class SoftDeepSAD(Method):
    """Soft-boundary SS-DSVDD.

    Args:
        eta: weight of the labeled rows, above 0; 1 in the paper.
        nu: in (0, 1], the share of weight that may lie outside; 0.01 and 0.1 in the paper.
    """

    trains_on = ANY_LABEL
    starts_pretrained = True
    eta: float
    nu: float

    def __init__(self, *, eta: float, nu: float, **shared: Unpack[Shared]) -> None:
        super().__init__(eta=positive("method.eta", eta), nu=fraction_to_one("method.nu", nu), **shared)
        self.sphere = SoftHypersphere(self.network, nu=self.nu, eta=self.eta)

    def loss(self, batch: Batch) -> Tensor:
        """Equation 3 on one batch, with R from the batch before."""
        return soft_deep_sad_loss(self.sphere(batch.x), batch.semi, self.sphere.radius, self.eta, self.nu)

    def score(self, x: Tensor) -> Tensor:
        """The distance to the center, ``(B,)``."""
        return self.sphere(x).sqrt()
