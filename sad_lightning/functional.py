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
