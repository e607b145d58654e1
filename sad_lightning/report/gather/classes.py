"""Each anomaly class for itself: its AUROC by method, and its recall beside ye2021's."""

import math
from typing import NamedTuple

from sad_lightning.report.gather.cells import CellResult
from sad_lightning.report.gather.published import PublishedNumber, published_recall
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
