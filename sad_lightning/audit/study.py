"""From the scores of two detectors to a verdict on each group: recall goes up, goes down, or is undecided.

The thresholds of both detectors hold the target false-positive rate on the same held-out normals (ye2021 Algorithm 1).
The interval is the wider of two at each end: the bootstrap over normals, anomalies and trainings, which takes into
account that both detectors scored the same rows, and Newcombe's, which is not too narrow for a group with few rows. The
intervals of all lines of an audit hold jointly.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sad_lightning.errors import InputError
from sad_lightning.stats.bias import bootstrap_biases, relative_scoring_bias, verdict
from sad_lightning.stats.ranking import Interval
from sad_lightning.stats.sample_size import samples_needed
from sad_lightning.stats.shares import difference_interval

Floats = NDArray[np.float64]
LEVEL = 0.05
PRECISION = 0.1  # of the bias, for which Theorem 3 gives the number of rows
_LEAST_SLOPE = 1e-3


class PairScores(NamedTuple):
    """Scores of one pair of detectors, first the one without labels.

    Attributes:
        normals: ``(2, n)`` of the held-out normals that set the thresholds.
        anomalies: ``(2, m)`` of the rows of a group.
    """

    normals: Floats
    anomalies: Floats


class Finding(NamedTuple):
    """What labels do to one group; shares in [0, 1].

    Attributes:
        group: its name.
        in_training: whether known anomalies of the group trained; else it was held out.
        rows: how many anomalies were scored.
        normals: how many rows set the thresholds.
        trainings: how many pairs of detectors.
        recalls: mean recall without and with labels.
        interval: of the difference.
        dkw: an interval without any assumption on scores, for these detectors.
        rows_needed: how many rows Theorem 3, corrected, needs to estimate the difference within ``PRECISION``.
    """

    group: str
    in_training: bool
    rows: int
    normals: int
    trainings: int
    recalls: tuple[float, float]
    interval: Interval
    dkw: Interval
    rows_needed: int

    @property
    def difference(self) -> float:
        """Recall with labels minus recall without."""
        return self.recalls[1] - self.recalls[0]

    @property
    def verdict(self) -> str:
        """``up``, ``down`` or ``undecided``."""
        return verdict(self.interval)


def judge_group(group: str, trainings: Sequence[PairScores], *, in_training: bool, fpr: float, lines: int) -> Finding:
    """One line of an audit, from the scores of each seed on the same rows.

    The intervals of all ``lines`` of an audit hold jointly at 95 %.

    Raises:
        InputError: the group has no test row, or a score is not finite.
    """
    if not trainings or not trainings[0].anomalies.size:
        raise InputError(f"group {group}: must have rows to test on, there is none; add rows, or raise --test")
    confidence = 1 - LEVEL / lines
    one = 1 - (1 - confidence) / len(trainings)
    biases = [relative_scoring_bias(*each, fpr=fpr, confidence=one) for each in trainings]
    recalls = float(np.mean([bias.recalls[0] for bias in biases])), float(np.mean([bias.recalls[1] for bias in biases]))
    resampled = [bootstrap_biases(*each, fpr=fpr, seed=k) for k, each in enumerate(trainings)]
    low, high = np.quantile(np.concatenate(resampled), [(1 - confidence) / 2, (1 + confidence) / 2])
    n, m = trainings[0].normals.shape[1], trainings[0].anomalies.shape[1]
    newcombe = difference_interval(*recalls, (m, m), confidence)
    return Finding(
        group=group,
        in_training=in_training,
        rows=m,
        normals=n,
        trainings=len(trainings),
        recalls=recalls,
        interval=Interval(min(float(low), newcombe.low), max(float(high), newcombe.high)),
        dkw=Interval(min(bias.dkw.low for bias in biases), max(bias.dkw.high for bias in biases)),
        rows_needed=_sample_size(trainings, fpr, m / (n + m)),
    )


def _sample_size(trainings: Sequence[PairScores], fpr: float, alpha: float) -> int:
    """Theorem 3 with l_a l_0 as the slope of the ROC curve around the target rate; the steepest of all trainings."""
    slopes = [max(_slope(each.normals[k], each.anomalies[k], fpr) for each in trainings) for k in range(2)]
    without, with_labels = ((max(slope, _LEAST_SLOPE), 1.0) for slope in slopes)
    return samples_needed(PRECISION, LEVEL, alpha, without, with_labels)


def _slope(normals: Floats, anomalies: Floats, fpr: float) -> float:
    """The slope of the ROC curve around ``fpr``, from half of it to one and a half times it."""
    rates = np.array([min(1.5 * fpr, 1.0), 0.5 * fpr])
    high, low = ((anomalies > threshold).mean() for threshold in np.quantile(normals, 1 - rates))
    return float((high - low) / (rates[0] - rates[1]))
