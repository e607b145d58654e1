"""The methods of a setting against each other: means, pairs on common cells, average ranks, and each class for itself.

Where a paper prints one number for several trainings, it stands beside the better of them: ruff2020 (appendix E) prints
the better of one-class and soft-boundary Deep SVDD, and of M2 and M1+M2; ruff2019 (appendix C) and it take the better
of two values of nu. The better one has the higher mean AUROC on the test rows.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from sad_lightning.report.gather.cells import CellResult, PairKey
from sad_lightning.report.gather.published import BETTER, PublishedNumber, published_recall
from sad_lightning.report.gather.setting import Setting, short_words
from sad_lightning.report.gather.table import Row
from sad_lightning.stats.compare import LEVEL, Comparison, Summary, average_ranks, compare_paired, holm, summarize


class Pair(NamedTuple):
    """Two groups of one setting on the cells that both have.

    Attributes:
        better: the one that ranks higher.
        worse: the other.
        values: AUROC of both in percent, for each common cell.
        comparison: better less worse.
        holm: p-value of the signed ranks, corrected for all pairs of the setting.
    """

    better: Row
    worse: Row
    values: tuple[tuple[float, float], ...]
    comparison: Comparison
    holm: float

    @property
    def significant(self) -> bool:
        """Whether it is better on the cells that both have: Wilcoxon's signed ranks at 5 %, as in ruff2020."""
        return self.comparison.wilcoxon <= LEVEL and self.comparison.difference > 0

    @property
    def reversed(self) -> bool:
        """Whether it is worse on these: on a grid that is not finished the means go over other cells."""
        return self.comparison.wilcoxon <= LEVEL and self.comparison.difference < 0

    @property
    def verdict(self) -> str:
        """Whether the difference is more than chance, in a few words."""
        if self.comparison.n < 2:
            return "one common cell" if self.comparison.n else "no common cell"
        return "yes" if self.significant else "the second is better" if self.reversed else "no"


@dataclass(frozen=True)
class Ranking:
    """The methods of one data set under one setting, the highest mean first, and those absent for want of a result.

    What has less than half the cells of the fullest comes last.
    """

    data: str
    setting: Setting
    rows: tuple[Row, ...]
    absent: tuple[Row, ...]

    @property
    def name(self) -> str:
        """Data set and setting, as the names of files have them."""
        return "-".join([self.data, *self.setting.texts])

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """All pairs, in the order of the rows."""
        pairs = []
        for better, worse in itertools.combinations(self.rows, 2):
            values = common_values(better.group.cells, worse.group.cells)
            pairs.append((better, worse, values, compare_paired([a for a, _ in values], [b for _, b in values])))
        corrected = holm([comparison.wilcoxon for *_, comparison in pairs])
        return tuple(Pair(*pair, p) for pair, p in zip(pairs, corrected, strict=True))

    @property
    def best(self) -> Pair | None:
        """Best against second best; None where there is no second."""
        return self.pairs[0] if self.pairs else None

    @cached_property
    def common(self) -> list[PairKey]:
        """The cells that all rows have."""
        keys = [{cell.pair_key for cell in row.group.distinct} for row in self.rows]
        return sorted(set.intersection(*keys)) if keys else []

    @property
    def by_rank(self) -> list[tuple[float, Row]]:
        """The rows with their average ranks over the common cells, the lowest rank first; empty without these."""
        tables = [{cell.pair_key: cell.auroc for cell in row.group.distinct} for row in self.rows]
        if not self.common:
            return []
        ranks = average_ranks([[table[key] for table in tables] for key in self.common]).tolist()
        return sorted(zip(ranks, self.rows, strict=True), key=lambda pair: pair[0])


def common_values(ours: Sequence[CellResult], theirs: Sequence[CellResult]) -> tuple[tuple[float, float], ...]:
    """AUROC in percent of the cells that share classes and seed; pairs that repeat another's numbers count once."""
    mine, others = ({cell.pair_key: cell for cell in cells if not math.isnan(cell.auroc)} for cells in (ours, theirs))
    values: dict[object, tuple[float, float]] = {}
    for key, cell in mine.items():
        if other := others.get(key):
            numbers = (cell.place.normal, cell.place.seed, cell.numbers, other.numbers)
            values.setdefault(numbers, (cell.auroc, other.auroc))
    return tuple(values.values())


def rank_methods(table: Sequence[Row]) -> list[Ranking]:
    """The rows by data set and setting, each the best on top."""
    rankings = []
    for (data, setting), some in itertools.groupby(table, key=lambda row: (row.group.data, row.group.setting)):
        members = list(some)
        most = max(row.group.finished for row in members)

        def place(row: Row, most: int = most) -> tuple[bool, float]:
            return 2 * row.group.finished < most, -row.auroc.mean

        there = sorted((row for row in members if row.auroc.n), key=place)
        rankings.append(Ranking(data, setting, tuple(there), tuple(row for row in members if not row.auroc.n)))
    return rankings


def short_names(rankings: Sequence[Ranking]) -> tuple[list[str], str]:
    """What tells each ranking from the others, and what they share: data set and setting."""
    words, shared = short_words(ranking.setting for ranking in rankings)
    if len({ranking.data for ranking in rankings}) > 1:
        return [f"{each.data}, {words[each.setting]}" for each in rankings], shared
    return [words[each.setting] for each in rankings], ", ".join(filter(None, [rankings[0].data, shared]))


class Better(NamedTuple):
    """One number of a paper, the better of ours that stand beside it, and the others, the best first."""

    published: PublishedNumber
    row: Row
    others: tuple[Row, ...]

    @property
    def difference(self) -> float:
        """Ours less the paper's, in points."""
        return self.row.auroc.mean - self.published.mean


def better_of(rankings: Iterable[Ranking]) -> list[Better]:
    """The better of each setting's rows that stand for one number in print.

    Rows that differ in more than the method and nu, or in how many cells are finished, are not compared.
    """
    betters = []
    for ranking in rankings:
        kinds: dict[tuple[str, str, int, int, int], list[tuple[PublishedNumber, Row]]] = {}
        for row in ranking.rows:
            group = row.group
            for number in row.published:
                if (number.paper, number.method) in BETTER and set(group.settings) <= {"method.nu"}:
                    key = (number.paper, number.method, group.epochs, group.ensemble, group.finished)
                    kinds.setdefault(key, []).append((number, row))
        for some in kinds.values():
            (number, best), *others = sorted(some, key=lambda each: -each[1].auroc.mean)
            if others:
                betters.append(Better(number, best, tuple(row for _, row in others)))
    return betters


class Recall(NamedTuple):
    """The recall of one anomaly class, ours beside ye2021's, in percent.

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
    published: PublishedNumber


def class_auroc(ranking: Ranking) -> dict[str, list[float]]:
    """AUROC in percent of each anomaly class against the normals, for each row the mean over its cells.

    The hardest for the best row first; nan where no cell of a row has it, and empty where there is only one class.
    """
    values: dict[str, list[list[float]]] = {}
    for i, row in enumerate(ranking.rows):
        for cell in row.group.distinct:
            for name, metrics in cell.result.per_class.items():
                if not math.isnan(metrics.get("auroc", math.nan)):
                    values.setdefault(name, [[] for _ in ranking.rows])[i].append(100 * metrics["auroc"])
    means = {name: [summarize(some).mean for some in columns] for name, columns in values.items()}
    return dict(sorted(means.items(), key=lambda item: (math.isnan(item[1][0]), item[1][0]))) if len(means) > 1 else {}


def compare_recalls(ranking: Ranking) -> list[Recall]:
    """Every class whose recall ye2021 prints for the classes of some cells (Tables 3 to 11)."""
    recalls = []
    for row in ranking.rows:
        cells: dict[tuple[tuple[str, ...], tuple[str, ...], str], list[CellResult]] = {}
        for cell in row.group.cells:
            key = (tuple(cell.result.normal_classes), tuple(cell.result.known_classes), repr(cell.known_weights))
            cells.setdefault(key, []).append(cell)
        for (normal, known, _), some in cells.items():
            weights = some[0].known_weights
            for name, theirs in published_recall(ranking.data, row.group.method, normal, known, weights).items():
                shares = [cell.result.per_class[name]["recall"] for cell in some if name in cell.result.per_class]
                recalls.append(Recall(row, known, name, summarize([100 * share for share in shares]), theirs))
    return recalls
