"""The threshold that holds a false-positive rate (ye2021 Algorithm 1)."""

import math

import numpy as np
from numpy.typing import ArrayLike

from sad_lightning.errors import share


def threshold_at_fpr(normal_scores: ArrayLike, fpr: float) -> float:
    """The score above which at most ``fpr`` of the given normal scores lie; flag ``score > threshold``.

    With q = 1 - fpr and sorted scores s, the paper's max{u : F0(u) <= q} is a supremum that is not attained; it is
    approached at s_(floor(q n) + 1), which is returned.

    Raises:
        InputError: ``fpr`` is not in [0, 1).
    """
    share("target_fpr", fpr)
    scores = np.sort(np.asarray(normal_scores, dtype=np.float64))
    # floor(q n) from the count above, so that 0.05 of 100 is 5 whatever 0.95 * 100 rounds to
    return float(scores[len(scores) - 1 - math.floor(fpr * len(scores) + 1e-9)])
