"""The page of a detector: scores with the threshold, curves where truth is known, and what to label next."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from sad_lightning.card.content import DetectorCard, gather_card
from sad_lightning.data.arrays import Arrays
from sad_lightning.drawing import svg
from sad_lightning.drawing.pages import environment
from sad_lightning.drawing.pixels import overlay, picture, shrunk
from sad_lightning.drawing.scores import score_histograms
from sad_lightning.files import CARD_FILE, write_texts
from sad_lightning.stats.ranking import roc_curve

_COLOURS = {
    "known normal": 2,
    "unlabeled": 8,
    "training rows": 8,
    "known anomaly": 1,
    "unlabeled, an anomaly in truth": 3,
}
_POINTS = 200  # of a curve
_COLUMNS = 10
_SIDE = 64  # pixels of a small picture


def write_card(folder: Path, arrays: Arrays, commands: Sequence[str]) -> Path:
    """Write the page beside the model: whole, or not at all."""
    content = gather_card(folder, arrays)
    result = content.result
    templates = environment(Path(__file__).parent)
    page = templates.get_template("card.html").render(
        title=f"{result.method} on {Path(str(result.settings['data'].get('path', result.data))).name}",
        content=content,
        result=result,
        model=content.model,
        figures=list(_figures(content)),
        pictures=[
            None if each.image is None else Markup(_pictures(each.image, each.levels, each.row))
            for each in content.candidates
        ],
        settings=json.dumps(result.settings, indent=1, default=str),
        commands=commands,
        percent=_percent,
    )  # fmt: skip
    write_texts(folder, {CARD_FILE: page})
    return folder / CARD_FILE


def _title(content: DetectorCard) -> str:
    return "Scores" if "training rows" in content.groups else "Scores of rows that did not train"


def _figures(content: DetectorCard) -> Iterator[svg.Figure]:
    yield score_histograms(content.groups, content.model.threshold, _COLOURS, _title(content))
    if 0 < content.y.sum() < len(content.y):
        yield from curve_figures(content)
    if content.columns:
        yield column_figure(content)


def curve_figures(content: DetectorCard) -> Iterator[svg.Figure]:
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
        yield svg.make_figure(
            name, (376, 346), parts, title=title, alt=alt, caption=f"{words}, {rows}. Mark: the threshold."
        )


def column_figure(content: DetectorCard) -> svg.Figure:
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
    return svg.make_figure(
        "columns", (640, height), parts, title="Columns that matter", alt=alt,
        caption="How much the score of the most anomalous unlabeled rows and of known anomalies falls, in the mean, "
        "when the column is made typical.",
    )  # fmt: skip


def _pictures(image: NDArray[np.uint8], levels: NDArray[np.float32] | None, row: int) -> str:
    """A small picture, or a larger one beside its heat map."""
    if levels is None:
        return _drawn(image, _SIDE, f"row {row}")
    side = 2 * _SIDE
    return _drawn(image, side, f"row {row}") + _drawn(overlay(image, levels), side, f"where row {row} is anomalous")


def _drawn(image: NDArray[np.uint8], side: int, words: str) -> str:
    drawn = picture(shrunk(image, 2 * side), 0, 0, side, side)
    return f'<svg viewBox="0 0 {side} {side}" width="{side}" role="img" aria-label="{words}">{drawn}</svg>'


def _interval(content: DetectorCard) -> str:
    low, high = content.interval
    return "no interval" if math.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f} %"


def _percent(value: float) -> str:
    return "not defined" if math.isnan(value) else f"{100 * value:.1f} %"
