"""The figures of a setting, its methods side by side, and all figures of a report together."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sad_lightning.drawing import svg
from sad_lightning.drawing.arrows import Arrow, arrows
from sad_lightning.drawing.numbers import p_value, rounded, signed
from sad_lightning.drawing.svg import Axis, Figure
from sad_lightning.report.cells import FPR
from sad_lightning.report.curves import curves, sensitivity
from sad_lightning.report.directions import Directions
from sad_lightning.report.table import Contest, Pair, Row
from sad_lightning.report.text import number, setting_words

_HISTORY = {
    "radius": "radius R",
    "spread": "spread of the representation",
    "score_spread": "spread of the scores",
    "outside": "share outside the radius",
    "kl": "Kullback-Leibler term",
}


def series_of(table: Sequence[Row]) -> dict[str, int]:
    """A colour for each method of a report."""
    return {name: i for i, name in enumerate(dict.fromkeys(row.group.name for row in table))}


class Setting(NamedTuple):
    """The figures of one setting.

    Attributes:
        contest: the methods under that setting.
        wide: figures that take the whole width.
        figures: the others.
        scores: small ones, a method each.
    """

    contest: Contest
    wide: list[Figure]
    figures: list[Figure]
    scores: list[Figure]


class Drawn(NamedTuple):
    """Every figure of a report.

    Attributes:
        axes: against what a grid goes along.
        settings: those of each setting that has results.
        directions: what labels do to recall.
        arrows: the figures of these, where there are not too many.
    """

    axes: list[Figure]
    settings: list[Setting]
    directions: Sequence[Directions] = ()
    arrows: Sequence[Figure] = ()

    def all(self) -> list[Figure]:
        """One after the other."""
        return [*self.axes, *self.arrows] + [figure for each in self.settings for some in each[1:] for figure in some]


_MANY = 24  # figures of arrows that a page still bears


def draw(table: Sequence[Row], found: Sequence[Contest], changes: Sequence[Directions] = ()) -> Drawn:
    """Draw everything that the results allow."""
    series = series_of(table)
    return Drawn(
        directions=changes,
        arrows=[direction(each) for each in changes] if len(changes) <= _MANY else [],
        axes=curves(found, series) + sensitivity(table),
        settings=[_setting(contest, series) for contest in found if contest.rows],
    )


def _setting(contest: Contest, series: svg.Series) -> Setting:
    classes, curve = per_class(contest), roc(contest, series)
    drawn = [] if curve is None else [curve]
    if contest.best is not None and len(contest.best.values) > 1:
        drawn.insert(0, scatter(contest, contest.best, series))
    wide = [overview(contest, series)] + ([] if classes is None else [classes])
    drawn += [*history(contest, series), seconds(contest, series)]
    return Setting(contest, wide, drawn, score_distributions(contest))


def direction(found: Directions) -> Figure:
    """The recall of each class without and with labels."""
    who = f"{found.label_free} to {found.with_labels}"
    where = f"{found.data}, {' and '.join(found.normal)} normal, {' and '.join(found.known)} known"
    lines = [
        Arrow(
            change.name, change.before, change.after, change.interval, change.verdict,
            (change.published[0].mean, change.published[1].mean) if change.published else None,
        )
        for change in found.changes
    ]  # fmt: skip
    name = "-".join(["directions", found.data, found.label_free, found.with_labels, *found.normal, *found.known])
    return arrows(name, f"{who}, {where}", lines)


def overview(contest: Contest, series: svg.Series) -> Figure:
    """Each method's mean, its interval, its cells and the published mean, the best on top."""
    rows = contest.rows
    values = [cell.auroc for row in rows for cell in row.group.distinct]
    values += [row.published[0].mean for row in rows if row.published]
    names = [row.group.name for row in rows]
    x, places, height, parts = svg.row_frame(names, *svg.padded(values), 640, "AUROC in percent", 6)
    said = []
    for i, (row, at) in enumerate(zip(rows, places, strict=True)):
        colour = series[row.group.name]
        star = " *" if i == 0 and contest.best is not None and contest.best.significant else ""
        for k, cell in enumerate(row.group.distinct if row.auroc.n > 1 else ()):
            parts.append(svg.mark(x(cell.auroc), at + (k * 0.618 % 1 - 0.5) * 13, colour, "faint", 2.5))
        parts.append(svg.interval(x, at, *row.auroc.interval, colour))
        if row.published:
            first = row.published[0]
            parts.append(svg.diamond(x(first.mean), at, colour, f"{first.source}: {first.text}"))
        parts.append(svg.mark(x(row.auroc.mean), at, colour, hint=f"{row.group.name}: {number(row.auroc)}"))
        parts.append(svg.text(652, at + 4, number(row.auroc) + star))
        said.append(f"{row.group.name} {number(row.auroc)}")
    alt = f"AUROC in percent on {contest.data}, {setting_words(contest.setting)}: {'; '.join(said)}."
    return Figure(
        name=_file_name("overview", contest),
        title="Methods",
        caption="Mean (dot), its 95 % interval (bar), each cell (small dots) and the published mean (diamond)."
        " A star: the first differs from the second (Wilcoxon, p ≤ 0.05).",
        alt=alt,
        svg=svg.drawing(740, height, alt, parts),
    )


def scatter(contest: Contest, pair: Pair, series: svg.Series) -> Figure:
    """Each common cell as a point, the second best across and the best upwards (ruff2020 Figures 7 to 9)."""
    low, high = svg.padded([value for values in pair.values for value in values])
    x = svg.linear(low, high, 52, 372, f"{pair.second.group.name}, AUROC in percent")
    y = svg.linear(low, high, 350, 30, f"{pair.first.group.name}, AUROC in percent")
    parts = svg.frame(x, y)
    parts.append(f'<path class="rule" stroke-dasharray="4 4" d="M{x.start:g} {y.start:g}L{x.end:g} {y.end:g}"/>')
    colour = series[pair.first.group.name]
    for ours, theirs in pair.values:
        parts.append(svg.mark(x(theirs), y(ours), colour, hint=f"{ours:.1f} against {theirs:.1f}"))
    seen = pair.comparison
    alt = (
        f"{pair.first.group.name} against {pair.second.group.name} on {contest.data}, {setting_words(contest.setting)}:"
        f" higher in {seen.wins} and lower in {seen.losses} of {seen.n} cells, mean difference"
        f" {signed(seen.difference)} points, Wilcoxon p {p_value(seen.wilcoxon)}."
    )
    return Figure(
        name=_file_name("scatter", contest),
        title="Best against second best",
        caption=f"Above the diagonal the best wins: {seen.wins} of {seen.n} cells, p {p_value(seen.wilcoxon)}.",
        alt=alt,
        svg=svg.drawing(400, 398, alt, parts),
    )


def roc(contest: Contest, series: svg.Series) -> Figure | None:
    """The mean ROC curve of each method over its cells."""
    x = svg.linear(0, 1, 52, 372, "false-positive rate")
    y = svg.linear(0, 1, 350, 30, "recall")
    parts = [*svg.frame(x, y), f'<path class="rule" stroke-dasharray="4 4" d="M{x(0):g} {y(0):g}L{x(1):g} {y(1):g}"/>']
    said = []
    for row in reversed(contest.rows):
        recalls = [ranking.recalls for cell in row.group.distinct if (ranking := cell.ranking) is not None]
        if recalls:
            mean = np.mean(recalls, axis=0)
            points = [(x(0), y(0)), *((x(a), y(b)) for a, b in zip(FPR.tolist(), mean.tolist(), strict=True))]
            parts.append(svg.curve(points, series[row.group.name]))
            said.append(f"{row.group.name} finds {100 * mean[5]:.0f} % at 5 % false positives")
    if not said:
        return None
    alt = f"ROC curves on {contest.data}, {setting_words(contest.setting)}: {'; '.join(reversed(said))}."
    return Figure(
        name=_file_name("roc", contest),
        title="ROC curves",
        caption="Recall against the false-positive rate, the mean over cells. Colours as above.",
        alt=alt,
        svg=svg.drawing(400, 398, alt, parts),
    )


def score_distributions(contest: Contest) -> list[Figure]:
    """For each method the scores of normals and anomalies in its middle cell, and the threshold."""
    figures = []
    for row in contest.rows:
        cells = sorted(row.group.distinct, key=lambda cell: cell.auroc)
        cell = cells[len(cells) // 2]
        scores = cell.scores()
        if scores is None:
            continue
        y, values = scores
        threshold = cell.result.metrics["threshold"]
        low, high = (float(v) for v in np.quantile(values, (0.002, 0.98)))
        x = svg.linear(low, max(high, low + 1e-9), 10, 230, "score", 3)
        counts = [np.histogram(np.clip(values[y == kind], low, x.high), 36, (low, x.high))[0] for kind in (0, 1)]
        shares = [count / max(count.sum(), 1) for count in counts]
        tallest = max(float(share.max()) for share in shares)
        parts = [_steps(share, tallest, x, 96, 18, colour) for share, colour in zip(shares, (8, 1), strict=True)]
        parts.append('<path class="rule" d="M10 96H230"/>')
        parts += [svg.text(x(value), 112, words, "soft mid small") for value, words in x.ticks]
        if low <= threshold <= x.high:
            at = x(threshold)
            parts.append(f'<path class="rule" stroke-dasharray="2 3" d="M{at:.1f} 14V96"/>')
        parts.append(svg.text(10, 11, row.group.name, "strong small"))
        parts.append(svg.text(230, 11, f"{cell.auroc:.1f} %", "soft small end"))
        alt = (
            f"Scores of {row.group.name} on {contest.data}, normal {', '.join(cell.result.normal_classes)}: the middle"
            f" normal scores {np.median(values[y == 0]):.3g}, the middle anomaly {np.median(values[y == 1]):.3g}; the"
            f" threshold {threshold:.3g} finds {100 * cell.result.metrics['recall']:.0f} % of the anomalies."
        )
        figures.append(
            Figure(
                name=_file_name(f"scores-{row.group.name}", contest),
                title=row.group.name,
                caption="",
                alt=alt,
                svg=svg.drawing(240, 118, alt, parts),
            )
        )
    return figures


def history(contest: Contest, series: svg.Series) -> list[Figure]:
    """Radius and spread over epochs: the mean over cells of what training recorded."""
    figures = []
    for name, words in _HISTORY.items():
        lines = {row.group.name: line for row in contest.rows if (line := _mean_history(row, name)) is not None}
        finite = [value for line in lines.values() for value in line.tolist() if not math.isnan(value)]
        if not finite:
            continue
        x = svg.linear(0, max(len(line) for line in lines.values()), 60, 340, "epoch", 4)
        wide = min(finite) > 0 and max(finite) > 30 * min(finite)
        span = (min(finite), max(finite)) if wide else svg.padded(finite, bound=math.inf)
        low, high = span
        y = svg.logarithmic(low, high, 210, 30, words) if wide else svg.linear(low, high, 210, 30, words)
        parts, said, ends = svg.frame(x, y), [], []
        for method, line in lines.items():
            points = [(x(i + 1), y(v) if not math.isnan(v) else math.nan) for i, v in enumerate(line.tolist())]
            parts.append(svg.curve(points, series[method]))
            kept = [point for point in points if not math.isnan(point[1])]
            ends.append((method, kept[-1][1]))
            numbers = line[~np.isnan(line)]
            said.append(f"{method} from {numbers[0]:.3g} to {numbers[-1]:.3g}")
        for (method, _), height in zip(ends, svg.apart([h for _, h in ends], 14, 30, 210), strict=True):
            parts.append(svg.text(348, height + 4, method, f"label small s{series[method] % len(svg.LIGHT)}"))
        alt = f"{words.capitalize()} over epochs on {contest.data}: {'; '.join(said)}."
        figures.append(
            Figure(
                name=_file_name(f"history-{name}", contest),
                title=words[0].upper() + words[1:],
                caption="The mean over cells, by epoch." + (" Logarithmic." if wide else ""),
                alt=alt,
                svg=svg.drawing(470, 256, alt, parts),
            )
        )
    return figures


def seconds(contest: Contest, series: svg.Series) -> Figure:
    """What a cell of each method costs."""
    rows = sorted(contest.rows, key=lambda row: row.seconds.mean)
    longest = max(max(row.seconds.mean for row in rows), 0.1)
    names = [row.group.name for row in rows]
    x, places, height, parts = svg.row_frame(names, 0, 1.05 * longest, 600, "seconds a cell")
    for row, at in zip(rows, places, strict=True):
        colour = series[row.group.name] % len(svg.LIGHT)
        width = max(x(row.seconds.mean) - x.start, 1)
        parts.append(
            f'<rect class="bar s{colour}" x="{x.start:g}" y="{at - 7:g}" width="{width:.1f}" height="14" rx="2"/>'
        )
        parts.append(svg.text(x.start + width + 8, at + 4, rounded(row.seconds.mean), "soft"))
    said = "; ".join(f"{row.group.name} {rounded(row.seconds.mean)}" for row in rows)
    alt = f"Seconds a cell on {contest.data}: {said}."
    return Figure(
        name=_file_name("seconds", contest),
        title="Seconds a cell",
        caption="Wall time of all stages, the mean over cells; pretraining that was cached costs nothing.",
        alt=alt,
        svg=svg.drawing(660, height, alt, parts),
    )


def per_class(contest: Contest) -> Figure | None:
    """AUROC of each anomaly class against the normals, the mean over cells; None where there is one class only."""
    tables: dict[str, dict[str, list[float]]] = {}
    for row in contest.rows:
        for cell in row.group.distinct:
            for name, values in cell.result.per_class.items():
                value = values.get("auroc")
                if value is not None:
                    tables.setdefault(row.group.name, {}).setdefault(name, []).append(100 * value)
    classes = sorted({name for table in tables.values() for name in table})
    if len(classes) < 2:
        return None
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
    said = "; ".join(
        f"{method} lowest on {min(table, key=lambda name: table[name])} with {min(table.values()):.1f}"
        for method, table in means.items()
    )
    alt = f"AUROC in percent of each anomaly class on {contest.data}: {said}."
    return Figure(
        name=_file_name("classes", contest),
        title="AUROC of each anomaly class",
        caption="Each class against the normals, the mean over the cells in which it is not normal.",
        alt=alt,
        svg=svg.drawing(left + width * len(classes) + 40, top + height * len(means) + 8, alt, parts),
    )


def _mean_history(row: Row, name: str) -> NDArray[np.float64] | None:
    lines = [
        np.array([math.nan if value is None else value for value in curves[name]])
        for cell in row.group.distinct
        for stage, curves in cell.result.history.items()
        if stage.startswith("train") and curves.get(name)
    ]
    lines = [line for line in lines if not np.isnan(line).all()]
    if not lines:
        return None
    padded = np.full((len(lines), max(map(len, lines))), math.nan)
    for i, line in enumerate(lines):
        padded[i, : len(line)] = line
    known = ~np.isnan(padded)
    return np.where(known.any(0), np.where(known, padded, 0).sum(0) / np.maximum(known.sum(0), 1), math.nan)


def _steps(shares: NDArray[np.float64], tallest: float, x: Axis, bottom: float, top: float, colour: int) -> str:
    """A histogram as one filled outline."""
    width = (x.end - x.start) / len(shares)
    path = [f"M{x.start:g} {bottom:g}"]
    for i, share in enumerate(shares.tolist()):
        path.append(f"V{bottom - share / tallest * (bottom - top):.1f}H{x.start + width * (i + 1):.1f}")
    return f'<path class="s{colour}" fill="var(--c)" opacity=".55" d="{"".join(path)}V{bottom:g}Z"/>'


def _file_name(kind: str, contest: Contest) -> str:
    return f"{kind}-{contest.data}-{'-'.join(f'{value:g}' for value in contest.setting)}"
