"""The risk of learning from known anomalies and unlabeled rows, some of which are anomalies too (PU-SVDD, PU-AE)."""

import torch
from torch import Tensor

from sad_lightning.methods.processes import gather


def positive_unlabeled_risk(as_normal: Tensor, as_anomaly: Tensor, semi: Tensor, pollution_ratio: float) -> Tensor:
    """The expected loss where a share alpha of the unlabeled rows are anomalies, a scalar (Takahashi et al. 2024).

        alpha E_A[l_a] + |E_U[l_n] - alpha E_A[l_n]|

    Unlabeled rows U are anomalies by alpha and normal by 1 - alpha, so that what is left of their loss without that of
    the known anomalies A is (1 - alpha) E_N[l_n], the loss of the normal ones; it cannot be negative, hence the
    absolute value.

    Args:
        as_normal: l_n, what each row costs if it is normal, ``(B,)``.
        as_anomaly: l_a, what each row costs if it is an anomaly, ``(B,)``.
        semi: ``(B,)`` labels; below 0 is a known anomaly, all others are U.
        pollution_ratio: alpha, in [0, 1).
    """
    as_normal, as_anomaly, known = gather(as_normal), gather(as_anomaly), gather(semi) < 0

    def mean(values: Tensor, rows: Tensor) -> Tensor:
        return torch.where(rows, values, 0).sum() / rows.sum().clamp(min=1)

    normal = mean(as_normal, ~known) - pollution_ratio * mean(as_normal, known)
    return pollution_ratio * mean(as_anomaly, known) + normal.abs()
