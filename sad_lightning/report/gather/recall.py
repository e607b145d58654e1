"""Recall of each anomaly class beside ye2021's."""

from typing import NamedTuple

from sad_lightning.report.gather.cells import CellResult
from sad_lightning.report.gather.published import Published, published_recall
from sad_lightning.report.gather.ranking import Ranking
from sad_lightning.report.gather.table import Row
from sad_lightning.stats.compare import Summary, summarize


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
    published: Published


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
