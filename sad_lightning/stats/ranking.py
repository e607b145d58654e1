"""How well scores rank anomalies above normals: exact, in float64, on raw unbounded scores, ties included.

What takes truth and scores raises an ``InputError`` where there is no row, not one score a row, a truth that is neither
0 nor 1, or a score that is not finite.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from sad_lightning.errors import InputError


class Interval(NamedTuple):
    """A confidence interval; nan where there is too little to tell."""

    low: float
    high: float


def auroc(y: ArrayLike, scores: ArrayLike) -> float:
    """The chance that an anomaly scores above a normal, ties counting half: the area under the ROC curve.

    Args:
        y: ``(N,)`` truth, 0 normal and 1 anomaly.
        scores: ``(N,)`` any finite numbers, higher = more anomalous.

    Returns:
        A number in [0, 1]; nan where one of the two kinds is missing.
    """
    truth, values = _check_scores(y, scores)
    n_anomaly = int(truth.sum())
    n_normal = len(truth) - n_anomaly
    if n_anomaly == 0 or n_normal == 0:
        return float("nan")
    ranks = midranks(values)
    return float((ranks[truth].sum() - n_anomaly * (n_anomaly + 1) / 2) / (n_anomaly * n_normal))


def auroc_interval(y: ArrayLike, scores: ArrayLike, confidence: float = 0.95) -> Interval:
    """The interval of the AUROC over test rows drawn anew, by DeLong's variance; exact with ties, in O(N log N).

    DeLong et al. 1988, read off the counts at each threshold. An anomaly's placement is the share of normals below it,
    a normal's the share of anomalies above it, ties counting half. The variance is::

        var(placements of anomalies) / n_anomaly + var(placements of normals) / n_normal

    It speaks of one trained model: another seed or class varies by more. At an AUROC of exactly 0 or 1 it vanishes.

    Returns:
        Two numbers in [0, 1]; nan where one of the two kinds has less than two rows.
    """
    flagged, hits, n_anomaly, n_normal = _roc_counts(y, scores)
    if n_anomaly < 2 or n_normal < 2:
        return Interval(math.nan, math.nan)
    false = flagged - hits  # normals flagged, from the highest threshold down
    anomalies, normals = np.diff(hits, prepend=0), np.diff(false, prepend=0)  # of each group of ties
    below = (n_normal - false + normals / 2) / n_normal  # placement of each group's anomalies,
    above = (hits - anomalies / 2) / n_anomaly  # and of its normals
    center = float(anomalies @ below) / n_anomaly
    variance = float(anomalies @ (below - center) ** 2) / (n_anomaly - 1) / n_anomaly
    variance += float(normals @ (above - center) ** 2) / (n_normal - 1) / n_normal
    half = float(ndtri((1 + confidence) / 2)) * math.sqrt(variance)
    return Interval(max(center - half, 0.0), min(center + half, 1.0))


def midranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """``(N,)`` ranks from 1, the smallest first; ties share their mean rank.

    Equal to ``scipy.stats.rankdata``, whose import alone takes a second: a report opens in two.
    """
    order = np.argsort(values)
    starts = np.flatnonzero(np.diff(values[order], prepend=np.nan) != 0)  # of each group of ties
    sizes = np.diff(starts, append=len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat(starts + (sizes + 1) / 2, sizes)
    return ranks


def roc_curve(y: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False-positive rate and recall at each distinct threshold, from (0, 0) to (1, 1); ties taken together.

    Returns:
        Two arrays ``(T + 1,)``, both rising; empty where one of the two kinds is missing.
    """
    flagged, hits, n_anomaly, n_normal = _roc_counts(y, scores)
    if n_anomaly == 0 or n_normal == 0:
        return np.empty(0), np.empty(0)
    return np.append(0.0, (flagged - hits) / n_normal), np.append(0.0, hits / n_anomaly)


def average_precision(y: ArrayLike, scores: ArrayLike) -> float:
    """The sum of precision times the gain in recall over all thresholds, rows of equal score taken together.

    Returns:
        A number in [0, 1]; nan without anomalies.
    """
    flagged, hits, n_anomaly, _ = _roc_counts(y, scores)
    if n_anomaly == 0:
        return float("nan")
    return float(np.sum(np.diff(hits, prepend=0) / n_anomaly * hits / flagged))


def recall_at_fpr(y: ArrayLike, scores: ArrayLike, fpr: float) -> float:
    """The largest share of anomalies that a threshold finds while flagging at most ``fpr`` of the normals.

    Returns:
        A number in [0, 1]; nan where one of the two kinds is missing.
    """
    flagged, hits, n_anomaly, n_normal = _roc_counts(y, scores)
    if n_anomaly == 0 or n_normal == 0:
        return float("nan")
    within = flagged - hits <= fpr * n_normal + 1e-9  # 0.29 * 100 is 29, whatever it rounds to
    return float(hits[within].max(initial=0) / n_anomaly)


def _roc_counts(y: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
    """Rows flagged and anomalies found at each distinct threshold, from the highest down; anomalies, normals in all."""
    truth, values = _check_scores(y, scores)
    order = np.argsort(values)[::-1]
    last = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)  # of each group of ties
    hits = np.cumsum(truth[order])[last]
    return last + 1, hits, int(truth.sum()), int(len(truth) - truth.sum())


def _check_scores(y: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    truth, values = np.asarray(y), np.asarray(scores, dtype=np.float64)
    if truth.shape != values.shape or truth.ndim != 1 or len(truth) == 0:
        raise InputError(f"scores: one score a row is needed, got {values.shape} scores for {truth.shape} rows")
    if not np.isin(truth, (0, 1)).all():
        raise InputError(f"y: must be 0 normal or 1 anomaly, got {np.unique(truth)[:5].tolist()}")
    if not np.isfinite(values).all():
        raise InputError(
            f"scores: must be finite, {int((~np.isfinite(values)).sum())} of {len(values)} are not; the training "
            f"diverged or trainer.precision is too low, lower optimizer.lr"
        )
    return truth.astype(bool), values
