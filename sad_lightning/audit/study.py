"""From the scores of two detectors to a verdict on each group: recall up, down or undecided.

The thresholds of both hold the target false-positive rate on the same held-out normals (ye2021 Algorithm 1). The
interval is the wider of two at each end: the bootstrap over normals, anomalies and trainings, which knows that both
detectors saw the same rows, and Newcombe's, which does not collapse where a group has few rows. All lines of an audit
hold together.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sad_lightning.errors import InputError
from sad_lightning.stats.bias import bootstrap_biases, relative_scoring_bias, verdict
from sad_lightning.stats.ranking import Interval
from sad_lightning.stats.sample_size import sample_size
from sad_lightning.stats.shares import difference_interval

Floats = NDArray[np.float64]
LEVEL = 0.05
WANTED = 0.1  # how well Theorem 3 is asked to tell the bias
_LEAST_SLOPE = 1e-3


class Training(NamedTuple):
    """Scores of one pair of detectors, without labels first.

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
        seen: whether known anomalies of the group trained; else it was held out.
        rows: anomalies that were scored.
        normals: rows that set the thresholds.
        trainings: pairs of detectors.
        recalls: mean recall without and with labels.
        interval: of the difference.
        dkw: the same without any assumption on scores, of these detectors.
        needed: rows that Theorem 3, corrected, asks for to tell the difference within ``WANTED``.
    """

    group: str
    seen: bool
    rows: int
    normals: int
    trainings: int
    recalls: tuple[float, float]
    interval: Interval
    dkw: Interval
    needed: int

    @property
    def difference(self) -> float:
        """With less without labels."""
        return self.recalls[1] - self.recalls[0]

    @property
    def verdict(self) -> str:
        """``up``, ``down`` or ``undecided``."""
        return verdict(self.interval)


def judge(
    group: str, trainings: Sequence[Training], *, seen: bool, fpr: float, lines: int, resamples: int = 1000
) -> Finding:
    """One line of an audit.

    Args:
        group: the name.
        trainings: one for each seed, on the same rows.
        seen: whether the group trained.
        fpr: the target false-positive rate.
        lines: of the audit, whose intervals hold together at 95 %.
        resamples: of the bootstrap, for each training.

    Raises:
        InputError: there is no row to judge by, or a score is not finite.
    """
    if not trainings or not trainings[0].anomalies.size:
        raise InputError(f"group {group}: must have rows to test on, there is none; add rows, or raise --test")
    confidence = 1 - LEVEL / lines
    one = 1 - (1 - confidence) / len(trainings)
    found = [relative_scoring_bias(*each, fpr=fpr, confidence=one, resamples=1) for each in trainings]
    recalls = float(np.mean([bias.recalls[0] for bias in found])), float(np.mean([bias.recalls[1] for bias in found]))
    biases = [bootstrap_biases(*each, fpr=fpr, resamples=resamples, seed=k) for k, each in enumerate(trainings)]
    low, high = np.quantile(np.concatenate(biases), [(1 - confidence) / 2, (1 + confidence) / 2])
    n, m = trainings[0].normals.shape[1], trainings[0].anomalies.shape[1]
    counted = difference_interval(*recalls, (m, m), confidence)
    return Finding(
        group=group,
        seen=seen,
        rows=m,
        normals=n,
        trainings=len(trainings),
        recalls=recalls,
        interval=Interval(min(float(low), counted.low), max(float(high), counted.high)),
        dkw=Interval(min(bias.dkw.low for bias in found), max(bias.dkw.high for bias in found)),
        needed=_needed(trainings, fpr, m / (n + m)),
    )


def _needed(trainings: Sequence[Training], fpr: float, alpha: float) -> int:
    """Theorem 3 with l_a l_0 read off the ROC curve around the target rate, where it is its slope; the steepest."""
    slopes = [max(_slope(each.normals[k], each.anomalies[k], fpr) for each in trainings) for k in range(2)]
    first, second = ((max(slope, _LEAST_SLOPE), 1.0) for slope in slopes)
    return sample_size(WANTED, LEVEL, alpha, first, second)


def _slope(normals: Floats, anomalies: Floats, fpr: float) -> float:
    """Recall gained for each false positive around ``fpr``, over a stretch as wide as ``fpr`` itself."""
    rates = np.array([min(1.5 * fpr, 1.0), 0.5 * fpr])
    high, low = ((anomalies > threshold).mean() for threshold in np.quantile(normals, 1 - rates))
    return float((high - low) / (rates[0] - rates[1]))
