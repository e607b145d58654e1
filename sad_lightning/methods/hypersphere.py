"""What hypersphere methods share: the center, the radius, and how much is left of the representation."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from sad_lightning.data.module import Batch
from sad_lightning.methods.functional import away_from_zero

_LEAST_COORDINATE = 0.1


@torch.no_grad()
def initial_center(encoder: nn.Module, batches: Iterable[Batch]) -> Tensor:
    """The mean representation of unlabeled and known normal rows, ``(D,)`` (ruff2020 appendix C).

    Known anomalies are left out. The encoder runs in eval mode and comes back in the mode it had. Coordinates closer
    to zero than 0.1 are pushed to +-0.1: a coordinate at zero is matched trivially by zero weights.
    """
    training = encoder.training
    encoder.eval()
    total = count = torch.zeros((), dtype=torch.float64)
    for batch in batches:
        keep = (batch.semi >= 0).cpu().double()
        total = total + keep @ encoder(batch.x).cpu().double()  # on the CPU: not every device has float64
        count = count + keep.sum()
    encoder.train(training)
    return away_from_zero((total / count).float(), _LEAST_COORDINATE)


def solve_radius(distance: Tensor, semi: Tensor, *, eta: float, nu: float) -> Tensor:
    """The radius that minimises the soft-boundary objective for given distances, exactly; a scalar.

    In r = R^2 the objective of ruff2019 equation 3 is convex and piecewise linear,

        r + 1/(nu B) (sum over unlabeled max(0, d - r) + eta sum over known normals max(0, d - r)
                      + eta sum over known anomalies max(0, r - d)).

    Its slope at r is 1 - (n_u + eta n_+ - C(r)) / (nu B), where C(r) adds up the weights (1 unlabeled, eta labeled) of
    all rows with d <= r, anomalies too. So the minimiser is a weighted quantile: the smallest d with
    C(d) >= n_u + eta n_+ - nu B, and 0 where that number is not positive. Where the objective is flat this is the lower
    end. Without labels it is the ceil(B (1 - nu))-th smallest d.

    Args:
        distance: ``(B,)`` squared distances to the center.
        semi: ``(B,)`` labels; all 0 for the unsupervised objective (equation 1).
        eta: weight of labeled rows.
        nu: in (0, 1], the share of weight that may lie outside.
    """
    weight = torch.where(semi == 0, 1.0, eta)
    needed = torch.where(semi < 0, 0.0, weight).sum() - nu * len(distance)
    needed = needed - 1e-6 * weight.sum()  # 180.00001 needed of 180 reached is rounding
    ascending, order = distance.sort()
    reached = weight[order].cumsum(dim=0) >= needed
    squared = torch.where(reached, ascending, torch.inf).amin()
    return torch.where(needed > 0, squared, 0.0).sqrt()


def solve_radius_everywhere(method: nn.Module, batches: Iterable[Batch], *, eta: float, nu: float) -> Tensor:
    """``solve_radius`` over the distances of all training rows, in eval mode; ``method`` has a ``distance``."""
    with torch.no_grad():
        training = method.training
        method.eval()
        found = [(method.distance(batch.x), batch.semi) for batch in batches]  # type: ignore[operator]
        method.train(training)
    distance, semi = (torch.cat(parts) for parts in zip(*found, strict=True))
    return solve_radius(distance, semi, eta=eta, nu=nu)


def spread(representation: Tensor, center: Tensor) -> dict[str, Tensor]:
    """What vanishes when a hypersphere collapses: ``spread`` and ``score_spread``, scalars.

    The first is the deviation of the representation over the size of the center, both as root mean squares of
    coordinates; the second is the deviation of the scores over their mean.

    Args:
        representation: ``(B, D)``.
        center: ``(D,)``.
    """
    z = representation.float()
    deviation = (z - z.mean(dim=0)).square().mean().sqrt()
    scores = (z - center).square().sum(dim=1).sqrt()
    return {
        "spread": deviation / center.square().mean().sqrt(),
        "score_spread": scores.std(correction=0) / scores.mean(),
    }
