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
_CELLS = 90  # of a method, whose results are read for their curves


def history_figures(ranking: Ranking, series: svg.Series) -> Iterator[svg.Figure]:
    """Radius and spread over epochs: the mean over cells of what training recorded."""
    stages = {row.group.name: _stages(row) for row in ranking.rows}
    for name, words in _CURVES.items():
        lines = {method: line for method, some in stages.items() if (line := _mean(some, name)) is not None}
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
        caption = f"The mean over at most {_CELLS} cells, by epoch." + (" Logarithmic." if wide else "")
        title = words[0].upper() + words[1:]
        yield svg.drawing(f"history-{name}-{ranking.name}", (470, 256), parts, title=title, alt=alt, caption=caption)


def _stages(row: Row) -> list[dict[str, list[float | None]]]:
    """The curves of the trainings of a method, by name; of many cells those of some, which lie evenly among all."""
    cells = row.group.distinct
    some = [Result.read(cell.folder).history for cell in cells[:: -(-len(cells) // _CELLS)]] if cells else []
    return [curves for history in some for stage, curves in history.items() if stage.startswith("train")]


def _mean(stages: list[dict[str, list[float | None]]], name: str) -> NDArray[np.float64] | None:
    """A curve, the mean of the trainings that have a value at each epoch; None without any."""
    lines = [
        np.array([math.nan if value is None else value for value in curves[name]])
        for curves in stages
        if curves.get(name)
    ]
    padded = np.full((len(lines), max(map(len, lines), default=0)), math.nan)
    for i, line in enumerate(lines):
        padded[i, : len(line)] = line
    if np.isnan(padded).all():
        return None
    mean: NDArray[np.float64] = np.ma.masked_invalid(padded).mean(axis=0).filled(math.nan)
    return mean
