"""The main table as Markdown, CSV and LaTeX, and every cell as CSV."""

import math
from collections.abc import Iterable, Sequence

from sad_lightning.drawing.numbers import DASH, interval_words, p_value, signed
from sad_lightning.drawing.tables import csv_table, markdown_table, markdown_text
from sad_lightning.report.cells import Group
from sad_lightning.report.directions import Directions
from sad_lightning.report.published import with_deviation
from sad_lightning.report.table import Contest, Row, doubts
from sad_lightning.stats.compare import Summary

_HEAD = ("data", "method", "labeled", "pollution", "known classes", "epochs", "cells")


def setting_words(setting: tuple[float, float, int]) -> str:
    """A setting in words."""
    labeled, pollution, n_known = setting
    known = f"{100 * labeled:g} % labeled anomalies of {n_known} class{'' if n_known == 1 else 'es'}"
    return (known if labeled and n_known else "no labeled anomalies") + (
        f", {100 * pollution:g} % pollution" if pollution else ""
    )


def number(summary: Summary) -> str:
    """Mean and deviation with one decimal; a single cell has no deviation, none has a dash."""
    if not summary.n:
        return DASH
    return with_deviation(summary.mean, None if math.isnan(summary.deviation) else summary.deviation)


def markdown(table: Iterable[Row]) -> str:
    """The rows as a Markdown table; what is missing is said in the column of the cells."""
    head = (*_HEAD, "AUROC, ours", "published", "seconds")
    lines = []
    for row in table:
        theirs = row.published[0].text + (" \\*" if row.doubts else "") if row.published else row.note or ""
        seconds = f"{row.seconds.mean:.0f}" if row.seconds.n else ""
        lines.append([*_setting(row), _with_status(row), number(row.auroc), theirs, seconds])
    return markdown_table(head, lines)


def markdown_notes(table: Iterable[Row]) -> str:
    """What is doubtful about the published numbers, a line each."""
    return "\n".join(f"- {markdown_text(doubt)}" for doubt in doubts(table))


def markdown_contests(found: Iterable[Contest]) -> str:
    """Best against second best of each setting, with both tests."""
    head = ("data", "labeled", "pollution", "known classes", "best", "second", "pairs", "difference", "Wilcoxon p",
            "paired t p")  # fmt: skip
    lines = []
    for contest in found:
        if contest.best is None:
            continue
        first, second, values, comparison, _ = contest.best
        labeled, pollution, n_known = contest.setting
        lines.append([
            contest.data, f"{labeled:g}", f"{pollution:g}", str(n_known), first.group.name, second.group.name,
            str(len(values)), signed(comparison.difference), p_value(comparison.wilcoxon), p_value(comparison.paired_t),
        ])  # fmt: skip
    return markdown_table(head, lines)


def markdown_directions(found: Sequence[Directions]) -> str:
    """What labels do to the recall of each class: a sentence and a table for each pair of methods; empty without."""
    parts = []
    for each in found:
        head = ("class", "distance", each.label_free, each.with_labels, "difference", "interval", "", "published",
                "arrow")  # fmt: skip
        lines = []
        for change in each.changes:
            theirs = " to ".join(f"{number.mean:.0f}" for number in change.published) if change.published else ""
            lines.append([
                f"{change.name}{' (known)' * change.known}", _distance(change.distance), f"{change.before:.1f}",
                f"{change.after:.1f}",
                signed(change.difference), interval_words(change.interval), change.verdict, theirs, change.arrow or "",
            ])  # fmt: skip
        parts.append(f"{markdown_text(each.words)}\n\n{markdown_table(head, lines)}")
    return "\n\n".join(["## What labels do to recall", *parts]) if parts else ""


def _distance(value: float) -> str:
    return DASH if math.isnan(value) else f"{value:.2f}"


def directions_csv(found: Iterable[Directions]) -> str:
    """Every change of recall; percent and points."""
    head = ("data", "label_free", "with_labels", "normal", "known", "class", "is_known", "distance", "runs",
            "target_fpr", "recall_without", "recall_with", "difference", "low", "high", "verdict", "published_without",
            "published_with", "arrow")  # fmt: skip
    lines = []
    for each in found:
        start = [each.data, each.label_free, each.with_labels, "+".join(each.normal), "+".join(each.known)]
        for change in each.changes:
            theirs = [number.mean for number in change.published] if change.published else [None, None]
            lines.append([
                *start, change.name, change.known, change.distance, each.runs, each.fpr, change.before, change.after,
                change.difference, *change.interval, change.verdict, *theirs, change.arrow,
            ])  # fmt: skip
    return csv_table(head, lines)


def latex(found: Sequence[Contest]) -> str:
    """The rows as a LaTeX table (booktabs): the best of a setting bold, a star where it differs from the second."""
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{tabular}{llrrrrrr}",
        r"\toprule",
        r"data & method & $\gamma_l$ & $\gamma_p$ & $k_l$ & cells & AUROC & published \\",
    ]
    last = None
    for contest in found:
        lines.append(r"\midrule" if contest.data != last else r"\addlinespace")
        last = contest.data
        best = contest.best
        for row in (*contest.rows, *contest.absent):
            ours = number(row.auroc).replace("±", r"$\pm$")
            if best is not None and row is best.first:
                ours = rf"\textbf{{{ours}}}" + (r"$^\star$" if best.significant else "")
            labeled, pollution, n_known = contest.setting
            theirs = row.published[0].text.replace("±", r"$\pm$") if row.published else ""
            cells = [_latex(contest.data), _latex(row.group.name), f"{labeled:g}", f"{pollution:g}", str(n_known)]
            lines.append(" & ".join([*cells, _latex(_with_status(row)), ours, theirs]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""]).replace(DASH, "--")


def table_csv(table: Iterable[Row]) -> str:
    """The rows with every number in full, percent and seconds; empty where there is none."""
    head = (
        "data", "method", "variant", "labeled_ratio", "pollution_ratio", "n_known", "epochs", "ensemble", "planned",
        "finished", "distinct", "auroc_mean", "auroc_deviation", "auroc_low", "auroc_high", "average_precision_mean",
        "average_precision_deviation", "recall_at_target_fpr_mean", "recall_at_target_fpr_deviation", "seconds_mean",
        "published_mean", "published_deviation", "published_source", "difference", "published_inside", "notes",
    )  # fmt: skip
    lines = []
    for row in table:
        group, first = row.group, row.published[0] if row.published else None
        lines.append([
            group.data, group.method, group.variant, group.labeled_ratio, group.pollution_ratio, group.n_known,
            group.epochs, group.ensemble, group.planned, group.finished, len(group.distinct), row.auroc.mean,
            row.auroc.deviation, *row.auroc.interval, row.average_precision.mean, row.average_precision.deviation,
            row.recall.mean, row.recall.deviation, row.seconds.mean, first and first.mean, first and first.deviation,
            first and first.source, row.difference, row.inside, "; ".join(filter(None, [row.status, *row.doubts])),
        ])  # fmt: skip
    return csv_table(head, lines)


def cells_csv(groups: Iterable[Group]) -> str:
    """Every cell of the grids, those without a result too; shares in [0, 1] as they are stored."""
    metrics = ("auroc", "average_precision", "recall_at_target_fpr", "threshold", "recall", "false_positive_rate")
    head = ("data", "method", "variant", "labeled_ratio", "pollution_ratio", "n_known", "normal", "known", "seed",
            "status", "key", *metrics, "auroc_low", "auroc_high", "seconds", "folder")  # fmt: skip
    lines: list[list[object]] = []
    for group in groups:
        start = [group.data, group.method, group.variant, *group.setting]
        for cell in group.cells:
            result = cell.result
            interval = cell.ranking.interval if cell.ranking else (None, None)
            where = ["+".join(result.normal_classes), "+".join(cell.known_classes), cell.place.seed]
            values = [result.metrics[name] for name in metrics]
            lines.append([*start, *where, "finished", result.key, *values, *interval, cell.seconds, cell.folder])
        for place in group.missing:
            where = ["+".join(map(str, place.normal)), "+".join(map(str, place.known)) or "drawn", place.seed]
            lines.append([*start, *where, "missing", *[None] * (len(metrics) + 5)])
    return csv_table(head, lines)


def _setting(row: Row) -> tuple[str, ...]:
    group = row.group
    labeled, pollution, n_known = group.setting
    epochs = str(group.epochs) if group.cells else ""
    return group.data, group.name, f"{labeled:g}", f"{pollution:g}", str(n_known), epochs


def _with_status(row: Row) -> str:
    return row.count + (f", {row.status}" if row.status else "")


_LATEX = {c: rf"\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", DASH: "--",
}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
