"""Deep SAD: Deep Semi-Supervised Anomaly Detection (Ruff et al., ICLR 2020, equations 4 and 7).

An encoder phi without biases, started from an autoencoder, maps normal samples close to a fixed center c and known
anomalies away from it. Over n unlabeled samples x and m labeled samples (x, semi), semi = +1 known normal and -1
known anomaly, training minimises

    1/(n+m)   sum over unlabeled x      ||phi(x) - c||^2                 normal until proven otherwise
  + eta/(n+m) sum over labeled (x, semi) (||phi(x) - c||^2 + eps)^semi   pulled in, or pushed out by the inverse
  + lambda/2  ||W||^2                                                    weight decay, in the optimiser

with eps = 1e-6. The center is the mean representation before training. A sample is the more anomalous the farther
it lies from the center: S(x) = ||phi(x) - c||. Without labels this is one-class Deep SVDD (equation 3); the
one-class SS-DSVDD of Ruff et al. 2019 (equation 4) is the same method.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from sad_lightning.checks import positive
from sad_lightning.data.module import Batch
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.functional import squared_distance
from sad_lightning.methods.hypersphere import initial_center, spread
from sad_lightning.methods.method import Method
from sad_lightning.networks import Network
from sad_lightning.networks.network import check_hypersphere

_EPS = 1e-6


def deep_sad_loss(distance: Tensor, semi: Tensor, eta: float) -> Tensor:
    """Equation 7 on one batch, without the weight decay: a scalar.

    Args:
        distance: ``(B,)`` squared distances to the center.
        semi: ``(B,)`` labels.
        eta: weight of the labeled terms against the unlabeled one.
    """
    pulled, pushed = distance + _EPS, 1 / (distance + _EPS)
    labeled = eta * torch.where(semi > 0, pulled, pushed)
    return torch.where(semi == 0, distance, labeled).mean()


class DeepSAD(Method):
    """Deep SAD.

    Args:
        network: builds phi.
        optimizer: learning rate, schedule and lambda.
        eta: weight of the labeled terms, above 0; 1 in the paper.
        allow_trivial_solution: accept a network that can map everything to the center.

    Raises:
        InputError: eta is out of range, or phi has a bias, an affine normalisation or a bounded activation.
    """

    rows = frozenset({-1, 0, 1})
    starts_from = ("encoder",)
    center: Tensor

    def __init__(
        self,
        *,
        network: Network | Mapping[str, Any],
        optimizer: Adam | Mapping[str, Any],
        eta: float,
        allow_trivial_solution: bool,
    ) -> None:
        super().__init__(network=network, optimizer=optimizer, eta=eta, allow_trivial_solution=allow_trivial_solution)
        self.eta = positive("method.eta", eta)
        self.encoder = self.network.encoder()
        check_hypersphere(self.encoder, allow_trivial_solution=allow_trivial_solution)
        self.register_buffer("center", torch.zeros(self.network.rep_dim))

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Fix the center."""
        self.center.copy_(initial_center(self.encoder, batches))

    def loss(self, batch: Batch) -> Tensor:
        """Equation 7 on one batch."""
        return deep_sad_loss(self.distance(batch.x), batch.semi, self.eta)

    def watch(self, batch: Batch) -> dict[str, Tensor]:
        """What a collapse would take away."""
        return spread(self.encoder(batch.x), self.center)

    def score(self, x: Tensor) -> Tensor:
        """Equation 4, ``(B,)``."""
        return self.distance(x).sqrt()

    def distance(self, x: Tensor) -> Tensor:
        """||phi(x) - c||^2, ``(B,)``."""
        return squared_distance(self.encoder(x), self.center)
