"""The result of an audit as text, as a table, as CSV and as a figure."""

from collections.abc import Sequence

from sad_lightning.audit.study import PRECISION, Finding
from sad_lightning.drawing.arrows import Arrow, arrow_chart
from sad_lightning.drawing.numbers import interval_words
from sad_lightning.drawing.svg import Figure
from sad_lightning.drawing.tables import csv_table, markdown_table
from sad_lightning.stats.bias import DOWN, UNDECIDED, UP
from sad_lightning.stats.ranking import Interval


def words(findings: Sequence[Finding], label_free: str, with_labels: str, fpr: float) -> str:
    """The result in lines for a person."""
    unseen = [finding for finding in findings if not finding.in_training]
    hurt, helped = (_names(findings, which) for which in (DOWN, UP))
    lines = [
        f"At {100 * fpr:g} % false positives, {with_labels} with the labels against {label_free} without them, over"
        f" {findings[0].trainings} training{'s' * (findings[0].trainings > 1)} each:"
    ]
    if hurt:
        lines.append(f"WARNING: the labels hurt. Recall goes down on {hurt}.")
    if helped:
        lines.append(f"Recall goes up on {helped}.")
    if open_ones := _names(findings, UNDECIDED):
        lines.append(f"Undecided: {open_ones}; the interval holds zero, so that this is no proof of no effect.")
    if not unseen:
        lines.append(
            "There is one group of known anomalies, so that nothing is said of kinds that the labels do not name;"
            " --groups COLUMN tells several apart."
        )
    lines += [_line(finding) for finding in findings]
    return "\n".join(lines)


def _names(findings: Sequence[Finding], which: str) -> str:
    return ", ".join(_name(finding) for finding in findings if finding.verdict == which)


def _name(finding: Finding) -> str:
    return finding.group if finding.in_training else f"{finding.group} (held out)"


def _line(finding: Finding) -> str:
    before, after = (f"{100 * recall:.0f} %" for recall in finding.recalls)
    trained = "trained" if finding.in_training else "held out of training"
    return (
        f"- {finding.group}, {trained}: recall {before} without, {after} with labels; difference"
        f" {interval_words(_percent(finding.interval))} points, {finding.rows} rows, {finding.verdict}."
    )


def _percent(interval: Interval) -> Interval:
    return Interval(100 * interval.low, 100 * interval.high)


_HEAD = ("group", "trained", "rows", "normals", "without labels", "with labels", "difference", "interval",
         "without any assumption", "verdict", f"rows for ±{100 * PRECISION:g} (Theorem 3)")  # fmt: skip


def as_markdown(findings: Sequence[Finding]) -> str:
    """The findings as a Markdown table, in percent and points."""
    lines = [
        [
            each.group, "yes" if each.in_training else "no", str(each.rows), str(each.normals),
            *(f"{100 * recall:.1f}" for recall in each.recalls), f"{100 * each.difference:+.1f}",
            interval_words(_percent(each.interval)), interval_words(_percent(each.dkw)), each.verdict,
            f"{each.rows_needed:,}",
        ]
        for each in findings
    ]  # fmt: skip
    return markdown_table(_HEAD, lines)


def as_csv(findings: Sequence[Finding]) -> str:
    """The findings as CSV, every number in full, shares in [0, 1]."""
    head = ("group", "trained", "rows", "normals", "trainings", "recall_without", "recall_with", "difference", "low",
            "high", "dkw_low", "dkw_high", "verdict", "needed")  # fmt: skip
    lines = [
        [each.group, each.in_training, each.rows, each.normals, each.trainings, *each.recalls, each.difference,
         *each.interval, *each.dkw, each.verdict, each.rows_needed]
        for each in findings
    ]  # fmt: skip
    return csv_table(head, lines)


def figure(findings: Sequence[Finding], label_free: str, with_labels: str) -> Figure:
    """The recall of each group without and with labels."""
    lines = [
        Arrow(_name(each), 100 * each.recalls[0], 100 * each.recalls[1], _percent(each.interval), each.verdict)
        for each in findings
    ]
    return arrow_chart("audit", f"{label_free} to {with_labels}", lines)
