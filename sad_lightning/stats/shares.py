"""Intervals of shares that were counted, without resampling."""

import math

from scipy.special import ndtri

from sad_lightning.stats.ranking import Interval


def wilson(hits: float, count: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a share, ``hits`` of ``count``; nan of none."""
    if not count:
        return Interval(math.nan, math.nan)
    z = float(ndtri((1 + confidence) / 2))
    p = hits / count
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return Interval(max(middle - half, 0.0), min(middle + half, 1.0))


def difference_interval(before: float, after: float, counts: tuple[int, int], confidence: float = 0.95) -> Interval:
    """Newcombe's interval of one share, ``after``, less another, ``before``, from Wilson's of each (1998, method 10).

    It treats the two shares as independent. Where both count the same rows, it is wider than necessary.
    """
    (low, high), (low2, high2) = (
        wilson(share * count, count, confidence) for share, count in zip((before, after), counts, strict=True)
    )
    difference = after - before
    return Interval(
        difference - math.hypot(after - low2, high - before),
        difference + math.hypot(high2 - after, before - low),
    )
