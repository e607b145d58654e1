"""The threshold that holds a false-positive rate (ye2021 Algorithm 1)."""

import math

import numpy as np
from numpy.typing import ArrayLike

from sad_lightning.errors import share


def threshold_at_fpr(normal_scores: ArrayLike, fpr: float) -> float:
    """The score above which at most ``fpr`` of the given normal scores lie; flag ``score > threshold``.

    With q = 1 - fpr and the n sorted scores s, the paper's max{u : F0(u) <= q} is a supremum that is not attained:
    s_(floor(q n) + 1), or the largest score for fpr 0.

    Raises:
        InputError: ``fpr`` is not in [0, 1).
    """
    share("target_fpr", fpr)
    scores = np.sort(np.asarray(normal_scores, dtype=np.float64))
    rank = math.floor((1 - fpr) * len(scores) + 1e-9)  # 0.95 * 100 is 95, whatever it rounds to
    return float(scores[min(rank, len(scores) - 1)])
