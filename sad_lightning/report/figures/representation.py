"""Where the encoder puts the test rows (daniel2021 Figure 1 has t-SNE)."""

import numpy as np

from sad_lightning.data.arrays import Arrays
from sad_lightning.drawing import svg
from sad_lightning.report.gather.cells import CellResult
from sad_lightning.report.gather.ranking import Ranking


def representation_figure(ranking: Ranking, cell: CellResult, arrays: Arrays, name: str) -> svg.Figure:
    """The code of the test rows of a cell on its two principal components."""
    from sad_lightning.report.figures.projection import project  # torch, which a report without pictures does without

    projection = project(cell.folder, cell.result.settings, arrays)
    known = [arrays.classes.index(each) for each in cell.known_classes]
    kinds = {
        "other anomaly": (8, ~np.isin(projection.target_class, [*cell.place.normal, *known])),
        "known anomaly": (1, np.isin(projection.target_class, known)),
        "normal": (0, np.isin(projection.target_class, cell.place.normal)),
    }
    (low_x, low_y), (high_x, high_y) = np.quantile(projection.points, (0.005, 0.995), axis=0)
    x = svg.linear(float(low_x), float(high_x), 20, 380, "first principal component")
    y = svg.linear(float(low_y), float(high_y), 330, 34, "second")
    parts = []
    for i, (words, (colour, chosen)) in enumerate(kinds.items()):
        for a, b in projection.points[chosen].tolist():
            if x.low <= a <= x.high and y.low <= b <= y.high:
                parts.append(svg.mark(x(a), y(b), colour, "faint strongly", 2.6))
        if chosen.any():
            parts.append(svg.mark(26 + 125 * i, 12, colour, "mark", 4))
            parts.append(svg.text(36 + 125 * i, 16, words))
    alt = (
        f"Test rows of {ranking.data} in the representation of {name}, two principal components that hold"
        f" {100 * projection.explained:.0f} % of its variance: "
        + ", ".join(f"{int(chosen.sum())} {words}" for words, (_, chosen) in kinds.items())
        + "."
    )
    caption = (
        f"{ranking.data}, {ranking.setting.words}. Principal components of the code of the test rows,"
        f" {100 * projection.explained:.0f} % of its variance; normal {', '.join(cell.result.normal_classes)}."
    )
    file, title = f"representation-{name}-{ranking.name}-{cell.result.key}", f"{name}: representation"
    return svg.make_figure(file, (400, 344), parts, title=title, alt=alt, caption=caption)
