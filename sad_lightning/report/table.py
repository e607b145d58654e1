"""The main table: means over cells beside the published ones, and the methods of a setting against each other."""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from sad_lightning.report.cells import Cell, Group
from sad_lightning.report.published import Published, illegible, published, published_recall
from sad_lightning.stats.compare import LEVEL, Comparison, Summary, average_ranks, compare, holm, summarize
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
    published: tuple[Published, ...]
    note: str | None

    @property
    def difference(self) -> float:
        """Ours less the first published, in points; nan without one."""
        return self.auroc.mean - self.published[0].mean if self.published else math.nan

    @property
    def inside(self) -> bool | None:
        """Whether the first published mean lies in the 95 % interval of ours; None where there is no such thing."""
        low, high = self.auroc.interval
        if not self.published or math.isnan(low):
            return None
        return low <= self.published[0].mean <= high

    @property
    def status(self) -> str:
        """What is missing, in words; empty where nothing is."""
        group = self.group
        if not group.cells:
            return "not defined without known anomalies, or not run" if group.n_known == 0 else "not run"
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
        told = tuple(
            f"{each.source}: {note}" for each in self.published for note in each.notes if not note.startswith("copied")
        )
        return (*told, self.note) if self.note else told


def rows(groups: Iterable[Group]) -> list[Row]:
    """A row for each group."""
    return [_row(group) for group in groups]


def _row(group: Group) -> Row:
    cells = group.distinct
    labeled, pollution, n_known = group.setting
    theirs = published(
        group.data, group.method, labeled_ratio=labeled, pollution_ratio=pollution, n_known=n_known,
        settings=group.cells[0].result.settings if group.cells else {},
    )  # fmt: skip

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
        published=tuple(theirs),
        note=illegible(group.data, group.method, *group.setting),
    )


def doubts(table: Iterable[Row]) -> list[str]:
    """What is doubtful about the published numbers of all rows, each said once."""
    return list(
        dict.fromkeys(f"{row.group.method} on {row.group.data}: {doubt}" for row in table for doubt in row.doubts)
    )


class Pair(NamedTuple):
    """Two groups of one setting on the cells that both have.

    Attributes:
        first: the one of the higher mean.
        second: the other.
        values: AUROC of both in percent, a pair for each common cell.
        comparison: first less second.
        holm: p-value of the signed ranks, corrected for all pairs of the setting.
    """

    first: Row
    second: Row
    values: tuple[tuple[float, float], ...]
    comparison: Comparison
    holm: float

    @property
    def significant(self) -> bool:
        """Whether the signed ranks say at 5 %, as in ruff2020, that the first is better on the cells that both have."""
        return self.comparison.wilcoxon <= LEVEL and self.comparison.difference > 0

    @property
    def reversed(self) -> bool:
        """Whether they say that the second is: the means go over other cells on a grid that is not finished."""
        return self.comparison.wilcoxon <= LEVEL and self.comparison.difference < 0


@dataclass(frozen=True)
class Contest:
    """The groups of one data set under one setting.

    Attributes:
        data: the data set.
        setting: labeled ratio, pollution ratio, number of known classes.
        rows: those with results, the highest mean first; what has less than half the cells of the fullest comes last.
        absent: those without.
    """

    data: str
    setting: tuple[float, float, int]
    rows: tuple[Row, ...]
    absent: tuple[Row, ...]

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """All pairs, in the order of the rows."""
        found = []
        for first, second in itertools.combinations(self.rows, 2):
            values = paired(first.group.cells, second.group.cells)
            found.append((first, second, values, compare([a for a, _ in values], [b for _, b in values])))
        corrected = holm([comparison.wilcoxon for *_, comparison in found])
        return tuple(Pair(*each, p) for each, p in zip(found, corrected, strict=True))

    @property
    def best(self) -> Pair | None:
        """First against second best; None where there is no second."""
        return self.pairs[0] if self.pairs else None

    @property
    def by_rank(self) -> list[tuple[float, Row]]:
        """The rows with their average ranks, the lowest rank first."""
        return sorted(zip(self.ranks[0], self.rows, strict=True), key=lambda pair: pair[0])

    @cached_property
    def ranks(self) -> tuple[list[float], int]:
        """Average rank of each row over the cells that all rows have, and how many those are."""
        tables = [{cell.pair: cell.auroc for cell in row.group.distinct} for row in self.rows]
        common = sorted(set.intersection(*(set(table) for table in tables))) if tables else []
        if not common:
            return [math.nan] * len(tables), 0
        return average_ranks([[table[key] for table in tables] for key in common]).tolist(), len(common)


def paired(first: Sequence[Cell], second: Sequence[Cell]) -> tuple[tuple[float, float], ...]:
    """AUROC in percent of the cells that share classes and seed; pairs that repeat another's numbers count once."""
    ours, theirs = ({cell.pair: cell for cell in cells if not math.isnan(cell.auroc)} for cells in (first, second))
    seen: dict[object, tuple[float, float]] = {}
    for pair, cell in ours.items():
        if pair in theirs:
            other = theirs[pair]
            numbers = (*cell.result.metrics.values(), *other.result.metrics.values())
            seen.setdefault((cell.place.normal, cell.place.seed, str(numbers)), (cell.auroc, other.auroc))
    return tuple(seen.values())


class Recall(NamedTuple):
    """The share of one anomaly class that is found, ours beside ye2021's, in percent.

    Attributes:
        row: the group.
        known: the classes of the known anomalies.
        name: the class.
        ours: over the cells with these classes.
        published: at a false-positive rate of 5 %.
    """

    row: Row
    known: tuple[str, ...]
    name: str
    ours: Summary
    published: Published


def recalls(contest: Contest) -> list[Recall]:
    """Every class whose recall ye2021 prints for the classes of some cells (Tables 3 to 11)."""
    found = []
    for row in contest.rows:
        cells: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Cell]] = {}
        for cell in row.group.cells:
            key = (tuple(cell.result.normal_classes), tuple(cell.result.known_classes))
            cells.setdefault(key, []).append(cell)
        for (normal, known), some in cells.items():
            for name, theirs in published_recall(contest.data, row.group.method, normal, known).items():
                shares = [cell.result.per_class[name]["recall"] for cell in some if name in cell.result.per_class]
                found.append(Recall(row, known, name, summarize([100 * share for share in shares]), theirs))
    return found


def contests(table: Sequence[Row]) -> list[Contest]:
    """The rows by data set and setting."""
    found = []
    for (data, setting), some in itertools.groupby(table, key=lambda row: (row.group.data, row.group.setting)):
        members = list(some)
        most = max(row.group.finished for row in members)

        def place(row: Row, most: int = most) -> tuple[bool, float]:
            return 2 * row.group.finished < most, -row.auroc.mean

        there = sorted((row for row in members if row.auroc.n), key=place)
        found.append(Contest(data, setting, tuple(there), tuple(row for row in members if not row.auroc.n)))
    return found
