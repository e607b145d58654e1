"""Relative scoring bias: what one detector's recall gains or loses on another's at one false-positive rate (ye2021).

With thresholds t, t' that hold the false-positive rate 1 - q under the scores s, s' (Algorithm 1)::

    xi(s, s') = TPR(s', t') - TPR(s, t)                    equation 3.4; from samples, equation 3.5
              = F_a(F_0^-1(q)) - F'_a(F'_0^-1(q))          Proposition 1
              = Phi((sigma_0 z + mu_0 - mu_a) / sigma_a) - Phi((sigma'_0 z + mu'_0 - mu'_a) / sigma'_a)
                                                           Corollary 2, Gaussian scores, z = Phi^-1(q)

F_0 and F_a are the distributions of s over normal and anomalous samples. Above zero, s' finds more anomalies than s.

Intervals of xi come in two kinds. The first needs no assumption: by the inequality of Dvoretzky, Kiefer, Wolfowitz and
Massart (equation B.1) all of an empirical distribution of n samples lies within sqrt(log(2 / delta) / (2 n)) of the
true one with probability 1 - delta. So the true quantile lies between two order statistics of the normals, and the
recall at it within a band of the recall between those: no Lipschitz constant is needed, where Theorem 3 needs two. The
second is the percentile bootstrap over normals and over anomalies, both scores of a row together; narrower, exact in
the limit only. Both speak of two trained detectors: what another training would change is not in them.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from sad_lightning.checks import fraction, positive
from sad_lightning.errors import InputError
from sad_lightning.stats.ranking import Interval
from sad_lightning.stats.threshold import rank_at_fpr

Floats = NDArray[np.float64]
_CHUNK = 4_000_000  # comparisons at a time


UP, DOWN, UNDECIDED = "up", "down", "undecided"


def verdict(interval: Interval) -> str:
    """``up`` or ``down`` where the interval of a difference leaves zero out, else ``undecided``; nan is undecided."""
    return UP if interval.low > 0 else DOWN if interval.high < 0 else UNDECIDED


class Bias(NamedTuple):
    """The empirical relative scoring bias of one score against another.

    Attributes:
        recalls: of the first and of the second score; xi is the second less the first.
        dkw: the interval of xi without any assumption.
    """

    recalls: tuple[float, float]
    dkw: Interval


def relative_scoring_bias(normals: ArrayLike, anomalies: ArrayLike, *, fpr: float, confidence: float = 0.95) -> Bias:
    """Equation 3.5, with the first interval; for the second see ``bootstrap_biases``.

    Args:
        normals: ``(2, n)`` both scores of the normal rows that set both thresholds.
        anomalies: ``(2, m)`` both scores of anomalies of one kind.
        fpr: the false-positive rate 1 - q.
        confidence: of the interval.

    Raises:
        InputError: the shapes do not fit, a score is not finite, or ``fpr`` or ``confidence`` is out of range.
    """
    fraction("target_fpr", fpr)
    normal, anomaly = (_both(name, values) for name, values in (("normals", normals), ("anomalies", anomalies)))
    ordered = np.sort(normal, axis=1)
    thresholds = ordered[:, rank_at_fpr(normal.shape[1], fpr)]
    before, after = (anomaly > thresholds[:, None]).mean(axis=1).tolist()
    return Bias((before, after), _dkw_interval(ordered, anomaly, fpr, confidence))


def dkw_radius(n: int, delta: float) -> float:
    """How far the empirical distribution of n samples may be off anywhere, but for a chance of ``delta`` (B.1)."""
    return math.sqrt(math.log(2 / delta) / (2 * n))


def _dkw_interval(ordered: Floats, anomaly: Floats, fpr: float, confidence: float) -> Interval:
    delta = (1 - fraction("confidence", confidence)) / 4  # two scores, each over normals and over anomalies
    n, m = ordered.shape[1], anomaly.shape[1]
    off, band = dkw_radius(n, delta), dkw_radius(m, delta)
    bounds = []
    for s, a in zip(ordered, anomaly, strict=True):
        lowest, highest = _quantiles(s, 1 - fpr, off)
        bounds.append((max((a > highest).mean() - band, 0.0), min((a > lowest).mean() + band, 1.0)))
    (low, high), (low2, high2) = bounds
    return Interval(float(low2 - high), float(high2 - low))


def _quantiles(ordered: Floats, q: float, off: float) -> tuple[float, float]:
    """Scores below and above the true q-quantile where the empirical distribution is ``off`` at most."""
    n = len(ordered)
    low = math.ceil((q - off) * n) - 1  # F(x) < q wherever the empirical share is below q - off
    high = math.ceil((q + off) * n) - 1  # F(x) >= q where it is q + off
    return (float(ordered[low]) if low >= 0 else -math.inf), (float(ordered[high]) if high < n else math.inf)


def bootstrap_biases(
    normals: ArrayLike, anomalies: ArrayLike, *, fpr: float, resamples: int = 1000, seed: int = 0
) -> Floats:
    """The bias in resampled rows, ``(resamples,)``; arguments as ``relative_scoring_bias`` has them.

    Each resampled row keeps both its scores. Of the anomalies only two counts matter: how many the second score finds
    and the first does not, and the reverse, at the thresholds of the resampled normals.
    """
    normal, anomaly = (_both(name, values) for name, values in (("normals", normals), ("anomalies", anomalies)))
    generator = np.random.default_rng(seed)
    n, m = normal.shape[1], anomaly.shape[1]
    rank = rank_at_fpr(n, fpr)
    biases = []
    for size in _chunks(resamples, max(n, m)):
        rows = generator.integers(n, size=(size, n))
        before, after = (np.partition(s[rows], rank, axis=1)[:, rank] for s in normal)  # thresholds, (size,)
        gained, lost = np.empty(size), np.empty(size)
        for k in range(size):
            one, two = anomaly[0] > before[k], anomaly[1] > after[k]
            gained[k], lost[k] = (two & ~one).mean(), (one & ~two).mean()
        same = 1 - gained - lost
        counts = generator.multinomial(m, np.stack([gained, lost, same.clip(0)], axis=1))
        biases.append((counts[:, 0] - counts[:, 1]) / m)
    return np.concatenate(biases)


def _chunks(resamples: int, rows: int) -> list[int]:
    size = max(min(_CHUNK // rows, resamples), 1)
    return [min(size, resamples - start) for start in range(0, resamples, size)]


def _both(name: str, values: ArrayLike) -> Floats:
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 2 or len(scores) != 2 or not scores.size:
        raise InputError(f"{name}: both scores of each row are needed, (2, n), got {scores.shape}")
    if not np.isfinite(scores).all():
        raise InputError(f"{name}: scores must be finite, {int((~np.isfinite(scores)).sum())} are not; train again")
    return scores


class Gaussian(NamedTuple):
    """Scores that are Gaussian among normals and among anomalies: means and standard deviations."""

    mean: float
    deviation: float
    anomaly_mean: float
    anomaly_deviation: float


def gaussian_bias(before: Gaussian, after: Gaussian, fpr: float) -> float:
    """Corollary 2: the relative scoring bias of Gaussian scores, exactly.

    Raises:
        InputError: a deviation is not positive.
    """

    def recall(scores: Gaussian) -> float:
        for deviation in (scores.deviation, scores.anomaly_deviation):
            positive("deviation", deviation)
        threshold = scores.mean + scores.deviation * float(ndtri(1 - fpr))
        return float(ndtr((scores.anomaly_mean - threshold) / scores.anomaly_deviation))

    return recall(after) - recall(before)
