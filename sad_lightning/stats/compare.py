"""What many cells say together: means with intervals, and whether one method is better than another.

Cells are paired: the two methods saw the same classes and the same seed. ruff2020 (section 4.2) tests the best method
against the second with Wilcoxon's signed ranks, daniel2021 (section 5.1) with the paired t-test, both two-sided here;
several comparisons at once are corrected by Holm's method. Cells of one grid share their data, so that they are not
independent as these tests suppose: a p-value near the level says little.

scipy.stats has all of this, and its import takes a second, half of what a report may: only the distributions are
scipy's here, and the tests hold every number to scipy.stats.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, stdtr, stdtrit

from sad_lightning.errors import InputError
from sad_lightning.stats.ranking import Interval, midranks

LEVEL = 0.05  # of significance, in all four papers
_EXACT = 50  # signed ranks without ties are counted out up to here, as scipy does,
_EXACT_TIED = 13  # and with ties up to here


class Summary(NamedTuple):
    """Several numbers in short.

    Attributes:
        n: how many.
        mean: nan of none.
        deviation: the standard deviation of a sample; nan below two.
        interval: of the mean, by Student's t; nan below two.
    """

    n: int
    mean: float
    deviation: float
    interval: Interval


def summarize(values: ArrayLike, confidence: float = 0.95) -> Summary:
    """Mean, standard deviation and the interval of the mean of ``(n,)`` numbers."""
    numbers = np.asarray(values, dtype=np.float64)
    n = len(numbers)
    mean = float(numbers.mean()) if n else math.nan
    if n < 2:
        return Summary(n, mean, math.nan, Interval(math.nan, math.nan))
    deviation = float(numbers.std(ddof=1))
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * deviation / math.sqrt(n)
    return Summary(n, mean, deviation, Interval(mean - half, mean + half))


class Comparison(NamedTuple):
    """Two methods on the same cells.

    Attributes:
        n: paired cells.
        difference: mean of ours less theirs.
        wins: cells where ours is higher.
        losses: cells where theirs is higher.
        wilcoxon: two-sided p-value of the signed ranks.
        paired_t: two-sided p-value of the paired t-test.
    """

    n: int
    difference: float
    wins: int
    losses: int
    wilcoxon: float
    paired_t: float


def compare_paired(ours: ArrayLike, theirs: ArrayLike) -> Comparison:
    """Compare ``(n,)`` numbers with their ``(n,)`` partners.

    Raises:
        InputError: their lengths differ.
    """
    differences = _differences(ours, theirs)
    return Comparison(
        n=len(differences),
        difference=float(differences.mean()) if len(differences) else math.nan,
        wins=int((differences > 0).sum()),
        losses=int((differences < 0).sum()),
        wilcoxon=signed_rank(ours, theirs),
        paired_t=paired_t(ours, theirs),
    )


def signed_rank(ours: ArrayLike, theirs: ArrayLike) -> float:
    """Wilcoxon's signed-rank test of paired numbers, two-sided; pairs without a difference are left out.

    Exact up to 50 pairs, or up to 13 where differences tie or vanish; else the normal approximation with the
    correction for ties. These are the rules of ``scipy.stats.wilcoxon``, and so are the numbers.

    Returns:
        The p-value; 1 where no pair differs, nan without pairs.
    """
    differences = _differences(ours, theirs)
    if len(differences) == 0:
        return math.nan
    nonzero = differences[differences != 0]
    n = len(nonzero)
    if n == 0:
        return 1.0
    ranks = midranks(np.abs(nonzero))
    positive = float(ranks[nonzero > 0].sum())
    _, ties = np.unique(ranks, return_counts=True)
    if len(differences) <= (_EXACT if n == len(differences) and (ties == 1).all() else _EXACT_TIED):
        below, above = _signed_rank_tails(ranks, positive)
        return min(2 * min(below, above), 1.0)
    variance = n * (n + 1) * (2 * n + 1) / 24 - float((ties**3 - ties).sum()) / 48
    return float(2 * ndtr(-abs(positive - n * (n + 1) / 4) / math.sqrt(variance)))


def _signed_rank_tails(ranks: NDArray[np.float64], positive: float) -> tuple[float, float]:
    """The chances that a sum over a random half of the ranks is at most, and at least, the one at hand."""
    twice = np.rint(2 * ranks).astype(np.int64)  # ties make halves
    chances = np.zeros(int(twice.sum()) + 1)
    chances[0] = 1.0
    for rank in twice:
        with_rank = np.concatenate([np.zeros(rank), chances[:-rank]])
        chances = (chances + with_rank) / 2
    rank_sum = round(2 * positive)
    return float(chances[: rank_sum + 1].sum()), float(chances[rank_sum:].sum())


def paired_t(ours: ArrayLike, theirs: ArrayLike) -> float:
    """Student's t-test of paired numbers, two-sided.

    Returns:
        The p-value; 1 where no pair differs, nan below two pairs.
    """
    differences = _differences(ours, theirs)
    n = len(differences)
    if n < 2:
        return math.nan
    if not differences.any():
        return 1.0
    error = float(differences.std(ddof=1)) / math.sqrt(n)
    mean = abs(float(differences.mean()))
    return float(2 * stdtr(n - 1, -mean / error)) if error else 0.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's correction: all of them below a level keep the chance of any false alarm below it.

    The k-th smallest of n is multiplied by n - k + 1, and is never below a smaller one's; nan stays and does not count.
    """
    defined = [i for i, p in enumerate(p_values) if not math.isnan(p)]
    corrected, largest = [math.nan] * len(p_values), 0.0
    for k, i in enumerate(sorted(defined, key=lambda i: p_values[i])):
        largest = max(largest, min(p_values[i] * (len(defined) - k), 1.0))
        corrected[i] = largest
    return corrected


def average_ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Mean rank of each method over cells, 1 the best; ties share their mean rank.

    Args:
        values: ``(cells, methods)``, higher = better.

    Returns:
        ``(methods,)``; nan without cells.
    """
    table = np.asarray(values, dtype=np.float64)
    if len(table) == 0:
        return np.full(table.shape[1:], math.nan)
    return np.asarray(np.mean([midranks(-row) for row in table], axis=0))


def _differences(ours: ArrayLike, theirs: ArrayLike) -> NDArray[np.float64]:
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise InputError(f"cells: a comparison needs pairs, got {a.shape} and {b.shape} numbers")
    return a - b
