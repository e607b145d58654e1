"""AUROC along each number that a grid goes along, all else equal (ruff2020 Figures 2 to 6)."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sad_lightning.drawing import svg
from sad_lightning.drawing.numbers import summary_words
from sad_lightning.report.gather.ranking import Ranking
from sad_lightning.report.gather.setting import Setting
from sad_lightning.report.gather.table import Row

_WORDS = {
    "labeled_ratio": "ratio of labeled anomalies in the training set",
    "pollution_ratio": "ratio of pollution in the unlabeled rows",
    "n_known": "number of known anomaly classes",
}


class _Line(NamedTuple):
    """One method along an axis: its rows by the value that they have there."""

    method: str
    colour: int
    rows: dict[float, Row]


def axis_figures(rankings: Sequence[Ranking], table: Sequence[Row], series: svg.Series) -> list[list[svg.Figure]]:
    """The figures of each axis, the one with the most values first.

    An axis is a coordinate of the settings, or a number that variants of a method differ in.
    """
    figures = [*_along_settings(rankings, series), *_along_variants(table)]
    by_axis: dict[str, list[tuple[int, svg.Figure]]] = {}
    for axis, count, figure in figures:
        by_axis.setdefault(axis, []).append((count, figure))
    return [[figure for _, figure in sorted(some, key=lambda pair: -pair[0])] for some in by_axis.values()]


def _along_settings(rankings: Sequence[Ranking], series: svg.Series) -> Iterator[tuple[str, int, svg.Figure]]:
    """A figure for each axis and each setting of the other two, where there are two values to go along."""
    for axis, (data, some) in itertools.product(_WORDS, _by_data(rankings)):
        # Nothing known has no number of classes and no ratio, so that it fixes a line along the pollution alone.
        settings = [each.setting for each in some if each.setting.n_known or axis == "pollution_ratio"]
        for base in sorted({_without(axis, each) for each in settings}):
            places = {each.setting._asdict()[axis]: each for each in some if _lies_on(base, axis, each.setting)}
            if len(places) < 2:
                continue
            rows: dict[str, dict[float, Row]] = {}
            for value, ranking in sorted(places.items()):
                for row in ranking.rows:
                    rows.setdefault(row.group.name, {})[value] = row
            lines = [_Line(name, series[name], rows[name]) for name in sorted(rows, key=series.__getitem__)]
            stars = {value for value, each in places.items() if each.best and each.best.significant}
            others = {name: f"{value:g}" for name, value in base._asdict().items() if name != axis}
            caption = "; ".join(f"{_WORDS[name]} {value}" for name, value in others.items()).capitalize()
            name = "-".join(["curve", data, axis, *others.values()])
            yield axis, len(places), _chart(name, _WORDS[axis], lines, stars, data, f"{data}. {caption}.")


def _by_data(rankings: Sequence[Ranking]) -> list[tuple[str, list[Ranking]]]:
    return [(data, list(some)) for data, some in itertools.groupby(rankings, key=lambda ranking: ranking.data)]


def _without(axis: str, setting: Setting) -> Setting:
    """The setting with 0 on the axis: what all settings of a line share."""
    return Setting(**{**setting._asdict(), axis: 0})


def _lies_on(line: Setting, axis: str, setting: Setting) -> bool:
    """Whether a setting lies on a line; without labels the number of known classes does not matter."""
    if axis == "labeled_ratio" and setting.labeled_ratio == 0:
        return setting.pollution_ratio == line.pollution_ratio
    return _without(axis, setting) == line


def _along_variants(table: Sequence[Row]) -> Iterator[tuple[str, int, svg.Figure]]:
    """A figure for each data set, setting and number that variants of a method differ in."""
    places: dict[tuple[Any, ...], dict[float, Row]] = {}
    for row in table:
        group = row.group
        settings = {**group.settings, "trainer.max_epochs": group.epochs, "ensemble": group.ensemble}
        for key, value in settings.items():
            if row.auroc.n and isinstance(value, int | float) and not isinstance(value, bool):
                rest = repr(sorted((name, repr(other)) for name, other in settings.items() if name != key))
                places.setdefault((group.data, key, group.setting, group.method, rest), {})[value] = row
    varying = {place: rows for place, rows in places.items() if len(rows) > 1}
    for (data, key, setting), some in itertools.groupby(varying, key=lambda place: place[:3]):
        lines = [_Line(place[3], i, dict(sorted(varying[place].items()))) for i, place in enumerate(some)]
        name = "-".join(["sensitivity", data, key, *setting.texts])
        caption = f"{data}, {setting.words}, all other settings equal."
        yield key, max(len(line.rows) for line in lines), _chart(name, key, lines, set(), data, caption)


def _chart(name: str, axis: str, lines: list[_Line], stars: set[float], data: str, caption: str) -> svg.Figure:
    rows = [row for line in lines for row in line.rows.values()]
    heights = [row.auroc.mean for row in rows] + [row.reference.mean for row in rows if row.reference]
    heights += [row.auroc.mean + sign * row.auroc.deviation for row in rows if row.auroc.n > 1 for sign in (-1, 1)]
    ticks = sorted({value for line in lines for value in line.rows})
    x = svg.ordinal([f"{value:g}" for value in ticks], 52, 350, axis)
    y = svg.linear(*svg.with_margin(heights), 270, 34, "AUROC in percent")
    parts = [*svg.frame(x, y), *(svg.text(x(ticks.index(value)), 24, "★", "strong mid") for value in sorted(stars))]
    ends, numbers = [], []
    for line in lines:
        places = [(x(ticks.index(value)), row) for value, row in line.rows.items()]
        spread = [(px, row.auroc) for px, row in places if row.auroc.n > 1]
        if len(spread) > 1:
            upper, lower = (
                [(px, y(svg.within(y, auroc.mean + sign * auroc.deviation))) for px, auroc in spread]
                for sign in (1, -1)
            )
            parts.append(svg.band(upper, lower, line.colour))
        theirs = [(px, y(row.reference.mean), row.reference) for px, row in places if row.reference]
        parts.append(svg.curve([(px, py) for px, py, _ in theirs], line.colour, "thin"))
        parts += [svg.diamond(px, py, line.colour, f"{number.source}: {number.text}") for px, py, number in theirs]
        parts.append(svg.curve([(px, y(row.auroc.mean)) for px, row in places], line.colour))
        for px, row in places:
            hint = f"{line.method}: {summary_words(row.auroc)}, {row.count} cells"
            parts.append(svg.mark(px, y(row.auroc.mean), line.colour, hint=hint))
        ends.append((line.method, y(places[-1][1].auroc.mean)))
        numbers.append(
            f"{line.method} {', '.join(f'{value:g}: {summary_words(row.auroc)}' for value, row in line.rows.items())}"
        )
    parts += svg.labels(ends, 362, 15, y, {line.method: line.colour for line in lines})
    alt = f"AUROC in percent on {data} against {axis}. {'; '.join(numbers)}."
    return svg.make_figure(name, (480, 316), parts, title=f"AUROC against the {axis}", alt=alt, caption=caption)
