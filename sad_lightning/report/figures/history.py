"""What training recorded, epoch by epoch."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sad_lightning.drawing import svg
from sad_lightning.report.gather.ranking import Ranking
from sad_lightning.report.gather.table import Row
from sad_lightning.result import Result

_CURVES = {
    "radius": "radius R",
    "spread": "spread of the representation",
    "score_spread": "spread of the scores",
    "outside": "share outside the radius",
    "kl": "Kullback-Leibler term",
}


def history_figures(ranking: Ranking, series: svg.Series) -> Iterator[svg.Figure]:
    """Radius and spread over epochs: the mean over cells of what training recorded."""
    for name, words in _CURVES.items():
        lines = {row.group.name: line for row in ranking.rows if (line := _mean_history(row, name)) is not None}
        finite = [value for line in lines.values() for value in line.tolist() if not math.isnan(value)]
        if not finite:
            continue
        x = svg.linear(0, max(len(line) for line in lines.values()), 60, 340, "epoch", 4)
        wide = min(finite) > 0 and max(finite) > 30 * min(finite)
        if wide:
            y = svg.logarithmic(min(finite), max(finite), 210, 30, words)
        else:
            y = svg.linear(*svg.padded(finite, bound=math.inf), 210, 30, words)
        parts, numbers, ends = svg.frame(x, y), [], []
        for method, line in lines.items():
            points = [(x(i + 1), y(v) if not math.isnan(v) else math.nan) for i, v in enumerate(line.tolist())]
            parts.append(svg.curve(points, series[method]))
            ends.append((method, [height for _, height in points if not math.isnan(height)][-1]))
            known = line[~np.isnan(line)]
            numbers.append(f"{method} from {known[0]:.3g} to {known[-1]:.3g}")
        parts += svg.labels(ends, 348, 14, y, series, "label small")
        alt = f"{words.capitalize()} over epochs on {ranking.data}: {'; '.join(numbers)}."
        caption = "The mean over cells, by epoch." + (" Logarithmic." if wide else "")
        title = words[0].upper() + words[1:]
        yield svg.drawing(f"history-{name}-{ranking.name}", (470, 256), parts, title=title, alt=alt, caption=caption)


def _mean_history(row: Row, name: str) -> NDArray[np.float64] | None:
    """A curve of a method's trainings, the mean of the cells that have a value at each epoch; None without any."""
    lines = [
        np.array([math.nan if value is None else value for value in curves[name]])
        for cell in row.group.distinct
        for stage, curves in Result.read(cell.folder).history.items()
        if stage.startswith("train") and curves.get(name)
    ]
    padded = np.full((len(lines), max(map(len, lines), default=0)), math.nan)
    for i, line in enumerate(lines):
        padded[i, : len(line)] = line
    if np.isnan(padded).all():
        return None
    mean: NDArray[np.float64] = np.ma.masked_invalid(padded).mean(axis=0).filled(math.nan)
    return mean
