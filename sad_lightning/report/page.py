"""One self-contained HTML page: no network, no script but its own, everything that comes from results escaped."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from string import Template

from sad_lightning.drawing import svg
from sad_lightning.drawing.numbers import DASH, p_value, rounded, signed
from sad_lightning.drawing.svg import Figure
from sad_lightning.report.cells import Cell, Grids, Group, Place
from sad_lightning.report.changes import changes
from sad_lightning.report.figures import Drawn, Setting
from sad_lightning.report.markup import Html, entry, filter_box, gallery, joined, sortable, tag
from sad_lightning.report.table import Contest, Row, recalls
from sad_lightning.report.text import number, setting_words
from sad_lightning.stats.compare import LEVEL

_TEMPLATE = Path(__file__).with_name("page.html")


def page(grids: Grids, table: Sequence[Row], drawn: Drawn, pictures: Sequence[Figure], title: str) -> str:
    """The whole report.

    Args:
        grids: all that was found.
        table: its rows.
        drawn: its figures, by setting.
        pictures: figures of the data, shown last.
        title: of the page.
    """
    body = joined(_body(grids, table, drawn, pictures))
    colours = "".join(f"--s{i}:{colour};" for i, colour in enumerate(svg.LIGHT))
    dark = "".join(f"--s{i}:{colour};" for i, colour in enumerate(svg.DARK))
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(title), colours=colours, dark=dark, figure_style=svg.STYLE, body=body
    )


def _body(grids: Grids, table: Sequence[Row], drawn: Drawn, pictures: Sequence[Figure]) -> Iterator[Html]:
    found = [each.contest for each in drawn.settings]
    yield _facts(grids)
    yield _problems(grids)
    yield tag("section", tag("h2", "In short"), _answers(found), id="short")
    yield tag("section", tag("h2", "Results"), _results(table, found), id="results")
    if drawn.axes:
        yield tag("section", tag("h2", "Along the axes"), gallery(drawn.axes), id="axes")
    if drawn.directions:
        yield tag("section", tag("h2", "What labels do to recall"), *changes(drawn), id="directions")
    settings = [_setting(each, is_open=i == 0) for i, each in enumerate(drawn.settings)]
    yield tag("section", tag("h2", "Setting by setting"), *settings, id="settings")
    if pictures:
        yield tag("section", tag("h2", "Pictures"), gallery(pictures), id="pictures")
    yield tag("section", tag("h2", "Cells"), _cells(grids.groups), id="cells")
    yield tag("section", tag("h2", "How to read this"), *_notes(table), id="notes")


def _facts(grids: Grids) -> Html:
    groups = grids.groups
    planned, finished = sum(group.planned for group in groups), sum(group.finished for group in groups)
    distinct = sum(len(group.distinct) for group in groups)
    facts = [
        ("cells finished", f"{finished}" if finished == planned else f"{finished} of {planned}"),
        ("distinct trainings", str(distinct)),
        ("missing", str(planned - finished)),
        ("methods", str(len({group.method for group in groups}))),
        ("data sets", str(len({group.data for group in groups}))),
        ("training time", _duration(sum(cell.seconds for group in groups for cell in group.cells))),
    ]
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts), css="facts")


def _problems(grids: Grids) -> Html:
    told = [tag("li", problem) for problem in grids.problems]
    told += [tag("li", f"{folder}: began, and has no result yet") for folder in grids.unfinished]
    dumb = sum(cell.ranking is None for group in grids.groups for cell in group.distinct)
    if dumb:
        told.append(tag("li", f"{dumb} cells have no scores.npz that can be read: no interval, no ROC curve"))
    if not told:
        return Html()
    head, listed = "Not everything could be read", tag("ul", *told)
    many = tag("details", tag("summary", f"{len(told)} files and folders"), listed) if len(told) > 3 else listed
    return tag("aside", tag("strong", head), many, css="warn")


def _answers(found: Sequence[Contest]) -> Html:
    items = []
    for contest in found:
        if not contest.rows:
            continue
        first = contest.rows[0]
        words: list[str] = [tag("strong", first.group.name), f" ranks best with an AUROC of {number(first.auroc)} %"]
        best = contest.best
        if best is not None:
            seen = best.comparison
            words += [f"; {signed(seen.difference)} points against ", tag("strong", best.second.group.name)]
            words.append(f" on {seen.n} common cell{'s' * (seen.n != 1)}")
            p = f"Wilcoxon p {_equals(seen.wilcoxon)}"
            if seen.n < 2:
                words.append(", which is no evidence")
            elif best.significant:
                words.append(f", a significant difference ({p})")
            elif best.reversed:
                words.append(f", where the second is significantly better ({p}): the means go over other cells")
            else:
                words.append(f", not a significant difference ({p})")
        words.append(".")
        if first.published:
            theirs = first.published[0]
            words.append(f" Published: {theirs.text} ({theirs.source}), ours {signed(first.difference)}")
            if first.inside is not None:
                words.append(", inside our interval" if first.inside else ", outside our interval")
            words.append(".")
        missing = sum(len(row.group.missing) for row in (*contest.rows, *contest.absent))
        if missing:
            words.append(f" {missing} cells are missing.")
        items.append(tag("li", tag("span", f"{contest.data}, {setting_words(contest.setting)}", css="where"), *words))
    return tag("ul", *items, css="answers")


def _equals(p: float) -> str:
    return p_value(p) if p < 0.001 else f"= {p_value(p)}"


_COLUMNS = (
    ("data", ""), ("method", ""), ("labeled", "n"), ("pollution", "n"), ("known", "n"), ("AUROC", "n"),
    ("published", "n"), ("difference", "n"), ("in interval", ""), ("cells", "n"), ("precision", "n"), ("recall", "n"),
    ("seconds", "n"),
)  # fmt: skip


_LEGEND = (
    "In percent, mean ± standard deviation over distinct cells; below it the 95 % interval of the mean, and in interval"
    " says whether the published mean lies in it. Bold: best of its setting; ★: it differs from the second (Wilcoxon, p"
    " ≤ 0.05). known: classes of known anomalies; precision: average precision; recall: at the target false-positive"
    " rate."
)


def _results(table: Sequence[Row], found: Sequence[Contest]) -> Html:
    stars = {id(c.best.first) for c in found if c.best is not None and c.best.significant}
    leaders = {id(contest.rows[0]) for contest in found}
    same = {0} if len({row.group.data for row in table}) == 1 else set()  # columns that would say one thing all along
    same |= set() if any(row.group.pollution_ratio for row in table) else {3}
    lines = []
    for row in table:
        cells = _result(row, leads=id(row) in leaders, star=id(row) in stars)
        kept = [cell for i, cell in enumerate(cells) if i not in same]
        lines.append(tag("tr", *kept, css=None if row.group.cells else "absent"))
    return joined(
        [
            filter_box("results"),
            sortable("results", [column for i, column in enumerate(_COLUMNS) if i not in same], lines),
            tag("p", _LEGEND, css="hint"),
        ]
    )


def _result(row: Row, *, leads: bool, star: bool) -> list[Html]:
    group = row.group
    labeled, pollution, n_known = group.setting
    name = tag("b", group.method) if leads else group.method
    variant = tag("small", group.variant) if group.variant else None
    low, high = row.auroc.interval
    interval = None if math.isnan(low) else tag("small", f"{low:.1f} to {high:.1f}")
    mean = tag("b", number(row.auroc)) if leads else number(row.auroc)
    inside = {True: tag("span", "yes", css="good"), False: tag("span", "no", css="bad"), None: Html(DASH)}[row.inside]
    distinct, finished = len(group.distinct), group.finished
    repeated = tag("small", f"{distinct} distinct") if distinct < finished else None
    status = tag("span", row.status, css="missing") if row.status else None
    count = f"{finished}/{group.planned}" if group.missing else str(finished)
    return [
        tag("td", group.data),
        tag("td", name, " \N{BLACK STAR}" if star else None, variant, css="who"),
        entry(labeled, f"{labeled:g}"),
        entry(pollution, f"{pollution:g}"),
        entry(n_known, str(n_known)),
        entry(row.auroc.mean, mean, interval),
        _published(row),
        entry(row.difference, signed(row.difference)),
        tag("td", inside),
        entry(finished, count, repeated, status),
        entry(row.average_precision.mean, number(row.average_precision)),
        entry(row.recall.mean, number(row.recall)),
        entry(row.seconds.mean, rounded(row.seconds.mean)),
    ]


def _published(row: Row) -> Html:
    if not row.published:
        return tag("td", tag("small", row.note) if row.note else DASH, css="n")
    first = row.published[0]
    source: str = first.source
    more = [*(f"{each.source}: {each.text}" for each in row.published[1:]), *row.doubts]
    if more:
        marked = (
            f"{source} \N{MIDDLE DOT} {len(row.doubts)} note{'s' * (len(row.doubts) != 1)}" if row.doubts else source
        )
        source = tag("details", tag("summary", marked), tag("ul", *(tag("li", note) for note in more)))
    return entry(first.mean, first.text, source if more else tag("small", source))


def _setting(drawn: Setting, *, is_open: bool) -> Html:
    contest = drawn.contest
    parts = [tag("summary", tag("span", contest.data), f" {setting_words(contest.setting)}")]
    parts += [gallery(drawn.wide, "wide"), gallery(drawn.figures)]
    if drawn.scores:
        parts.append(tag("h3", "Scores of normals and anomalies, each method's middle cell"))
        legend = (tag("span", "normal", css="key s8"), tag("span", "anomaly", css="key s1"))
        parts.append(
            tag(
                "p",
                *legend,
                "dashed: the threshold; last bar: all that scores higher; at the right the AUROC of the cell",
                css="hint",
            )
        )
        parts.append(tag("div", *(Html(figure.svg) for figure in drawn.scores), css="small"))
    parts += [_recalls(contest), _ranks(contest), _pairs(contest)]
    return tag("details", *parts, css="setting", open="" if is_open else None)


def _recalls(contest: Contest) -> Html:
    columns = (("method", ""), ("known anomalies", ""), ("class", ""), ("recall", "n"), ("published", "n"),
               ("difference", "n"), ("source", ""))  # fmt: skip
    lines = []
    for row, known, name, ours, theirs in recalls(contest):
        difference = ours.mean - theirs.mean
        lines.append(tag(
            "tr", tag("td", row.group.name), tag("td", ", ".join(known)), tag("td", name),
            entry(ours.mean, number(ours)), entry(theirs.mean, theirs.text), entry(difference, signed(difference)),
            tag("td", theirs.source),
        ))  # fmt: skip
    if not lines:
        return Html()
    table = sortable(f"recalls {contest.data} {setting_words(contest.setting)}", columns, lines)
    hint = "Ours at the threshold of each cell, the paper's at a false-positive rate of 5 %, with equal weights."
    return joined([tag("h3", "Recall of each class beside ye2021"), table, tag("p", hint, css="hint")])


def _ranks(contest: Contest) -> Html:
    if len(contest.rows) < 2:
        return Html()
    ranks, common = contest.ranks
    if not common:
        return tag("p", "The methods have no cell in common: no average ranks.", css="hint")
    order = sorted(zip(ranks, contest.rows, strict=True), key=lambda pair: pair[0])
    listed = [tag("li", tag("b", f"{rank:.2f}"), f" {row.group.name}") for rank, row in order]
    plural = "s" if common > 1 else ""
    return joined([tag("h3", f"Average ranks over {common} common cell{plural}"), tag("ol", *listed, css="ranks")])


def _pairs(contest: Contest) -> Html:
    if not contest.pairs:
        return Html()
    columns = (
        ("first", ""), ("second", ""), ("pairs", "n"), ("difference", "n"), ("higher / lower", "n"),
        ("Wilcoxon p", "n"), ("Holm", "n"), ("paired t p", "n"),
    )  # fmt: skip
    lines = []
    for first, second, values, seen, corrected in contest.pairs:
        holm = tag("b", p_value(corrected)) if corrected <= LEVEL else p_value(corrected)
        lines.append(tag(
            "tr", tag("td", first.group.name), tag("td", second.group.name), entry(len(values), str(len(values))),
            entry(seen.difference, signed(seen.difference)), entry(seen.wins, f"{seen.wins} / {seen.losses}"),
            entry(seen.wilcoxon, p_value(seen.wilcoxon)),
            entry(corrected, holm), entry(seen.paired_t, p_value(seen.paired_t)),
        ))  # fmt: skip
    name = f"pairs {contest.data} {setting_words(contest.setting)}"
    return tag(
        "details", tag("summary", f"All pairs, tested ({len(lines)})"), sortable(name, columns, lines), css="inner"
    )


def _cells(groups: Iterable[Group]) -> Html:
    columns = (
        ("data", ""), ("method", ""), ("labeled", "n"), ("pollution", "n"), ("normal", ""), ("known anomalies", ""),
        ("seed", "n"), ("AUROC", "n"), ("95 % interval", "n"), ("precision", "n"), ("recall", "n"), ("seconds", "n"),
    )  # fmt: skip
    lines = [
        line
        for group in groups
        for line in itertools.chain(
            (_finished(group, cell) for cell in group.cells), (_missing(group, place) for place in group.missing)
        )
    ]
    hint = "The interval is DeLong's: over test rows drawn anew, of this one trained model."
    inner = joined([filter_box("cells"), sortable("cells", columns, lines), tag("p", hint, css="hint")])
    return tag("details", tag("summary", f"All cells ({len(lines)})"), inner, css="setting")


def _finished(group: Group, cell: Cell) -> Html:
    result, metrics = cell.result, cell.result.metrics
    interval = cell.ranking.interval if cell.ranking else (math.nan, math.nan)
    low, high = (100 * value for value in interval)
    known = ", ".join(cell.known_classes) or "none"
    return tag(
        "tr", tag("td", group.data), tag("td", group.name, title=str(cell.folder)),
        entry(group.labeled_ratio, f"{group.labeled_ratio:g}"),
        entry(group.pollution_ratio, f"{group.pollution_ratio:g}"),
        tag("td", ", ".join(result.normal_classes)), tag("td", known), entry(cell.place.seed, str(cell.place.seed)),
        entry(cell.auroc, _percent(metrics["auroc"])),
        entry(low, DASH if math.isnan(low) else f"{low:.1f}{DASH}{high:.1f}"),
        entry(metrics["average_precision"], _percent(metrics["average_precision"])),
        entry(metrics["recall_at_target_fpr"], _percent(metrics["recall_at_target_fpr"])),
        entry(cell.seconds, rounded(cell.seconds)),
    )  # fmt: skip


def _missing(group: Group, place: Place) -> Html:
    known = f"index {'+'.join(map(str, place.known))}" if place.known else "drawn"
    return tag(
        "tr", tag("td", group.data), tag("td", group.name), entry(group.labeled_ratio, f"{group.labeled_ratio:g}"),
        entry(group.pollution_ratio, f"{group.pollution_ratio:g}"),
        tag("td", f"class {'+'.join(map(str, place.normal))}"), tag("td", known if group.n_known else "none"),
        entry(place.seed, str(place.seed)), tag("td", tag("span", "missing", css="missing"), css="n"),
        *[tag("td", DASH, css="n")] * 4, css="absent",
    )  # fmt: skip


_NOTES = (
    "Means go over distinct cells: where nothing is known of the anomalies, or a method does not look at it, the cells"
    " of several known classes are one training and count once. Intervals of means are Student's. A missing cell is"
    " never averaged in.",
    "Cells are paired by normal class, known classes and seed. Wilcoxon's signed ranks compare best and second best as"
    " ruff2020 does, the paired t-test is daniel2021's, both two-sided; Holm corrects for all pairs of a setting. Cells"
    " of a grid share their data and are not independent: a p-value near the level says little.",
    "A published mean in our interval does not prove agreement, and one outside it may be the paper's own deviation,"
    " which stands behind each mean.",
)


def _notes(table: Sequence[Row]) -> Iterator[Html]:
    for note in _NOTES:
        yield tag("p", note)
    doubts = dict.fromkeys(f"{row.group.method} on {row.group.data}: {doubt}" for row in table for doubt in row.doubts)
    if doubts:
        yield tag("h3", "What is doubtful about the published numbers")
        yield tag("ul", *(tag("li", doubt) for doubt in doubts))


def _percent(share: float) -> str:
    return DASH if math.isnan(share) else f"{100 * share:.1f}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
