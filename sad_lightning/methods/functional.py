"""Maths that methods share."""

import torch
from torch import Tensor


def squared_distance(representation: Tensor, center: Tensor) -> Tensor:
    """||z - c||^2 of each row, ``(B, D)`` and ``(D,)`` to ``(B,)``, in float32 under any autocast."""
    return (representation.float() - center).square().sum(dim=-1)


def reconstruction_error(reconstruction: Tensor, x: Tensor) -> Tensor:
    """Mean squared error of each row over all its values, ``(B, ...)`` to ``(B,)``, in float32 under any autocast."""
    return (reconstruction.float() - x).square().flatten(start_dim=1).mean(dim=1)


def away_from_zero(center: Tensor, least: float) -> Tensor:
    """The center with coordinates closer to zero than ``least`` pushed to +-``least``, sign kept, zero to +."""
    sign = torch.where(center < 0, -1.0, 1.0)
    return torch.where(center.abs() < least, sign * least, center)


def exponential_cross_entropy(distance: Tensor, semi: Tensor) -> Tensor:
    """Binary cross-entropy of p(normal) = exp(-distance), ``(B,)``: d where normal, -log(1 - exp(-d)) where anomalous.

    ``semi`` below 0 is anomalous, all else normal. 1e-6 is added to distances before the logarithm.
    """
    anomalous = -torch.log(-torch.expm1(-(distance + 1e-6)))
    return torch.where(semi < 0, anomalous, distance)


def gathered(values: Tensor) -> Tensor:
    """The values of all processes of a distributed run, one after the other, without gradient; else as they are."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return values.detach()
    parts = [torch.empty_like(values) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(parts, values.detach().contiguous())
    return torch.cat(parts)


_WIDEST = 40.0  # of log-variances


def gaussian(heads: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of a Gaussian, the halves of what an encoder of two heads gives, ``(..., 2D)``, in float32.

    The log-variance is at most 40. Beyond 88, where a value far from all others leads, the square of a sample is no
    number in float32, and what should have no gradient has one of nan.
    """
    mean, log_variance = heads.float().chunk(2, dim=-1)
    return mean, log_variance.clamp(max=_WIDEST)


def gaussian_kl(mean: Tensor, log_variance: Tensor, prior: float) -> Tensor:
    """KL(N(mean, diag exp(log_variance)) || N(prior 1, I)) of each row, ``(B, D)`` twice to ``(B,)``."""
    return 0.5 * (log_variance.exp() + (mean - prior).square() - 1 - log_variance).sum(dim=-1)
