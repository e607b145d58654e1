"""Intervals of shares that were counted, without resampling."""

import math

from scipy.special import ndtri

from sad_lightning.stats.ranking import Interval


def wilson(found: float, count: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a share, ``found`` of ``count``; nan of none."""
    if not count:
        return Interval(math.nan, math.nan)
    z = float(ndtri((1 + confidence) / 2))
    p = found / count
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return Interval(max(middle - half, 0.0), min(middle + half, 1.0))


def difference_interval(first: float, second: float, counts: tuple[int, int], confidence: float = 0.95) -> Interval:
    """Newcombe's interval of the second share less the first, from Wilson's of each (1998, method 10).

    It takes the two for independent: where the same rows were counted, and mostly alike, it is wider than it must be.

    Args:
        first: a share.
        second: another.
        counts: of how many each.
        confidence: of the interval.
    """
    (low, high), (low2, high2) = (
        wilson(share * count, count, confidence) for share, count in zip((first, second), counts, strict=True)
    )
    difference = second - first
    return Interval(
        difference - math.hypot(second - low2, high - first),
        difference + math.hypot(high2 - second, first - low),
    )
