"""AUROC against a number that variants of a method differ in, all else equal (ruff2020 Figures 5 and 6)."""

import itertools
from collections.abc import Sequence
from typing import Any

from sad_lightning.drawing import svg
from sad_lightning.drawing.numbers import summary_words
from sad_lightning.report.gather.setting import Setting
from sad_lightning.report.gather.table import Row

_Line = list[tuple[float, Row]]  # the setting's value and the row that has it


def sensitivity_figures(table: Sequence[Row]) -> list[svg.Figure]:
    """A figure for each data set, setting to compare under, and number that varies; a line a method."""
    lines: dict[tuple[Any, ...], _Line] = {}
    for row in table:
        group = row.group
        settings = {**group.settings, "trainer.max_epochs": group.epochs, "ensemble": group.ensemble}
        for key, value in settings.items():
            if row.auroc.n and isinstance(value, int | float) and not isinstance(value, bool):
                rest = repr(sorted((name, repr(other)) for name, other in settings.items() if name != key))
                lines.setdefault((group.data, key, group.setting, group.method, rest), []).append((value, row))
    varying = {place: line for place, line in lines.items() if len({value for value, _ in line}) > 1}
    return [
        _figure(
            data, key, setting, [(place[3], sorted(varying[place], key=lambda point: point[0])) for place in places]
        )
        for (data, key, setting), places in itertools.groupby(varying, key=lambda place: place[:3])
    ]


def _figure(data: str, key: str, setting: Setting, lines: Sequence[tuple[str, _Line]]) -> svg.Figure:
    ticks = sorted({value for _, line in lines for value, _ in line})
    x = svg.ordinal([f"{value:g}" for value in ticks], 52, 500, key)
    y = svg.linear(*svg.padded([row.auroc.mean for _, line in lines for _, row in line]), 270, 34, "AUROC in percent")
    parts, numbers = svg.frame(x, y), []
    for colour, (method, line) in enumerate(lines):
        points = [(x(ticks.index(value)), y(row.auroc.mean)) for value, row in line]
        parts.append(svg.curve(points, colour))
        for point, (_, row) in zip(points, line, strict=True):
            parts.append(svg.mark(*point, colour, hint=summary_words(row.auroc)))
        parts.append(svg.text(512, points[-1][1] + 4, method, f"label s{colour % len(svg.LIGHT)}"))
        numbers.append(f"{method} " + ", ".join(f"{value:g}: {summary_words(row.auroc)}" for value, row in line))
    alt = f"AUROC in percent on {data} against {key}, {setting.words}. {'; '.join(numbers)}."
    caption = f"With {setting.words}, all other settings equal."
    name, title = "-".join(["sensitivity", data, key, *setting.texts]), f"Sensitivity to {key}"
    return svg.drawing(name, (640, 316), parts, title=title, alt=alt, caption=caption)
