"""The cross-entropy of methods whose probability of a normal sample is exp(-d) (HSC, ABC)."""

import torch
from torch import Tensor


def exponential_cross_entropy(distance: Tensor, semi: Tensor) -> Tensor:
    """Binary cross-entropy of p(normal) = exp(-d) in each row: d where normal, -log(1 - exp(-d)) where anomalous.

    Distances d, ``(B,)``, are at least 0, and 1e-6 is added before the logarithm. A label below 0 is anomalous, all
    else counts as normal.
    """
    anomalous = -torch.log(-torch.expm1(-(distance + 1e-6)))
    return torch.where(semi < 0, anomalous, distance)
