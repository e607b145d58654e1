"""ROC curves."""

from collections.abc import Iterator

import numpy as np

from sad_lightning.drawing import svg
from sad_lightning.report.gather.cells import FPR
from sad_lightning.report.gather.ranking import Ranking


def roc_figures(ranking: Ranking, series: svg.Series) -> Iterator[svg.Figure]:
    """The mean ROC curve of each method over its cells."""
    x = svg.linear(0, 1, 52, 372, "false-positive rate")
    y = svg.linear(0, 1, 350, 30, "recall")
    parts = [*svg.frame(x, y), svg.diagonal(x, y)]
    numbers = []
    for row in reversed(ranking.rows):
        recalls = [cell.roc.recalls for cell in row.group.distinct if cell.roc]
        if recalls:
            mean = np.mean(recalls, axis=0)
            points = [(x(0), y(0)), *((x(a), y(b)) for a, b in zip(FPR.tolist(), mean.tolist(), strict=True))]
            parts.append(svg.curve(points, series[row.group.name]))
            numbers.append(f"{row.group.name} finds {100 * mean[5]:.0f} % at 5 % false positives")
    if not numbers:
        return
    alt = f"ROC curves on {ranking.data}, {ranking.setting.words}: {'; '.join(reversed(numbers))}."
    caption = "Recall against the false-positive rate, the mean over cells. Colours as above."
    yield svg.make_figure(f"roc-{ranking.name}", (400, 398), parts, title="ROC curves", alt=alt, caption=caption)
