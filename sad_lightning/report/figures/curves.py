"""AUROC against each axis that a grid goes along, all else equal (ruff2020 Figures 2 to 4)."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from sad_lightning.drawing import svg
from sad_lightning.drawing.numbers import summary_words
from sad_lightning.report.gather.ranking import Ranking
from sad_lightning.report.gather.setting import Setting

_WORDS = {
    "labeled_ratio": "ratio of labeled anomalies in the training set",
    "pollution_ratio": "ratio of pollution in the unlabeled rows",
    "n_known": "number of known anomaly classes",
}


def curve_figures(rankings: Sequence[Ranking], series: svg.Series) -> Iterator[svg.Figure]:
    """A figure for each axis and each setting of the other two, where there are two values to go along."""
    for _, some in itertools.groupby(rankings, key=lambda ranking: ranking.data):
        of_data = list(some)
        for axis in _WORDS:
            lines: dict[Setting, dict[float, Ranking]] = {}
            # Nothing known has no number of classes and no ratio, so that it fixes a line along the pollution alone.
            settings = [each.setting for each in of_data if each.setting.n_known or axis == "pollution_ratio"]
            for ranking, line in itertools.product(of_data, sorted({_without(axis, each) for each in settings})):
                if _lies_on(line, axis, ranking.setting):
                    lines.setdefault(line, {})[ranking.setting._asdict()[axis]] = ranking
            for line, places in lines.items():
                if len(places) > 1:
                    yield _curve(axis, line, dict(sorted(places.items())), series)


def _without(axis: str, setting: Setting) -> Setting:
    """The setting with 0 on the axis: what all settings of a line share."""
    return Setting(**{**setting._asdict(), axis: 0})


def _lies_on(line: Setting, axis: str, setting: Setting) -> bool:
    """Whether a setting lies on a line; without labels the number of known classes does not matter."""
    if axis == "labeled_ratio" and setting.labeled_ratio == 0:
        return setting.pollution_ratio == line.pollution_ratio
    return _without(axis, setting) == line


def _curve(axis: str, line: Setting, places: Mapping[float, Ranking], series: svg.Series) -> svg.Figure:
    rankings = list(places.values())
    data = rankings[0].data
    names = sorted({row.group.name for ranking in rankings for row in ranking.rows}, key=series.__getitem__)
    methods = {
        name: {i: row for i, ranking in enumerate(rankings) for row in ranking.rows if row.group.name == name}
        for name in names
    }
    rows = [row for points in methods.values() for row in points.values()]
    values = [row.auroc.mean for row in rows]
    values += [row.reference.mean for row in rows if row.reference]
    values += [row.auroc.mean + sign * row.auroc.deviation for row in rows if row.auroc.n > 1 for sign in (-1, 1)]
    x = svg.ordinal([f"{value:g}" for value in places], 52, 500, _WORDS[axis])
    y = svg.linear(*svg.padded(values), 330, 34, "AUROC in percent")
    parts = svg.frame(x, y)
    for name, points in methods.items():
        spread = {i: row.auroc for i, row in points.items() if row.auroc.n > 1}
        if len(spread) > 1:
            upper, lower = (
                [(x(i), y(svg.within(y, auroc.mean + sign * auroc.deviation))) for i, auroc in spread.items()]
                for sign in (1, -1)
            )
            parts.append(svg.band(upper, lower, series[name]))
    numbers, ends = [], []
    for name, points in methods.items():
        colour = series[name]
        theirs = [(x(i), y(row.reference.mean), row.reference) for i, row in points.items() if row.reference]
        parts.append(svg.curve([(px, py) for px, py, _ in theirs], colour, "thin"))
        parts += [svg.diamond(px, py, colour, f"{number.source}: {number.text}") for px, py, number in theirs]
        ours = [(x(i), y(row.auroc.mean), row) for i, row in points.items()]
        parts.append(svg.curve([(px, py) for px, py, _ in ours], colour))
        for px, py, row in ours:
            hint = f"{name}: {summary_words(row.auroc)}, {row.count} cells"
            parts.append(svg.mark(px, py, colour, hint=hint))
        ends.append((name, ours[-1][1]))
        texts = [f"{x.ticks[i][1]}: {summary_words(row.auroc)}" for i, row in points.items()]
        numbers.append(f"{name} {', '.join(texts)}")
    parts += svg.labels(ends, 512, 15, y, series)
    for i, ranking in enumerate(rankings):
        if ranking.best is not None and ranking.best.significant:
            parts.append(svg.text(x(i), 24, "★", "strong mid"))
    others = {name: f"{value:g}" for name, value in line._asdict().items() if name != axis}
    alt = f"AUROC in percent on {data} against the {_WORDS[axis]}. {'; '.join(numbers)}."
    caption = (
        "; ".join(f"{_WORDS[name]} {value}" for name, value in others.items()).capitalize()
        + ". Mean and standard deviation over cells; dashed with diamonds: published. ★: best and second best differ"
        " (Wilcoxon, p ≤ 0.05)."
    )
    name, title = "-".join(["curve", data, axis, *others.values()]), f"AUROC against the {_WORDS[axis]}"
    return svg.drawing(name, (640, 376), parts, title=title, alt=alt, caption=caption)
