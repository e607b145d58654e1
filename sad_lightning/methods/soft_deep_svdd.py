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

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from sad_lightning.checks import fraction_to_one
from sad_lightning.data.module import Batch
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.functional import gathered, squared_distance
from sad_lightning.methods.hypersphere import initial_center, solve_radius, solve_radius_everywhere, spread
from sad_lightning.methods.method import Method
from sad_lightning.networks import Network
from sad_lightning.networks.network import check_hypersphere


def soft_deep_svdd_loss(distance: Tensor, radius: Tensor, nu: float) -> Tensor:
    """Equation 1 on one batch, without the weight decay: a scalar.

    Args:
        distance: ``(B,)`` squared distances to the center.
        radius: R, a scalar.
        nu: the share that may lie outside.
    """
    squared = radius.square()
    return squared + (distance - squared).clamp(min=0).mean() / nu


class SoftDeepSVDD(Method):
    """Soft-boundary Deep SVDD.

    Args:
        network: builds phi.
        optimizer: learning rate, schedule and lambda.
        nu: in (0, 1], the share of training rows that may lie outside; 0.01 and 0.1 in the paper.
        allow_trivial_solution: accept a network that can map everything to the center.

    Raises:
        InputError: nu is out of range, or phi has a bias, an affine normalisation or a bounded activation.
    """

    rows = frozenset({0, 1})
    starts_from = ("encoder",)
    center: Tensor
    radius: Tensor

    def __init__(
        self,
        *,
        network: Network | Mapping[str, Any],
        optimizer: Adam | Mapping[str, Any],
        nu: float,
        allow_trivial_solution: bool,
    ) -> None:
        super().__init__(network=network, optimizer=optimizer, nu=nu, allow_trivial_solution=allow_trivial_solution)
        self.nu = fraction_to_one("method.nu", nu)
        self.encoder = self.network.encoder()
        check_hypersphere(self.encoder, allow_trivial_solution=allow_trivial_solution)
        self.register_buffer("center", torch.zeros(self.network.rep_dim))
        self.register_buffer("radius", torch.zeros(()))

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Fix the center."""
        self.center.copy_(initial_center(self.encoder, batches))

    def loss(self, batch: Batch) -> Tensor:
        """Equation 1 on one batch, R as the last batch left it; in training mode R is then solved on this one."""
        distance = self.distance(batch.x)
        loss = soft_deep_svdd_loss(distance, self.radius, self.nu)
        if self.training:
            everywhere = gathered(distance)
            self.radius.copy_(solve_radius(everywhere, torch.zeros_like(everywhere), eta=1.0, nu=self.nu))
        return loss

    def finish(self, batches: Iterable[Batch]) -> None:
        """Solve R on all training rows."""
        unlabeled = (batch._replace(semi=torch.zeros_like(batch.semi)) for batch in batches)
        self.radius.copy_(solve_radius_everywhere(self, unlabeled, eta=1.0, nu=self.nu))

    def watch(self, batch: Batch) -> dict[str, Tensor]:
        """R, the share outside, and what a collapse would take away."""
        representation = self.encoder(batch.x)
        outside = squared_distance(representation, self.center) > self.radius.square()
        return {"radius": self.radius, "outside": outside.float().mean(), **spread(representation, self.center)}

    def score(self, x: Tensor) -> Tensor:
        """The distance to the center, ``(B,)``."""
        return self.distance(x).sqrt()

    def margin(self, x: Tensor) -> Tensor:
        """The distance to the sphere, ``(B,)``, above zero outside."""
        return self.score(x) - self.radius

    def distance(self, x: Tensor) -> Tensor:
        """||phi(x) - c||^2, ``(B,)``."""
        return squared_distance(self.encoder(x), self.center)
