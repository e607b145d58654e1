"""Numbers as text for a reader."""

import math

from sad_lightning.stats.compare import Summary
from sad_lightning.stats.ranking import Interval

DASH, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


def difference_words(value: float) -> str:
    """A difference with its sign and one decimal; a dash for nan."""
    if math.isnan(value):
        return DASH
    return "0.0" if abs(value) < 0.05 else f"{value:+.1f}".replace("-", MINUS)


def with_deviation(mean: float, deviation: float | None) -> str:
    """A mean and its deviation with one decimal."""
    return f"{mean:.1f}" + ("" if deviation is None else f" ± {deviation:.1f}")


def summary_words(summary: Summary) -> str:
    """Mean and deviation with one decimal; a single value has no deviation, and no value is a dash."""
    if not summary.n:
        return DASH
    return with_deviation(summary.mean, None if math.isnan(summary.deviation) else summary.deviation)


def seconds_words(value: float) -> str:
    """Seconds with three significant digits, from 100 on as a whole number; a dash for nan."""
    if math.isnan(value):
        return DASH
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.3g}"


def p_value_words(value: float) -> str:
    """A p-value as it is usually printed."""
    if math.isnan(value):
        return DASH
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def interval_words(interval: Interval) -> str:
    """An interval of points; a dash for nan."""
    low, high = interval
    return DASH if math.isnan(low) else f"{difference_words(low)} to {difference_words(high)}"
