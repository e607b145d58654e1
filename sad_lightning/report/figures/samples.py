"""The test images that score highest and lowest."""

import numpy as np

from sad_lightning.data.arrays import Arrays
from sad_lightning.drawing import svg
from sad_lightning.drawing.pixels import picture
from sad_lightning.report.gather.cells import CellResult
from sad_lightning.report.gather.ranking import Ranking
from sad_lightning.result import read_arrays

_SHOWN = 12


def samples_figure(ranking: Ranking, cell: CellResult, arrays: Arrays, name: str) -> svg.Figure:
    """The test images that score highest and lowest, of anomalies and of normals."""
    stored = read_arrays(cell.folder / "scores.npz", cell.result.key)
    rows, scores, classes = stored["row"], stored["score"], stored["target_class"]
    normal = np.isin(classes, cell.place.normal)
    order = np.argsort(scores, kind="stable")
    strips = {
        "anomalies, highest": order[~normal[order]][::-1],
        "anomalies, lowest": order[~normal[order]],
        "normals, highest": order[normal[order]][::-1],
        "normals, lowest": order[normal[order]],
    }
    parts, side = [], 40
    for i, (words, chosen) in enumerate(strips.items()):
        top = 8 + i * (side + 14)
        parts.append(svg.text(128, top + side / 2 + 4, words, "soft end"))
        strip = arrays.x[rows[chosen[:_SHOWN]]]  # (n, H, W, C)
        n, height, width, channels = strip.shape
        pixels = strip.transpose(1, 0, 2, 3).reshape(height, n * width, channels)
        parts.append(picture(pixels, 140, top, side * n, side))
    known = ", ".join(cell.known_classes) or "none"
    where = f"normal {', '.join(cell.result.normal_classes)}, known anomalies {known}, seed {cell.place.seed}"
    alt = (
        f"Test images of {ranking.data} by the scores of {name}, {where}: the {_SHOWN} highest and lowest of the"
        f" anomalies and of the normals; the lowest anomaly scores {scores[strips['anomalies, lowest'][0]]:.3g}, the"
        f" highest normal {scores[strips['normals, highest'][0]]:.3g}."
    )
    caption = f"{ranking.data}, {ranking.setting.words}; {where}."
    file, title = f"samples-{name}-{ranking.name}-{cell.result.key}", f"{name}: most and least anomalous"
    size = (140 + side * _SHOWN, 12 + 4 * (side + 14))
    return svg.make_figure(file, size, parts, title=title, alt=alt, caption=caption)
