"""Scores of groups of rows against a threshold: histograms, and the share of each group that lies above."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sad_lightning.drawing import svg

_BINS = 48
_POINTS = 200  # of a curve


def score_histograms(
    groups: Mapping[str, NDArray[np.float64]], threshold: float, colours: Mapping[str, int], title: str
) -> svg.Figure:
    """Draw the scores of groups, of which none is empty, below each other, each to its own height.

    A threshold that is infinite is not drawn; colours are numbers of ``svg.LIGHT``.
    """
    x = svg.linear(*_range(groups, threshold), 24, 736, "score", 8)
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
    return svg.make_figure(
        "scores", (760, top + 36), parts, title=title, alt=f"{title}. Middle scores: {medians}; threshold "
        f"{threshold:.4g}.", caption="Each to its own height. What lies right of the threshold is flagged.",
    )  # fmt: skip


def flagged_shares(
    groups: Mapping[str, NDArray[np.float64]], threshold: float, colours: Mapping[str, int]
) -> svg.Figure:
    """Draw which share of each group, of which none is empty, would be flagged, for every threshold.

    The one in use is not drawn where it is infinite; colours are numbers of ``svg.LIGHT``.
    """
    legend, top = svg.legend({name: colours[name] for name in groups}, 760)
    x = svg.linear(*_range(groups, threshold), 56, 736, "threshold", 8)
    y = svg.linear(0, 100, 300, top + 24, "flagged rows, percent")
    parts, words = [*legend, *svg.frame(x, y)], []
    at = np.linspace(x.low, x.high, _POINTS)
    for name, scores in groups.items():
        shares = _share_above(scores, at)
        parts.append(
            svg.curve([(x(a), y(b)) for a, b in zip(at.tolist(), shares.tolist(), strict=True)], colours[name])
        )
        if math.isfinite(threshold):
            share = float(_share_above(scores, np.array([threshold]))[0])
            words.append(f"{share:.3g} % of {len(scores):,} {name}")
            parts.append(svg.mark(x(threshold), y(share), colours[name], hint=words[-1]))
    if math.isfinite(threshold):
        parts.append(f'<path class="rule" stroke-dasharray="4 3" d="M{x(threshold):.1f} {y.end:g}V{y.start:g}"/>')
        caption = f"At the threshold of {threshold:.4g}: {', '.join(words)}."
    else:
        caption = "Too few rows promise the rate: the threshold is infinite, and nothing is flagged."
    title = "Flagged rows by threshold"
    return svg.make_figure("threshold", (760, 348), parts, title=title, alt=f"{title}. {caption}", caption=caption)


def _share_above(scores: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    return 100 * (1 - np.searchsorted(np.sort(scores), thresholds, side="right") / len(scores))


def _range(groups: Mapping[str, NDArray[np.float64]], threshold: float) -> tuple[float, float]:
    """From the lowest score to nearly the highest, the threshold included."""
    low, high = (float(v) for v in np.quantile(np.concatenate(list(groups.values())), (0.0, 0.99)))
    if math.isfinite(threshold):
        low, high = min(low, threshold), max(high, threshold)
    high = high if high > low else low + 1
    return low, high + 0.02 * (high - low)
