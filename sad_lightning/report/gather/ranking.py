"""The methods of a setting against each other: means, pairs on common cells, average ranks."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from sad_lightning.report.gather.cells import CellResult, PairKey
from sad_lightning.report.gather.setting import Setting, short_words
from sad_lightning.report.gather.table import Row
from sad_lightning.stats.compare import LEVEL, Comparison, average_ranks, compare_paired, holm


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
    """The methods of one data set under one setting, the best on top.

    Attributes:
        data: the data set.
        setting: what they are compared under.
        rows: those with results, the highest mean first; what has less than half the cells of the fullest comes last.
        absent: those without.
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
