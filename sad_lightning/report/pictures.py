"""Pictures of the data: what scores high and low, and where the encoder puts it.

Only on request: they need the data, below ``SAD_DATA_ROOT``, and the checkpoints.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from typing import Any

import numpy as np

from sad_lightning import data
from sad_lightning.data.arrays import Arrays
from sad_lightning.drawing import svg
from sad_lightning.drawing.pictures import picture
from sad_lightning.drawing.svg import Figure
from sad_lightning.errors import InputError
from sad_lightning.report.cells import Cell
from sad_lightning.report.table import Contest
from sad_lightning.report.text import setting_words

_SHOWN = 12


def pictures(found: Iterable[Contest], which: str) -> tuple[list[Figure], list[str]]:
    """Cells in pictures, and what could not be drawn, a line each.

    Args:
        found: the comparisons whose cells are drawn.
        which: ``middle`` draws one cell of each method and setting, that of the median AUROC; ``all`` every cell.
    """
    drawn, problems = [], []
    sets: dict[str, Arrays | None] = {}
    for contest in found:
        for row in contest.rows:
            cells = sorted(row.group.distinct, key=lambda cell: cell.auroc)
            for cell in cells if which == "all" else cells[len(cells) // 2 :][:1]:
                settings = cell.result.settings["data"]
                try:
                    if repr(settings) not in sets:
                        sets[repr(settings)] = None  # what fails is not tried again
                        sets[repr(settings)] = load(settings)
                    if (arrays := sets[repr(settings)]) is not None:
                        if arrays.x.dtype == np.uint8:
                            drawn.append(samples(contest, cell, arrays, row.group.name))
                        drawn.append(representation(contest, cell, arrays, row.group.name))
                except (InputError, KeyError, OSError) as error:
                    problems.append(f"{cell.folder}: no picture ({error})")
    return drawn, problems


def load(settings: Mapping[str, Any]) -> Arrays:
    """The data set that a cell's settings name.

    Raises:
        InputError: it is none of the package's, or its file is not there.
    """
    room, _, name = str(settings["_target_"]).rpartition(".")
    if room != data.__name__ or name not in data.__all__:  # what a stored file names is called only if it is public
        raise InputError(f"data: pictures are drawn of the package's own sets, and this is {room}.{name}")
    function: Callable[..., Arrays] = getattr(data, name)
    arguments = {key: value for key, value in settings.items() if key not in ("_target_", "root")}
    if "root" in signature(function).parameters:
        arguments["root"] = os.environ.get("SAD_DATA_ROOT")  # a result does not say where its files lay
    return function(**arguments)


def samples(contest: Contest, cell: Cell, arrays: Arrays, name: str) -> Figure:
    """The test images that score highest and lowest, of anomalies and of normals."""
    with np.load(cell.folder / "scores.npz") as file:
        rows, scores, classes = file["row"], file["score"], file["target_class"]
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
        f"Test images of {contest.data} by the scores of {name}, {where}: the {_SHOWN} highest and lowest of the"
        f" anomalies and of the normals; the lowest anomaly scores {scores[strips['anomalies, lowest'][0]]:.3g}, the"
        f" highest normal {scores[strips['normals, highest'][0]]:.3g}."
    )
    return Figure(
        name=_file("samples", name, contest, cell),
        title=f"{name}: most and least anomalous",
        caption=f"{contest.data}, {setting_words(contest.setting)}; {where}.",
        alt=alt,
        svg=svg.drawing(140 + side * _SHOWN, 12 + 4 * (side + 14), alt, parts),
    )


def representation(contest: Contest, cell: Cell, arrays: Arrays, name: str) -> Figure:
    """The encoder's test rows on their two principal components (daniel2021 Figure 1 has t-SNE)."""
    from sad_lightning.cell.checkpoint import project  # torch, which a report without pictures does without

    seen = project(cell.folder, cell.result.settings, arrays)
    known = [arrays.classes.index(each) for each in cell.known_classes]
    kinds = {
        "other anomaly": (8, ~np.isin(seen.target_class, [*cell.place.normal, *known])),
        "known anomaly": (1, np.isin(seen.target_class, known)),
        "normal": (0, np.isin(seen.target_class, cell.place.normal)),
    }
    (low_x, low_y), (high_x, high_y) = np.quantile(seen.points, (0.005, 0.995), axis=0)
    x = svg.linear(float(low_x), float(high_x), 20, 380, "first principal component")
    y = svg.linear(float(low_y), float(high_y), 330, 34, "second")
    parts = []
    for i, (words, (colour, chosen)) in enumerate(kinds.items()):
        for a, b in seen.points[chosen].tolist():
            if x.low <= a <= x.high and y.low <= b <= y.high:
                parts.append(svg.mark(x(a), y(b), colour, "faint strongly", 2.6))
        if chosen.any():
            parts.append(svg.mark(26 + 125 * i, 12, colour, "mark", 4))
            parts.append(svg.text(36 + 125 * i, 16, words))
    alt = (
        f"Test rows of {contest.data} in the representation of {name}, two principal components that hold"
        f" {100 * seen.explained:.0f} % of its variance: "
        + ", ".join(f"{int(chosen.sum())} {words}" for words, (_, chosen) in kinds.items())
        + "."
    )
    return Figure(
        name=_file("representation", name, contest, cell),
        title=f"{name}: representation",
        caption=f"{contest.data}, {setting_words(contest.setting)}. Principal components of the code of the test rows,"
        f" {100 * seen.explained:.0f} % of its variance; normal {', '.join(cell.result.normal_classes)}.",
        alt=alt,
        svg=svg.drawing(400, 344, alt, parts),
    )


def _file(kind: str, name: str, contest: Contest, cell: Cell) -> str:
    return "-".join([kind, name, contest.data, *(f"{value:g}" for value in contest.setting), cell.result.key])
