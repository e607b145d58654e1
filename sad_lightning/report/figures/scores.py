"""How the scores of normals and anomalies lie."""

from collections.abc import Iterator

import numpy as np

from sad_lightning.drawing import svg
from sad_lightning.report.gather.ranking import Ranking


def score_figures(ranking: Ranking) -> Iterator[svg.Figure]:
    """For each method the scores of normals and anomalies in its middle cell, and the threshold."""
    for row in ranking.rows:
        cell = row.group.median
        scores = cell.scores()
        if scores is None:
            continue
        y, values = scores
        threshold = cell.result.metrics["threshold"]
        low, high = (float(v) for v in np.quantile(values, (0.002, 0.98)))
        x = svg.linear(low, max(high, low + 1e-9), 10, 230, "score", 3)
        counts = [np.histogram(np.clip(values[y == kind], low, x.high), 36, (low, x.high))[0] for kind in (0, 1)]
        shares = [count / max(count.sum(), 1) for count in counts]
        tallest = max(float(share.max()) for share in shares)
        parts = [svg.steps(share, tallest, x, 96, 18, colour) for share, colour in zip(shares, (8, 1), strict=True)]
        parts.append('<path class="rule" d="M10 96H230"/>')
        parts += [svg.text(x(value), 112, words, "soft mid small") for value, words in x.ticks]
        if low <= threshold <= x.high:
            at = x(threshold)
            parts.append(f'<path class="rule" stroke-dasharray="2 3" d="M{at:.1f} 14V96"/>')
        parts.append(svg.text(10, 11, row.group.name, "strong small"))
        parts.append(svg.text(230, 11, f"{cell.auroc:.1f} %", "soft small end"))
        alt = (
            f"Scores of {row.group.name} on {ranking.data}, normal {', '.join(cell.result.normal_classes)}: the middle"
            f" normal scores {np.median(values[y == 0]):.3g}, the middle anomaly {np.median(values[y == 1]):.3g}; the"
            f" threshold {threshold:.3g} finds {100 * cell.result.metrics['recall']:.0f} % of the anomalies."
        )
        yield svg.make_figure(
            f"scores-{row.group.name}-{ranking.name}", (240, 118), parts, title=row.group.name, alt=alt
        )
