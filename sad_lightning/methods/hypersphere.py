"""The hypersphere of Deep SVDD, Deep SAD and similar methods: an encoder and a fixed center."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from sad_lightning.data.module import Batch
from sad_lightning.methods.part import Part
from sad_lightning.methods.steps import mode
from sad_lightning.networks import Network
from sad_lightning.networks.network import check_hypersphere

_LEAST_COORDINATE = 0.1


class Hypersphere(Part):
    """An encoder phi, and the center c that normal rows are mapped close to.

    Args:
        network: builds phi.

    Attributes:
        encoder: phi, ``(B, ...)`` to ``(B, D)``.
        center: c, ``(D,)``; learnt before training, then fixed.

    Raises:
        InputError: phi has a bias, an affine normalisation or a bounded activation, so that it could map every row to
            the center, unless the network has ``allow_trivial_solution``.
    """

    center: Tensor

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.encoder = network.encoder()
        if not network.allow_trivial_solution:
            check_hypersphere(self.encoder)
        self.register_buffer("center", torch.zeros(network.rep_dim))

    def forward(self, x: Tensor) -> Tensor:
        """||phi(x) - c||^2 of each row, ``(B,)``."""
        return squared_distance(self.encoder(x), self.center)

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Fix the center."""
        self.center.copy_(initial_center(self.encoder, batches))

    def watch(self, batch: Batch) -> dict[str, Tensor]:
        """Two metrics that are zero when the hypersphere has collapsed to a point."""
        return spread(self.encoder(batch.x), self.center)


@torch.no_grad()
def initial_center(encoder: nn.Module, batches: Iterable[Batch]) -> Tensor:
    """The mean representation of unlabeled and known normal rows, ``(D,)`` (ruff2020 appendix C).

    The encoder runs in eval mode. Coordinates closer to zero than 0.1 are moved to +-0.1: zero weights would match a
    coordinate at zero trivially. Without such a row it is nan.
    """
    total = count = torch.zeros((), dtype=torch.float64)
    with mode(encoder, training=False):
        for batch in batches:
            keep = (batch.semi >= 0).cpu().double()
            total = total + keep @ encoder(batch.x).cpu().double()  # on the CPU: not every device has float64
            count = count + keep.sum()
    return away_from_zero((total / count).float(), _LEAST_COORDINATE)


def away_from_zero(center: Tensor, least: float) -> Tensor:
    """The center ``(D,)`` with coordinates closer to zero than ``least`` moved to +-``least`` by their sign, 0 to +."""
    sign = torch.where(center < 0, -1.0, 1.0)
    return torch.where(center.abs() < least, sign * least, center)


def squared_distance(representation: Tensor, center: Tensor) -> Tensor:
    """||z - c||^2 of each row, ``(B, D)`` and ``(D,)`` to ``(B,)``, in float32 under any autocast."""
    return (representation.float() - center).square().sum(dim=-1)


def spread(representation: Tensor, center: Tensor) -> dict[str, Tensor]:
    """Two metrics that are zero when a hypersphere has collapsed: ``spread`` and ``score_spread``, scalars.

    The first is the deviation of the representation ``(B, D)`` over the size of the center, both as root mean squares
    of coordinates; the second is the deviation of the scores over their mean.
    """
    z = representation.float()
    deviation = (z - z.mean(dim=0)).square().mean().sqrt()
    scores = (z - center).square().sum(dim=1).sqrt()
    return {
        "spread": deviation / center.square().mean().sqrt(),
        "score_spread": scores.std(correction=0) / scores.mean(),
    }
