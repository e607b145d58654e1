"""The better of several trainings, where a paper prints one number for all of them.

ruff2020 (appendix E) prints the better of one-class and soft-boundary Deep SVDD, and of M2 and M1+M2; ruff2019
(appendix C) and it take the better of two values of nu. The better one has the higher mean AUROC on the test rows.
"""

from collections.abc import Iterable
from typing import NamedTuple

from sad_lightning.report.gather.published import BETTER, PublishedNumber
from sad_lightning.report.gather.ranking import Ranking
from sad_lightning.report.gather.table import Row


class Better(NamedTuple):
    """One number of a paper and ours that stands beside it.

    Attributes:
        published: the paper's.
        row: the better of ours.
        others: what it is better than, the best first.
    """

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
