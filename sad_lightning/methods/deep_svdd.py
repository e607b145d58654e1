"""One-class Deep SVDD (Ruff et al., ICML 2018; ruff2020 equations 3 and 4).

An encoder phi without biases, started from an autoencoder, maps all samples close to a fixed center c:

    1/n sum over x ||phi(x) - c||^2  +  lambda/2 ||W||^2      the second term is in the optimiser

The center is the mean representation before training; S(x) = ||phi(x) - c||. Labels are not used: known anomalies
are dropped, known normals are samples like any other.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from sad_lightning.data.module import Batch
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.functional import squared_distance
from sad_lightning.methods.hypersphere import initial_center, spread
from sad_lightning.methods.method import Method
from sad_lightning.networks import Network
from sad_lightning.networks.network import check_hypersphere


class DeepSVDD(Method):
    """One-class Deep SVDD.

    Args:
        network: builds phi.
        optimizer: learning rate, schedule and lambda.
        allow_trivial_solution: accept a network that can map everything to the center.

    Raises:
        InputError: phi has a bias, an affine normalisation or a bounded activation.
    """

    rows = frozenset({0, 1})
    starts_from = ("encoder",)
    center: Tensor

    def __init__(
        self,
        *,
        network: Network | Mapping[str, Any],
        optimizer: Adam | Mapping[str, Any],
        allow_trivial_solution: bool,
    ) -> None:
        super().__init__(network=network, optimizer=optimizer, allow_trivial_solution=allow_trivial_solution)
        self.encoder = self.network.encoder()
        check_hypersphere(self.encoder, allow_trivial_solution=allow_trivial_solution)
        self.register_buffer("center", torch.zeros(self.network.rep_dim))

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Fix the center."""
        self.center.copy_(initial_center(self.encoder, batches))

    def loss(self, batch: Batch) -> Tensor:
        """Equation 3 on one batch."""
        return self.distance(batch.x).mean()

    def watch(self, batch: Batch) -> dict[str, Tensor]:
        """What a collapse would take away."""
        return spread(self.encoder(batch.x), self.center)

    def score(self, x: Tensor) -> Tensor:
        """Equation 4, ``(B,)``."""
        return self.distance(x).sqrt()

    def distance(self, x: Tensor) -> Tensor:
        """||phi(x) - c||^2, ``(B,)``."""
        return squared_distance(self.encoder(x), self.center)
