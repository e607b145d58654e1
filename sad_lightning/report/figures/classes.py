"""AUROC of each anomaly class."""

from collections.abc import Iterator

import numpy as np

from sad_lightning.drawing import svg
from sad_lightning.report.gather.ranking import Ranking


def class_figures(ranking: Ranking) -> Iterator[svg.Figure]:
    """AUROC of each anomaly class against the normals, the mean over cells; nothing where there is only one class."""
    tables: dict[str, dict[str, list[float]]] = {}
    for row in ranking.rows:
        for cell in row.group.distinct:
            for name, values in cell.result.per_class.items():
                value = values.get("auroc")
                if value is not None:
                    tables.setdefault(row.group.name, {}).setdefault(name, []).append(100 * value)
    classes = sorted({name for table in tables.values() for name in table})
    if len(classes) < 2:
        return
    means = {row: {name: float(np.mean(values)) for name, values in table.items()} for row, table in tables.items()}
    lowest = min(value for table in means.values() for value in table.values())
    left = 24 + 7.1 * max(len(name) for name in means)
    short = max(map(len, classes)) < 7
    width, height, top = max(min(620 / len(classes), 70), 40), 28, 26 if short else 74
    parts = []
    for j, name in enumerate(classes):
        at = left + width * (j + 0.5)
        if short:
            parts.append(svg.text(at, 18, name, "soft mid"))
        else:
            turned = svg.text(at, 66, name, "soft").replace("<text ", f'<text transform="rotate(-40 {at:.1f} 66)" ')
            parts.append(turned)
    for i, (method, table) in enumerate(means.items()):
        y = top + height * i
        parts.append(svg.text(left - 10, y + 18, method, "strong end"))
        for name, value in table.items():
            x = left + width * classes.index(name)
            strength = 0.06 + 0.5 * (value - lowest) / max(100 - lowest, 1e-9)
            parts.append(
                f'<rect class="s0" fill="var(--c)" opacity="{strength:.2f}" x="{x + 1:.1f}" y="{y + 1:g}"'
                f' width="{width - 2:.1f}" height="{height - 2}" rx="3"/>'
            )
            parts.append(svg.text(x + width / 2, y + 18, f"{value:.1f}", "mid"))
    numbers = "; ".join(
        f"{method} lowest on {min(table, key=lambda name: table[name])} with {min(table.values()):.1f}"
        for method, table in means.items()
    )
    title = "AUROC of each anomaly class"
    alt = f"AUROC in percent of each anomaly class on {ranking.data}: {numbers}."
    caption = "Each class against the normals, the mean over the cells in which it is not normal."
    size = (left + width * len(classes) + 40, top + height * len(means) + 8)
    yield svg.drawing(f"classes-{ranking.name}", size, parts, title=title, alt=alt, caption=caption)
