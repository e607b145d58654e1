"""Split conformal prediction: what held-out normal rows promise of fresh ones.

With the scores of n normal rows that did not train and a fresh normal row drawn as they were, its rank among all n + 1
is uniform. So its p-value is at most q with probability at most q, whatever the model and the distribution.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sad_lightning.errors import share


def p_values(calibration: ArrayLike, scores: ArrayLike) -> NDArray[np.float64]:
    """The share of calibration scores at least as high, the score itself counted in, ``(B,)`` in (0, 1].

    Args:
        calibration: ``(n,)`` scores of held-out normal rows, in any order.
        scores: ``(B,)``.
    """
    ascending = np.sort(np.asarray(calibration, dtype=np.float64))
    above = len(ascending) - np.searchsorted(ascending, np.asarray(scores, dtype=np.float64), side="left")
    values: NDArray[np.float64] = (1 + above) / (1 + len(ascending))
    return values


def conformal_threshold(calibration: ArrayLike, fpr: float) -> float:
    """The k-th smallest calibration score, k = ceil((n + 1)(1 - fpr)): above it, and only there, p-values are <= fpr.

    It is infinite where n is too small to promise so low a rate: k > n.

    Raises:
        InputError: ``fpr`` is not in [0, 1).
    """
    share("target_fpr", fpr)
    ascending = np.sort(np.asarray(calibration, dtype=np.float64))
    rank = math.ceil((len(ascending) + 1) * (1 - fpr) - 1e-9)  # 0.95 * 20 is 19, whatever it rounds to
    return float(ascending[rank - 1]) if rank <= len(ascending) else math.inf


def least_rows(fpr: float) -> int:
    """The fewest calibration rows for which the threshold at ``fpr`` is finite; ``fpr`` above 0."""
    return math.ceil(1 / fpr - 1e-9) - 1
