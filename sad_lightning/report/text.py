"""The main table as Markdown, CSV and LaTeX, and every cell as CSV."""

from collections.abc import Iterable, Sequence

from sad_lightning.drawing.numbers import DASH, difference_words, p_value_words, summary_words
from sad_lightning.drawing.tables import csv_table, markdown_table, markdown_text
from sad_lightning.report.gather.directions import Directions, sentences
from sad_lightning.report.gather.groups import Group
from sad_lightning.report.gather.ranking import Better, Ranking
from sad_lightning.report.gather.table import Row, doubts

_HEAD = ("data", "method", "labeled", "pollution", "known classes", "epochs", "cells")


def markdown(table: Iterable[Row]) -> str:
    """The rows as a Markdown table; what is missing is said in the column of the cells."""
    head = (*_HEAD, "AUROC, ours", "published", "seconds")
    lines = []
    for row in table:
        theirs = row.reference.text + (" \\*" if row.doubts else "") if row.reference else row.note or ""
        seconds = f"{row.seconds.mean:.0f}" if row.seconds.n else ""
        lines.append([*_setting(row), _with_status(row), summary_words(row.auroc), theirs, seconds])
    return markdown_table(head, lines)


def markdown_notes(table: Iterable[Row]) -> str:
    """What is doubtful about the published numbers, a line each."""
    return "\n".join(f"- {markdown_text(doubt)}" for doubt in doubts(table))


def markdown_rankings(rankings: Iterable[Ranking]) -> str:
    """Best against second best of each setting, with both tests."""
    head = ("data", "labeled", "pollution", "known classes", "best", "second", "pairs", "difference", "Wilcoxon p",
            "paired t p", "significant")  # fmt: skip
    lines = [
        [
            each.data, *each.setting.texts, best.better.group.name, best.worse.group.name, str(len(best.values)),
            difference_words(best.comparison.difference), p_value_words(best.comparison.wilcoxon),
            p_value_words(best.comparison.paired_t),
            best.verdict,
        ]
        for each in rankings if (best := each.best) is not None
    ]  # fmt: skip
    return markdown_table(head, lines)


def markdown_better(betters: Iterable[Better]) -> str:
    """The better of several beside the one number that a paper prints for them; empty without."""
    return "\n".join(
        "- " + markdown_text(
            f"{each.row.group.data}, {each.row.group.setting.words}: {each.row.group.name} with"
            f" {summary_words(each.row.auroc)} is better than {', '.join(row.group.name for row in each.others)};"
            f" {each.published.paper} {each.published.method}, Table {each.published.table}: {each.published.text}"
        )
        for each in betters
    )  # fmt: skip


def markdown_directions(directions: Iterable[Directions]) -> str:
    """What labels do to the recall of each class, a line for each pair of methods; empty without."""
    return "\n".join(f"- {markdown_text(where)}: {markdown_text(words)}" for where, words in sentences(directions))


def directions_csv(directions: Iterable[Directions]) -> str:
    """Every change of recall; percent and points."""
    head = ("data", "label_free", "with_labels", "normal", "known", "class", "is_known", "distance", "runs",
            "target_fpr", "recall_without", "recall_with", "difference", "low", "high", "verdict", "published_without",
            "published_with", "arrow")  # fmt: skip
    lines = []
    for each in directions:
        start = [each.data, each.label_free, each.with_labels, "+".join(each.normal), "+".join(each.known)]
        for change in each.changes:
            theirs = [number.mean for number in change.published] if change.published else [None, None]
            lines.append([
                *start, change.name, change.known, change.distance, each.runs, each.fpr, change.before, change.after,
                change.difference, *change.interval, change.verdict, *theirs, change.arrow,
            ])  # fmt: skip
    return csv_table(head, lines)


def latex(rankings: Sequence[Ranking]) -> str:
    """The rows as a LaTeX table (booktabs): the best of a setting bold, a star where it differs from the second."""
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{tabular}{llrrrrrr}",
        r"\toprule",
        r"data & method & $\gamma_l$ & $\gamma_p$ & $k_l$ & cells & AUROC & published \\",
    ]
    data = None
    for ranking in rankings:
        lines.append(r"\midrule" if ranking.data != data else r"\addlinespace")
        data = ranking.data
        best = ranking.best
        for row in (*ranking.rows, *ranking.absent):
            ours = summary_words(row.auroc).replace("±", r"$\pm$")
            if best is not None and row is best.better:
                ours = rf"\textbf{{{ours}}}" + (r"$^\star$" if best.significant else "")
            theirs = row.reference.text.replace("±", r"$\pm$") if row.reference else ""
            cells = [_latex(data), _latex(row.group.name), *ranking.setting.texts, _latex(_with_status(row))]
            lines.append(" & ".join([*cells, ours, theirs]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""]).replace(DASH, "--")


def table_csv(table: Sequence[Row]) -> str:
    """The rows with every number in full, percent and seconds; empty where there is none."""
    columns = [_columns(row) for row in table]
    return csv_table(list(columns[0]), [each.values() for each in columns])


def _columns(row: Row) -> dict[str, object]:
    group, reference = row.group, row.reference
    return {
        "data": group.data,
        "method": group.method,
        "variant": group.variant,
        **group.setting._asdict(),
        "epochs": group.epochs,
        "ensemble": group.ensemble,
        "planned": group.planned,
        "finished": group.finished,
        "distinct": len(group.distinct),
        "auroc_mean": row.auroc.mean,
        "auroc_deviation": row.auroc.deviation,
        "auroc_low": row.auroc.interval.low,
        "auroc_high": row.auroc.interval.high,
        "average_precision_mean": row.average_precision.mean,
        "average_precision_deviation": row.average_precision.deviation,
        "recall_at_target_fpr_mean": row.recall.mean,
        "recall_at_target_fpr_deviation": row.recall.deviation,
        "seconds_mean": row.seconds.mean,
        "published_mean": reference and reference.mean,
        "published_deviation": reference and reference.deviation,
        "published_source": reference and reference.source,
        "difference": row.difference,
        "published_inside": row.inside,
        "notes": "; ".join(filter(None, [row.status, *row.doubts])),
    }


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
            interval = cell.roc.interval if cell.roc else (None, None)
            where = ["+".join(result.normal_classes), "+".join(cell.known_classes), cell.place.seed]
            values = [result.metrics[name] for name in metrics]
            lines.append([*start, *where, "finished", result.key, *values, *interval, cell.seconds, cell.folder])
        for place in group.missing:
            where = ["+".join(map(str, place.normal)), "+".join(map(str, place.known)) or "drawn", place.seed]
            lines.append([*start, *where, "missing", *[None] * (len(metrics) + 5)])
    return csv_table(head, lines)


def _setting(row: Row) -> tuple[str, ...]:
    group = row.group
    return group.data, group.name, *group.setting.texts, str(group.epochs) if group.cells else ""


def _with_status(row: Row) -> str:
    return row.count + (f", {row.status}" if row.status else "")


_LATEX = {c: rf"\{c}" for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", DASH: "--",
}  # fmt: skip


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
