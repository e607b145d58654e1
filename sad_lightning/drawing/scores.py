"""Histograms of scores over one axis, a line for each group of rows, with the threshold."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sad_lightning.drawing import svg

_BINS = 48


def score_histograms(
    groups: Mapping[str, NDArray[np.float64]], threshold: float, colours: Mapping[str, int], title: str
) -> svg.Figure:
    """Draw the groups below each other, each to its own height.

    Args:
        groups: scores by what is known of the rows; none is empty.
        threshold: an anomaly scores above it; it may be infinite, and is not drawn then.
        colours: of each group, a number of ``svg.LIGHT``.
        title: a few words.
    """
    low, high = (float(v) for v in np.quantile(np.concatenate(list(groups.values())), (0.0, 0.99)))
    if math.isfinite(threshold):
        low, high = min(low, threshold), max(high, threshold)
    high = high if high > low else low + 1
    x = svg.linear(low, high + 0.02 * (high - low), 24, 736, "score", 8)
    parts, top = [], 24.0
    for name, scores in groups.items():
        counts = np.histogram(np.clip(scores, x.low, x.high), _BINS, (x.low, x.high))[0]
        bottom = top + 62
        parts.append(svg.steps(counts / counts.max(), 1.0, x, bottom, top + 8, colours[name]))
        parts.append(f'<path class="rule" d="M{x.start:g} {bottom:g}H{x.end:g}"/>')
        parts.append(svg.text(x.end, top + 6, f"{name}, {len(scores):,} rows", "soft small end"))
        top = bottom + 10
    parts += [svg.text(x(value), top + 8, words, "soft mid small") for value, words in x.ticks]
    parts.append(svg.text((x.start + x.end) / 2, top + 26, "score, higher = more anomalous", "soft mid"))
    if math.isfinite(threshold):
        parts.append(f'<path class="rule" stroke-dasharray="4 3" d="M{x(threshold):.1f} 14V{top - 10:g}"/>')
        parts.append(svg.text(x(threshold) + 4, 12, f"threshold {threshold:.4g}", "soft small"))
    medians = "; ".join(f"{name} {np.median(scores):.4g}" for name, scores in groups.items())
    return svg.drawing(
        "scores", (760, top + 36), parts, title=title, alt=f"{title}. Middle scores: {medians}; threshold "
        f"{threshold:.4g}.", caption="Each to its own height. What lies right of the threshold is flagged.",
    )  # fmt: skip
