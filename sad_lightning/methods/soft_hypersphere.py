"""The hypersphere of the soft-boundary methods, whose radius is not learned by gradients but solved for exactly."""

from collections.abc import Iterable

import torch
from torch import Tensor

from sad_lightning.data.module import Batch
from sad_lightning.methods.hypersphere import Hypersphere
from sad_lightning.methods.processes import gather
from sad_lightning.methods.steps import mode
from sad_lightning.networks import Network


class SoftHypersphere(Hypersphere):
    """A hypersphere with a radius R; a share nu of the training rows may lie outside.

    R is solved for after each step from the distances of its batch (ruff2019 algorithm 1), and after training from
    those of all training rows, since the radius of one batch is noisy.

    Args:
        network: builds the encoder.
        nu: in (0, 1], the share of weight that may lie outside.
        eta: weight of labeled rows against unlabeled ones.

    Attributes:
        radius: R, a scalar.

    Raises:
        InputError: as ``Hypersphere`` does.
    """

    radius: Tensor

    def __init__(self, network: Network, *, nu: float, eta: float = 1.0) -> None:
        super().__init__(network)
        self.nu, self.eta = nu, eta
        self.register_buffer("radius", torch.zeros(()))

    def margin(self, x: Tensor) -> Tensor:
        """The distance of each row to the sphere, ``(B,)``, above zero outside."""
        return self(x).sqrt() - self.radius

    def solve(self, batch: Batch, output: Tensor) -> None:
        """Solve R from the squared distances ``output``, ``(B,)``, of all processes."""
        self.radius.copy_(solve_radius(gather(output), gather(batch.semi), eta=self.eta, nu=self.nu))

    @torch.no_grad()
    def finish(self, batches: Iterable[Batch]) -> None:
        """Solve R on all training rows, in eval mode."""
        with mode(self, training=False):
            distances, labels = zip(*((self(batch.x), batch.semi) for batch in batches), strict=True)
        self.radius.copy_(solve_radius(torch.cat(distances), torch.cat(labels), eta=self.eta, nu=self.nu))

    def watch(self, batch: Batch) -> dict[str, Tensor]:
        """R, the share outside, and the metrics of ``Hypersphere``."""
        outside = self(batch.x) > self.radius.square()
        return {"radius": self.radius, "outside": outside.float().mean(), **super().watch(batch)}


def solve_radius(distance: Tensor, semi: Tensor, *, eta: float, nu: float) -> Tensor:
    """The radius that minimises the soft-boundary objective for given distances, exactly; a scalar.

    In r = R^2 the objective of ruff2019 equation 3 is convex and piecewise linear,

        r + 1/(nu B) (sum over unlabeled max(0, d - r) + eta sum over known normals max(0, d - r)
                      + eta sum over known anomalies max(0, r - d)).

    Its slope at r is 1 - (n_u + eta n_+ - C(r)) / (nu B), where C(r) adds up the weights (1 unlabeled, eta labeled) of
    all rows with d <= r, anomalies too. So the minimiser is a weighted quantile: the smallest d with
    C(d) >= n_u + eta n_+ - nu B, and 0 if that number is not positive. If the objective is flat there, this is the
    lower end of the interval. Without labels it is the ceil(B (1 - nu))-th smallest d.

    Args:
        distance: ``(B,)`` squared distances to the center.
        semi: ``(B,)`` labels; all 0 for the unsupervised objective (equation 1).
        eta: weight of labeled rows.
        nu: in (0, 1], the share of weight that may lie outside.
    """
    weight = torch.where(semi == 0, 1.0, eta)
    needed = torch.where(semi < 0, 0.0, weight).sum() - nu * len(distance)
    needed = needed - 1e-6 * weight.sum()  # rounding may have made 180.00001 of 180
    ascending, order = distance.sort()
    reached = weight[order].cumsum(dim=0) >= needed
    squared = torch.where(reached, ascending, torch.inf).amin()
    return torch.where(needed > 0, squared, 0.0).sqrt()
