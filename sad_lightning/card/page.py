"""The page of a detector: scores with the threshold, curves where truth is known, and what to label next."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from sad_lightning.card.content import Content, gather
from sad_lightning.data.arrays import Arrays
from sad_lightning.drawing import svg
from sad_lightning.drawing.pages import environment
from sad_lightning.drawing.pixels import picture
from sad_lightning.files import CARD_FILE, whole_file
from sad_lightning.stats.ranking import roc_curve

_COLOURS = {"known normal": 2, "unlabeled": 8, "known anomaly": 1, "unlabeled, an anomaly in truth": 3}
_BINS = 48
_POINTS = 200  # of a curve
_COLUMNS = 10
_SIDE = 64  # pixels of a small picture


def write_card(folder: Path, arrays: Arrays, commands: Sequence[str]) -> Path:
    """Write the page beside the model: whole, or not at all.

    Args:
        folder: of the training.
        arrays: own data, which it was trained on.
        commands: what to do next.
    """
    content = gather(folder, arrays)
    result = content.result
    templates = environment(Path(__file__).parent)
    page = templates.get_template("card.html").render(
        title=f"{result.method} on {Path(str(result.settings['data'].get('path', result.data))).name}",
        content=content,
        result=result,
        model=content.model,
        figures=list(_figures(content)),
        pictures=[
            None if each.image is None else Markup(_small(each.image, each.row)) for each in content.candidates
        ],
        settings=json.dumps(result.settings, indent=1, default=str),
        commands=commands,
        percent=_percent,
    )  # fmt: skip
    with whole_file(folder / CARD_FILE) as part:
        part.write_text(page, encoding="utf-8")
    return folder / CARD_FILE


def _figures(content: Content) -> Iterator[svg.Figure]:
    yield score_figure(content)
    if 0 < content.y.sum() < len(content.y):
        yield from curve_figures(content)
    if content.columns:
        yield column_figure(content)


def score_figure(content: Content) -> svg.Figure:
    """Histograms of held-out scores, a line for each group, with the threshold."""
    values = np.concatenate([*content.groups.values(), content.model.calibration.numpy()])
    threshold = content.model.threshold
    low, high = (float(v) for v in np.quantile(values, (0.0, 0.99)))
    if math.isfinite(threshold):
        low, high = min(low, threshold), max(high, threshold)
    high = high if high > low else low + 1
    x = svg.linear(low, high + 0.02 * (high - low), 24, 736, "score", 8)
    parts, top = [], 24.0
    for name, scores in content.groups.items():
        counts = np.histogram(np.clip(scores, x.low, x.high), _BINS, (x.low, x.high))[0]
        shares, bottom = counts / counts.max(), top + 62
        parts.append(svg.steps(shares, 1.0, x, bottom, top + 8, _COLOURS[name]))
        parts.append(f'<path class="rule" d="M{x.start:g} {bottom:g}H{x.end:g}"/>')
        parts.append(svg.text(x.end, top + 6, f"{name}, {len(scores):,} rows", "soft small end"))
        top = bottom + 10
    parts += [svg.text(x(value), top + 8, words, "soft mid small") for value, words in x.ticks]
    parts.append(svg.text((x.start + x.end) / 2, top + 26, "score, higher = more anomalous", "soft mid"))
    if math.isfinite(threshold):
        parts.append(f'<path class="rule" stroke-dasharray="4 3" d="M{x(threshold):.1f} 14V{top - 10:g}"/>')
        parts.append(svg.text(x(threshold) + 4, 12, f"threshold {threshold:.4g}", "soft small"))
    medians = "; ".join(f"{name} {np.median(scores):.4g}" for name, scores in content.groups.items())
    alt = f"Middle scores of rows that did not train: {medians}; threshold {threshold:.4g}."
    return svg.drawing("scores", (760, top + 36), parts, title="Scores of rows that did not train", alt=alt,
                       caption="Each to its own height. What lies right of the threshold is flagged.")  # fmt: skip


def curve_figures(content: Content) -> Iterator[svg.Figure]:
    """Precision against recall, and the ROC curve, of the test rows, with the place of the threshold."""
    fpr, recall = roc_curve(content.y, content.scores)
    anomalies, normals = int(content.y.sum()), int((1 - content.y).sum())
    flagged = recall * anomalies + fpr * normals
    precision = np.divide(recall * anomalies, flagged, out=np.ones_like(recall), where=flagged > 0)
    above = content.scores > content.model.threshold
    at_recall = float(above[content.y == 1].mean())
    at_fpr = float(above[content.y == 0].mean())
    at_precision = float(content.y[above].mean()) if above.any() else 1.0
    metrics, some = content.result.metrics, np.unique(np.linspace(0, len(fpr) - 1, _POINTS).astype(int))
    rows = f"{anomalies:,} anomalies among {anomalies + normals:,} test rows"
    for name, title, xs, ys, label, place, words in (
        ("precision", "Precision and recall", recall, precision, ("recall", "precision"), (at_recall, at_precision),
         f"average precision {100 * metrics['average_precision']:.1f} %"),
        ("roc", "ROC curve", fpr, recall, ("false-positive rate", "recall"), (at_fpr, at_recall),
         f"AUROC {100 * metrics['auroc']:.1f} % ({_interval(content)})"),
    ):  # fmt: skip
        x, y = svg.linear(0, 1, 52, 352, label[0]), svg.linear(0, 1, 300, 30, label[1])
        parts = svg.frame(x, y)
        parts.append(svg.curve([(x(a), y(b)) for a, b in zip(xs[some].tolist(), ys[some].tolist(), strict=True)], 0))
        parts.append(svg.mark(x(place[0]), y(place[1]), 1, hint="at the threshold"))
        alt = f"{title} of {rows}: {words}; at the threshold {label[0]} {place[0]:.3f}, {label[1]} {place[1]:.3f}."
        yield svg.drawing(
            name, (376, 346), parts, title=title, alt=alt, caption=f"{words}, {rows}. Dot: the threshold."
        )


def column_figure(content: Content) -> svg.Figure:
    """What each column adds to the score of anomalous rows, in the mean."""
    columns = content.columns[:_COLUMNS]
    names = [name if len(name) <= 24 else f"{name[:23]}…" for name, _ in columns]
    highest, lowest = max(value for _, value in columns), min(0.0, *(value for _, value in columns))
    x, places, height, parts = svg.row_frame(names, lowest, highest if highest > lowest else lowest + 1, 560, "score")
    for (_, value), at in zip(columns, places, strict=True):
        left, right = sorted((x(0), x(value)))
        css = "bar s0" if value >= 0 else "bar s8"
        parts.append(f'<rect class="{css}" x="{left:.1f}" y="{at - 7:g}" width="{right - left:.1f}" height="14"/>')
        parts.append(svg.text(572, at + 4, f"{value:+.3g}", "soft"))
    alt = "What columns add to the score: " + ", ".join(f"{name} {value:+.3g}" for name, value in columns) + "."
    return svg.drawing(
        "columns", (640, height), parts, title="Columns that matter", alt=alt,
        caption="How much the score of the most anomalous unlabeled rows and of known anomalies falls, in the mean, "
        "when the column is made typical.",
    )  # fmt: skip


def _small(image: np.ndarray, row: int) -> str:
    drawn = picture(image, 0, 0, _SIDE, _SIDE)
    return f'<svg viewBox="0 0 {_SIDE} {_SIDE}" width="{_SIDE}" role="img" aria-label="row {row}">{drawn}</svg>'


def _interval(content: Content) -> str:
    low, high = content.interval
    return "no interval" if math.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f} %"


def _percent(value: float) -> str:
    return "not defined" if math.isnan(value) else f"{100 * value:.1f} %"
