"""The threshold that holds a false-positive rate: ye2021 Algorithm 1, and split-conformal with its guarantee.

Of n sorted calibration scores s of normal samples, and a target rate a = 1 - q:

    Algorithm 1   tau = s_(ceil(q n))           the empirical rate on these n rows is at most a
    conformal     tau = s_(ceil(q (n + 1)))     the chance that a new normal sample scores above is at most a

The guarantee of the second holds for any distribution and any n, over the draw of the calibration rows and of the new
sample, where these are exchangeable: the calibration rows must not have trained the detector. For one given set of n
rows the rate itself is random, Beta(n + 1 - k, k) with k = ceil(q (n + 1)) where scores do not tie.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sad_lightning.checks import fraction

_ROUNDING = 1e-9  # 0.95 * 100 is 95, whatever it rounds to


def threshold_at_fpr(normal_scores: ArrayLike, fpr: float) -> float:
    """The score above which at most ``fpr`` of the given normal scores lie; flag ``score > threshold``.

    With q = 1 - fpr and the n sorted scores s it is s_(ceil(q n)), the smallest such threshold: it solves equation 3.2,
    the highest recall at an empirical rate of at most fpr. The supremum that the paper writes, max{u : F0(u) <= q}, is
    not attained; it is the same score, but for a whole q n, where it is the next and flags one row less than allowed.

    Raises:
        InputError: ``fpr`` is not in [0, 1).
    """
    fraction("target_fpr", fpr)
    scores = np.sort(np.asarray(normal_scores, dtype=np.float64))
    return float(scores[rank_at_fpr(len(scores), fpr)])


def rank_at_fpr(n: int, fpr: float) -> int:
    """Where Algorithm 1 reads its threshold off n sorted scores, counted from 0."""
    return max(math.ceil((1 - fpr) * n - _ROUNDING) - 1, 0)


def conformal_threshold(normal_scores: ArrayLike, fpr: float) -> float:
    """The score above which a new normal sample lies with a chance of at most ``fpr``; flag ``score > threshold``.

    It flags what ``p_values`` calls at most ``fpr``.

    Returns:
        A score; inf where there are fewer than 1 / fpr - 1 calibration rows, so that nothing may be flagged.

    Raises:
        InputError: ``fpr`` is not in [0, 1).
    """
    fraction("target_fpr", fpr)
    scores = np.sort(np.asarray(normal_scores, dtype=np.float64))
    rank = math.ceil((1 - fpr) * (len(scores) + 1) - _ROUNDING)
    return float(scores[rank - 1]) if rank <= len(scores) else math.inf


def p_values(normal_scores: ArrayLike, scores: ArrayLike) -> NDArray[np.float64]:
    """The conformal p-value of each score, ``(N,)``: (1 + how many of the n calibration scores reach it) / (n + 1).

    Of a new normal sample it is at most a with a chance of at most a, for every a in (0, 1).
    """
    calibration = np.sort(np.asarray(normal_scores, dtype=np.float64))
    below = np.searchsorted(calibration, np.asarray(scores, dtype=np.float64), side="left")
    return np.asarray((1 + len(calibration) - below) / (len(calibration) + 1))
