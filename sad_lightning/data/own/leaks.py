"""Columns that tell the label by themselves, as the name of an attack does, or a count of alarms."""

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.own.values import Values
from sad_lightning.stats.ranking import auroc

_LEAKS = 0.999  # the AUROC of one column alone, from which on it is said that it tells the label
_ENOUGH = 10  # known anomalies, and others, to say so
_SAMPLE = 10_000  # rows of either kind that are looked at


def tells_label(values: Values, anomalous: NDArray[np.bool_], other: NDArray[np.bool_]) -> bool:
    """Whether a column alone ranks nearly every known anomaly above, or below, the other rows.

    A word is ranked by the share of anomalies among the other rows with it.
    """
    present = ~np.isnan(values.numbers)
    kinds = [np.flatnonzero(mask & present) for mask in (other, anomalous)]
    if min(map(len, kinds)) < _ENOUGH:
        return False
    rows = np.concatenate([rows[:: max(1, len(rows) // _SAMPLE)] for rows in kinds])
    y, numbers = anomalous[rows], values.numbers[rows]
    if values.kind == "category":
        word = numbers.astype(np.int64)
        others = np.bincount(word)[word] - 1
        numbers = np.where(others, (np.bincount(word, weights=y)[word] - y) / np.maximum(others, 1), y.mean())
    area = auroc(y, numbers)
    return max(area, 1 - area) >= _LEAKS
