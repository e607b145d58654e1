"""The threshold that holds a false-positive rate: ye2021 Algorithm 1, and split-conformal with its guarantee.

Of n sorted calibration scores s of normal samples, and a target rate a = 1 - q:

    Algorithm 1   tau = s_(ceil(q n))           the empirical rate on these n rows is at most a
    conformal     tau = s_(ceil(q (n + 1)))     the chance that a new normal sample scores above is at most a

The guarantee of the second holds for any distribution and any n, over the draw of the calibration rows and of the new
sample, where these are exchangeable: the calibration rows must not have trained the detector. For one given set of n
rows the rate itself is random, Beta(n + 1 - k, k) with k = ceil(q (n + 1)) where scores do not tie.

That rate says little of what is flagged: among a thousand normal rows and five anomalies, 5 % are fifty false ones. The
false-discovery rate does. Of m rows, Benjamini and Hochberg (1995) flag those whose p-value is at most p, the largest
that at least p m / a of them reach. The share of normal rows among the flagged is then expected to be at most a (Bates
et al. 2023, theorem 2: p-values that share calibration rows are positively dependent).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sad_lightning.checks import fraction
from sad_lightning.errors import InputError

_ROUNDING = 1e-9  # 0.95 * 100 is 95, whatever it rounds to


def threshold_at_fpr(normal_scores: ArrayLike, fpr: float) -> float:
    """The score above which at most ``fpr`` of the given normal scores lie; flag ``score > threshold``.

    With q = 1 - fpr and the n sorted scores s it is s_(ceil(q n)), the smallest such threshold: it solves equation 3.2,
    the highest recall at an empirical rate of at most fpr. The supremum that the paper writes, max{u : F0(u) <= q}, is
    not attained; it is the same score, but for a whole q n, where it is the next and flags one row less than allowed.

    Raises:
        InputError: ``fpr`` is not in [0, 1), or there is no score.
    """
    fraction("target_fpr", fpr)
    scores = np.sort(np.asarray(normal_scores, dtype=np.float64))
    if not len(scores):
        raise InputError("target_fpr: a threshold needs at least one score of a normal row, got none")
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
    rank = conformal_rank(len(scores), fpr)
    return float(scores[rank - 1]) if rank <= len(scores) else math.inf


def conformal_rank(n: int, fpr: float) -> int:
    """Which of n sorted scores is the conformal threshold, counted from 1; n + 1 where none is."""
    return max(math.ceil((1 - fpr) * (n + 1) - _ROUNDING), 1)  # all but the lowest, for a rate of nearly 1


def promises(count: int, fpr: float) -> bool:
    """Whether so many calibration rows suffice for a finite threshold that promises ``fpr``."""
    return math.isfinite(conformal_threshold(np.zeros(count), fpr))


def p_values(normal_scores: ArrayLike, scores: ArrayLike) -> NDArray[np.float64]:
    """The conformal p-value of each score, ``(N,)``: (1 + how many of the n calibration scores reach it) / (n + 1).

    Of a new normal sample it is at most a with a chance of at most a, for every a in (0, 1).
    """
    calibration = np.sort(np.asarray(normal_scores, dtype=np.float64))
    below = np.searchsorted(calibration, np.asarray(scores, dtype=np.float64), side="left")
    return np.asarray((1 + len(calibration) - below) / (len(calibration) + 1))


def reached_by(normal_scores: ArrayLike, scores: ArrayLike) -> NDArray[np.int64]:
    """How many of the scores are reached by 0, 1, ..., n of the calibration scores, ``(n + 1,)``.

    Of many rows it is all that ``threshold_at_fdr`` must know: the counts of their parts add up.
    """
    calibration = np.sort(np.asarray(normal_scores, dtype=np.float64))
    below = np.searchsorted(calibration, np.asarray(scores, dtype=np.float64), side="left")
    return np.bincount(len(calibration) - below, minlength=len(calibration) + 1)


def threshold_at_fdr(normal_scores: ArrayLike, counts: ArrayLike, fdr: float) -> float:
    """The score above which rows are flagged, of which at most ``fdr`` are expected to be normal.

    Args:
        normal_scores: ``(n,)`` of normal rows that did not train.
        counts: ``(n + 1,)`` of all rows that are decided on together, by ``reached_by``.
        fdr: the false-discovery rate.

    Returns:
        A score; inf where none is flagged, for those above all calibration scores make up less than 1 / (fdr (n + 1))
        of the rows.

    Raises:
        InputError: ``fdr`` is not in [0, 1).
    """
    fraction("fdr", fdr)
    scores, flagged = np.sort(np.asarray(normal_scores, dtype=np.float64)), np.cumsum(counts)
    n = len(scores)
    p = np.arange(1, n + 2) / (n + 1)
    allowed = np.flatnonzero((p * flagged[-1] <= fdr * flagged * (1 + _ROUNDING)) & (flagged > 0))
    return float(scores[n - 1 - allowed[-1]]) if len(allowed) else math.inf  # never all: the last p is one
