"""The main table: means over cells beside the published ones. A new column is a field of ``Row``."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from sad_lightning.report.gather.groups import Group
from sad_lightning.report.gather.published import PublishedNumber, illegible, published_auroc
from sad_lightning.stats.compare import Summary, summarize
from sad_lightning.stats.ranking import Interval


@dataclass(frozen=True)
class Row:
    """A group of cells in numbers, in percent; summaries go over its distinct cells.

    Attributes:
        group: the cells.
        auroc: area under the ROC curve.
        average_precision: area under the precision-recall curve.
        recall: at the target false-positive rate.
        seconds: of each cell, all stages.
        published: the papers' numbers, the first choice first.
        note: why there is none, where one is printed.
    """

    group: Group
    auroc: Summary
    average_precision: Summary
    recall: Summary
    seconds: Summary
    published: tuple[PublishedNumber, ...]
    note: str | None

    @property
    def reference(self) -> PublishedNumber | None:
        """The published number that ours is compared with."""
        return self.published[0] if self.published else None

    @property
    def difference(self) -> float:
        """Ours less the reference, in points; nan without one."""
        return self.auroc.mean - self.reference.mean if self.reference else math.nan

    @property
    def inside(self) -> bool | None:
        """Whether the reference lies in the 95 % interval of our mean; None where one of them is not there."""
        low, high = self.auroc.interval
        return low <= self.reference.mean <= high if self.reference and not math.isnan(low) else None

    @property
    def status(self) -> str:
        """What is missing, in words; empty where nothing is."""
        group = self.group
        if not group.cells:
            return "not run" if group.setting.n_known else "not defined without known anomalies, or not run"
        return f"{len(group.missing)} missing" if group.missing else ""

    @property
    def count(self) -> str:
        """Finished of planned cells, and how many of them are trainings of their own."""
        group = self.group
        distinct = len(group.distinct)
        text = f"{group.finished}/{group.planned}" if group.missing else str(group.finished)
        return f"{text} ({distinct} distinct)" if distinct < group.finished else text

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is doubtful about the published numbers, each with its source."""
        doubts = tuple(
            f"{each.source}: {note}" for each in self.published for note in each.notes if not note.startswith("copied")
        )
        return (*doubts, self.note) if self.note else doubts


def make_table(groups: Iterable[Group]) -> list[Row]:
    """A row for each group."""
    return [_row(group) for group in groups]


def _row(group: Group) -> Row:
    cells = group.distinct
    settings = group.cells[0].result.settings if group.cells else {}

    def percent(metric: str) -> Summary:
        summary = summarize([100 * cell.result.metrics[metric] for cell in cells])
        low, high = summary.interval  # Student's t knows no bounds, a share does; nan stays
        return summary._replace(interval=Interval(0.0 if low < 0 else low, 100.0 if high > 100 else high))

    return Row(
        group=group,
        auroc=percent("auroc"),
        average_precision=percent("average_precision"),
        recall=percent("recall_at_target_fpr"),
        seconds=summarize([cell.seconds for cell in cells]),
        published=tuple(published_auroc(group.data, group.method, group.setting, settings)),
        note=illegible(group.data, group.method, group.setting),
    )


def doubts(table: Iterable[Row]) -> list[str]:
    """What is doubtful about the published numbers of all rows, each said once."""
    return list(
        dict.fromkeys(f"{row.group.method} on {row.group.data}: {doubt}" for row in table for doubt in row.doubts)
    )
