"""Deep SAD: Deep Semi-Supervised Anomaly Detection (Ruff et al., ICLR 2020, equations 4 and 7).

An encoder phi without biases, started from an autoencoder, maps normal samples close to a fixed center c and known
anomalies away from it. Over n unlabeled samples x and m labeled samples (x, semi), semi = +1 known normal and -1
known anomaly, training minimises

    1/(n+m)   sum over unlabeled x         ||phi(x) - c||^2                normal until proven otherwise
  + eta/(n+m) sum over labeled (x, semi)  (||phi(x) - c||^2 + eps)^semi    pulled in, or pushed out by the inverse
  + lambda/2  ||W||^2                                                      weight decay, in the optimiser

with eps = 1e-6 in the paper. The center is the mean representation before training. A sample is the more anomalous the
farther it lies from the center: S(x) = ||phi(x) - c||. Without labels this is one-class Deep SVDD (equation 3); the
one-class SS-DSVDD of Ruff et al. 2019 (equation 4) is the same method.
"""

from typing import Unpack

import torch
from torch import Tensor

from sad_lightning.checks import positive
from sad_lightning.data.module import Batch
from sad_lightning.methods.hypersphere import Hypersphere
from sad_lightning.methods.method import ANY_LABEL, Method, Shared


def deep_sad_loss(distance: Tensor, semi: Tensor, eta: float, eps: float = 1e-6) -> Tensor:
    """Equation 7 on one batch, a scalar, from ``(B,)`` squared distances and ``(B,)`` labels."""
    labeled = eta * torch.where(semi > 0, distance + eps, 1 / (distance + eps))
    return torch.where(semi == 0, distance, labeled).mean()


class DeepSAD(Method):
    """Deep SAD.

    Args:
        eta: weight of the labeled terms, above 0; 1 in the paper.
        eps: bounds the gradient of a known anomaly at the center, above 0; 1e-6 in the paper.
    """

    trains_on = ANY_LABEL
    scores_are_distances = True
    starts_pretrained = True
    eta: float
    eps: float

    def __init__(self, *, eta: float, eps: float, **shared: Unpack[Shared]) -> None:
        super().__init__(eta=positive("method.eta", eta), eps=positive("method.eps", eps), **shared)
        self.sphere = Hypersphere(self.network)

    def loss(self, batch: Batch) -> Tensor:
        """Equation 7 on one batch."""
        return deep_sad_loss(self.sphere(batch.x), batch.semi, self.eta, self.eps)

    def score(self, x: Tensor) -> Tensor:
        """Equation 4, ``(B,)``."""
        return self.sphere(x).sqrt()
