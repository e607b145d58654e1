"""What a grid goes along: AUROC against its axes and against settings that vary (ruff2020 Figures 2 to 6)."""

import itertools
from collections.abc import Sequence
from typing import Any, TypeVar

from sad_lightning.drawing import svg
from sad_lightning.drawing.svg import Figure
from sad_lightning.report.table import Contest, Row
from sad_lightning.report.text import number, setting_words

_AXES = ("labeled_ratio", "pollution_ratio", "n_known")
_WORDS = {
    "labeled_ratio": "ratio of labeled anomalies in the training set",
    "pollution_ratio": "ratio of pollution in the unlabeled rows",
    "n_known": "number of known anomaly classes",
}
T = TypeVar("T")


def curves(found: Sequence[Contest], series: svg.Series) -> list[Figure]:
    """AUROC against each axis that a grid goes along, all else equal (ruff2020 Figures 2 to 4)."""
    figures = []
    for data, some in itertools.groupby(found, key=lambda contest: contest.data):
        contests = list(some)
        for axis, name in enumerate(_AXES):
            lines: dict[tuple[float, ...], dict[float, Contest]] = {}
            fixed = {_others(contest.setting, axis) for contest in contests if _knows(contest.setting, axis)}
            for contest, others in itertools.product(contests, sorted(fixed)):
                if _along(contest.setting, axis, others):
                    lines.setdefault(others, {})[contest.setting[axis]] = contest
            for others, places in lines.items():
                if len(places) > 1:
                    figures.append(_curve(data, axis, name, others, dict(sorted(places.items())), series))
    return figures


def _knows(setting: tuple[float, float, int], axis: int) -> bool:
    """Whether a setting can fix a line: nothing known has no number of classes, and no ratio."""
    return setting[2] > 0 or axis == 1


def _others(setting: tuple[T, ...], axis: int) -> tuple[T, ...]:
    return tuple(value for i, value in enumerate(setting) if i != axis)


def _along(setting: tuple[float, float, int], axis: int, others: tuple[float, ...]) -> bool:
    """Whether the setting lies on the line; without labels the number of known classes is 0, whatever was asked for."""
    if axis == 0 and setting[0] == 0:
        return setting[1] == others[0]
    return _others(setting, axis) == others


def _curve(
    data: str, axis: int, name: str, others: tuple[float, ...], places: dict[float, Contest], series: svg.Series
) -> Figure:
    names = sorted({row.group.name for contest in places.values() for row in contest.rows}, key=series.__getitem__)
    points = {
        name: {i: row for i, contest in enumerate(places.values()) for row in contest.rows if row.group.name == name}
        for name in names
    }
    values = [row.auroc.mean for line in points.values() for row in line.values()]
    values += [row.published[0].mean for line in points.values() for row in line.values() if row.published]
    for line in points.values():
        values += [
            row.auroc.mean + s * row.auroc.deviation for row in line.values() for s in (-1, 1) if row.auroc.n > 1
        ]
    x = svg.ordinal([f"{value:g}" for value in places], 52, 500, _WORDS[name])
    y = svg.linear(*svg.padded(values), 330, 34, "AUROC in percent")
    parts = svg.frame(x, y)
    said, ends = [], []
    for name_of, line in points.items():
        colour = series[name_of]
        spread = {i: row for i, row in line.items() if row.auroc.n > 1}
        if len(spread) > 1:
            upper, lower = (
                [(x(i), y(svg.within(y, row.auroc.mean + sign * row.auroc.deviation))) for i, row in spread.items()]
                for sign in (1, -1)
            )
            parts.append(svg.band(upper, lower, colour))
    for name_of, line in points.items():
        colour = series[name_of]
        theirs = [(x(i), y(row.published[0].mean)) for i, row in line.items() if row.published]
        parts.append(svg.curve(theirs, colour, "thin"))
        parts += [
            svg.diamond(x(i), y(row.published[0].mean), colour, f"{row.published[0].source}: {row.published[0].text}")
            for i, row in line.items()
            if row.published
        ]
        parts.append(svg.curve([(x(i), y(row.auroc.mean)) for i, row in line.items()], colour))
        parts += [
            svg.mark(x(i), y(row.auroc.mean), colour, hint=f"{name_of}: {number(row.auroc)}, {row.count} cells")
            for i, row in line.items()
        ]
        last = max(line)
        ends.append((name_of, x(last), y(line[last].auroc.mean)))
        said.append(f"{name_of} " + ", ".join(f"{x.ticks[i][1]}: {number(row.auroc)}" for i, row in line.items()))
    heights = svg.apart([height for *_, height in ends], 15, y.end, y.start)
    for (name_of, _, _), height in zip(ends, heights, strict=True):
        parts.append(svg.text(512, height + 4, name_of, f"label s{series[name_of] % len(svg.LIGHT)}"))
    for i, contest in enumerate(places.values()):
        if contest.best is not None and contest.best.significant:
            parts.append(svg.text(x(i), 24, "★", "strong mid"))
    fixed = [f"{_WORDS[other]} {value:g}" for other, value in zip(_others(_AXES, axis), others, strict=True)]
    alt = f"AUROC in percent on {data} against the {_WORDS[name]}. {'; '.join(said)}."
    return Figure(
        name=f"curve-{data}-{name}-{'-'.join(f'{value:g}' for value in others)}",
        title=f"AUROC against the {_WORDS[name]}",
        caption=f"{'; '.join(fixed).capitalize()}. Mean and standard deviation over cells; dashed with diamonds:"
        " published. ★: best and second best differ (Wilcoxon, p ≤ 0.05).",
        alt=alt,
        svg=svg.drawing(640, 376, alt, parts),
    )


def sensitivity(table: Sequence[Row]) -> list[Figure]:
    """AUROC against a number that variants of a method differ in, all else equal (ruff2020 Figures 5 and 6)."""
    lines: dict[tuple[Any, ...], list[tuple[float, Row]]] = {}
    for row in table:
        group = row.group
        settings = {**group.varied, "trainer.max_epochs": group.epochs, "ensemble": group.ensemble}
        for key, value in settings.items():
            if row.auroc.n and isinstance(value, int | float) and not isinstance(value, bool):
                rest = repr(sorted((name, repr(other)) for name, other in settings.items() if name != key))
                lines.setdefault((group.data, key, group.setting, group.method, rest), []).append((value, row))
    figures = []
    keep = {place: sorted(line, key=lambda p: p[0]) for place, line in lines.items() if len({v for v, _ in line}) > 1}
    for (data, key, setting), places in itertools.groupby(keep, key=lambda place: place[:3]):
        some = [(place[3], keep[place]) for place in places]
        ticks = sorted({value for _, line in some for value, _ in line})
        x = svg.ordinal([f"{value:g}" for value in ticks], 52, 500, key)
        y = svg.linear(
            *svg.padded([row.auroc.mean for _, line in some for _, row in line]), 270, 34, "AUROC in percent"
        )
        parts, said = svg.frame(x, y), []
        for colour, (method, line) in enumerate(some):
            parts.append(svg.curve([(x(ticks.index(v)), y(row.auroc.mean)) for v, row in line], colour))
            parts += [svg.mark(x(ticks.index(v)), y(row.auroc.mean), colour, hint=number(row.auroc)) for v, row in line]
            parts.append(svg.text(512, y(line[-1][1].auroc.mean) + 4, method, f"label s{colour % len(svg.LIGHT)}"))
            said.append(f"{method} " + ", ".join(f"{v:g}: {number(row.auroc)}" for v, row in line))
        alt = f"AUROC in percent on {data} against {key}, {setting_words(setting)}. {'; '.join(said)}."
        figures.append(
            Figure(
                name=f"sensitivity-{data}-{key}-{'-'.join(f'{value:g}' for value in setting)}",
                title=f"Sensitivity to {key}",
                caption=f"With {setting_words(setting)}, all other settings equal.",
                alt=alt,
                svg=svg.drawing(640, 316, alt, parts),
            )
        )
    return figures
