"""How well scores rank anomalies above normals: exact, in float64, on raw unbounded scores, ties included."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from sad_lightning.errors import InputError


def auroc(y: ArrayLike, scores: ArrayLike) -> float:
    """The chance that an anomaly scores above a normal, ties counting half: the area under the ROC curve.

    Args:
        y: ``(N,)`` truth, 0 normal and 1 anomaly.
        scores: ``(N,)`` any finite numbers, higher = more anomalous.

    Returns:
        A number in [0, 1]; nan where one of the two kinds is missing.
    """
    truth, values = _checked(y, scores)
    n_anomaly = int(truth.sum())
    n_normal = len(truth) - n_anomaly
    if n_anomaly == 0 or n_normal == 0:
        return float("nan")
    ranks = rankdata(values)  # ties share their mean rank
    return float((ranks[truth].sum() - n_anomaly * (n_anomaly + 1) / 2) / (n_anomaly * n_normal))


def average_precision(y: ArrayLike, scores: ArrayLike) -> float:
    """The sum of precision times the gain in recall over all thresholds, rows of equal score taken together.

    Returns:
        A number in [0, 1]; nan without anomalies.
    """
    flagged, found, n_anomaly, _ = _roc_counts(y, scores)
    if n_anomaly == 0:
        return float("nan")
    return float(np.sum(np.diff(found, prepend=0) / n_anomaly * found / flagged))


def recall_at_fpr(y: ArrayLike, scores: ArrayLike, fpr: float) -> float:
    """The largest share of anomalies that a threshold finds while flagging at most ``fpr`` of the normals.

    Returns:
        A number in [0, 1]; nan where one of the two kinds is missing.
    """
    flagged, found, n_anomaly, n_normal = _roc_counts(y, scores)
    if n_anomaly == 0 or n_normal == 0:
        return float("nan")
    within = flagged - found <= fpr * n_normal
    return float(found[within].max(initial=0) / n_anomaly)


def _roc_counts(y: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64], int, int]:
    """Rows flagged and anomalies found at each distinct threshold, from the highest down; anomalies, normals in all."""
    truth, values = _checked(y, scores)
    order = np.argsort(-values, kind="stable")
    last = np.append(np.flatnonzero(np.diff(values[order])), len(values) - 1)  # of each group of ties
    found = np.cumsum(truth[order])[last]
    return last + 1, found, int(truth.sum()), int(len(truth) - truth.sum())


def _checked(y: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    truth, values = np.asarray(y), np.asarray(scores, dtype=np.float64)
    if truth.shape != values.shape or truth.ndim != 1 or len(truth) == 0:
        raise InputError(f"scores: one score a row is needed, got {values.shape} scores for {truth.shape} rows")
    if not np.isin(truth, (0, 1)).all():
        raise InputError(f"y: must be 0 normal or 1 anomaly, got {np.unique(truth)[:5].tolist()}")
    if not np.isfinite(values).all():
        raise InputError(
            f"scores: must be finite, {int((~np.isfinite(values)).sum())} of {len(values)} are not; the training "
            f"diverged, lower optimizer.lr"
        )
    return truth.astype(bool), values
