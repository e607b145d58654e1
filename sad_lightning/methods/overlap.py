"""Overlap (Jiang et al., KDD 2023, "Anomaly detection with score distribution discrimination").

A network scores, and the densities p_a of the scores of known anomalies and p_u of those of all others, estimated on
each batch with Gaussian kernels, shall overlap as little as they can:

    L = P_u(score > c) + P_a(score < c),   c where p_a(c) = p_u(c)

No margin and no target of the scores is set. Both shares are exact means of normal distribution functions. Where the
densities cross more than once, c is the crossing of the least L (the paper draws one of them), and where they do not,
c is halfway between the means. Scores are standardised over the batch before, as by the paper's last layer but without
its learned scale, so that ``bandwidth`` is in their deviations. S(x) is the score, before that.
"""

from typing import Unpack

import torch
from torch import Tensor, nn

from sad_lightning.checks import positive
from sad_lightning.data.module import Batch
from sad_lightning.methods.method import ANY_LABEL, Method, Shared
from sad_lightning.methods.processes import gather

_POINTS = 128  # where the densities are compared; L is flat at c, so that a finer grid changes nothing
_LEAST_DEVIATION = 1e-6


class Overlap(Method):
    """Least overlap of the densities of scores; ``bandwidth`` is of the kernels, in deviations of the scores."""

    trains_on = ANY_LABEL
    needs_anomalies = True
    bandwidth: float

    def __init__(self, *, bandwidth: float, **shared: Unpack[Shared]) -> None:
        super().__init__(bandwidth=positive("method.bandwidth", bandwidth), **shared)
        self.encoder = self.network.encoder()
        self.head = nn.Sequential(nn.LeakyReLU(0.1), nn.Linear(self.network.rep_dim, 1, bias=False))

    def loss(self, batch: Batch) -> Tensor:
        """The overlap on one batch."""
        scores = gather(self.score(batch.x))
        scores = (scores - scores.mean()) / (scores.std(correction=0) + _LEAST_DEVIATION)
        return overlap_area(scores, gather(batch.semi) < 0, self.bandwidth)

    def score(self, x: Tensor) -> Tensor:
        """The score, ``(B,)``."""
        return self.head(self.encoder(x)).squeeze(1).float()  # type: ignore[no-any-return]


def overlap_area(scores: Tensor, anomalous: Tensor, bandwidth: float) -> Tensor:
    """L, a scalar, from ``(B,)`` scores and whether each is of a known anomaly, ``(B,)``."""
    normal_share, anomaly_share = (rows / rows.sum().clamp(min=1) for rows in (~anomalous, anomalous))
    with torch.no_grad():
        fixed = scores.detach()
        low, high = fixed.min(), fixed.max()
        points = low + (high - low) * torch.linspace(0, 1, _POINTS, device=scores.device)
        away = (fixed - points[:, None]) / bandwidth  # (points, B)
        difference = (-away.square() / 2).exp() @ (anomaly_share - normal_share)
        area = _normal_cdf(away) @ normal_share + _normal_cdf(-away) @ anomaly_share
        crossing = difference[:-1] * difference[1:] < 0
        area = torch.where(crossing, area[:-1] + area[1:], torch.inf)
        between = (points[:-1] + points[1:]) / 2
        halfway = (fixed @ normal_share + fixed @ anomaly_share) / 2
        c = torch.where(crossing.any(), between.gather(0, area.argmin()[None])[0], halfway)
    away = (scores - c) / bandwidth
    return _normal_cdf(away) @ normal_share + _normal_cdf(-away) @ anomaly_share


def _normal_cdf(values: Tensor) -> Tensor:
    return (1 + torch.erf(values / 2**0.5)) / 2
