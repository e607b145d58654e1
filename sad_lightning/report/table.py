"""Means over cells, beside the published ones."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sad_lightning.result import FILE, Result

_PUBLISHED = Path(__file__).with_name("published_results.csv")
_NAMES = {"ae": "cae", "classifier": "supervised_classifier"}  # ours -> theirs, where they differ


class Row(NamedTuple):
    """Cells that differ in classes and seeds only.

    Attributes:
        data: the data set.
        method: the method.
        labeled_ratio: known anomalies over all training rows.
        pollution_ratio: unknown anomalies over the unlabeled rows.
        n_known: how many anomaly classes are known.
        auroc: percent, of each cell.
        seconds: of each cell.
        published: mean and deviation that ruff2020 prints, in percent; None where it prints none.
    """

    data: str
    method: str
    labeled_ratio: float
    pollution_ratio: float
    n_known: int
    auroc: Sequence[float]
    seconds: Sequence[float]
    published: tuple[float, float] | None


def rows(folders: Iterable[Path]) -> list[Row]:
    """The results below the folders, grouped."""
    found: dict[tuple[str, str, float, float, int], list[Result]] = {}
    for folder in folders:
        for path in sorted(folder.rglob(FILE)):
            result = Result.read(path.parent)
            split = result.settings["split"]
            key = (
                result.data,
                result.method,
                split["labeled_ratio"],
                split["pollution_ratio"],
                len(result.known_classes),
            )
            found.setdefault(key, []).append(result)
    published = _published()
    return [
        Row(
            *key,
            auroc=[100 * result.metrics["auroc"] for result in results],
            seconds=[sum(result.seconds.values()) for result in results],
            published=published.get((key[0], _NAMES.get(key[1], key[1]), *key[2:])),
        )
        for key, results in sorted(found.items())
    ]


def markdown(table: Iterable[Row]) -> str:
    """The rows as a Markdown table; one cell has no deviation."""
    lines = [
        "| data | method | labeled | pollution | known classes | cells | AUROC, ours | published | seconds a cell |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table:
        ours = f"{np.mean(row.auroc):.1f}" + (f" ± {np.std(row.auroc, ddof=1):.1f}" if len(row.auroc) > 1 else "")
        theirs = f"{row.published[0]:.1f} ± {row.published[1]:.1f}" if row.published else ""
        cells = [
            row.data,
            row.method,
            f"{row.labeled_ratio:g}",
            f"{row.pollution_ratio:g}",
            str(row.n_known),
            str(len(row.auroc)),
            ours,
            theirs,
            f"{np.mean(row.seconds):.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _published() -> dict[tuple[str, str, float, float, int], tuple[float, float]]:
    """ruff2020's mean and deviation of each data set, method, labeled ratio, pollution ratio, number of classes."""
    with open(_PUBLISHED, newline="") as file:
        return {
            (
                row["dataset"],
                row["method"],
                float(row["labeled_ratio"]),
                float(row["pollution_ratio"]),
                int(row["known_classes"] or (1 if float(row["labeled_ratio"]) else 0)),
            ): (float(row["mean"]), float(row["std"]))
            for row in csv.DictReader(file)
            if row["paper"] == "ruff2020" and row["metric"] == "auroc" and row["table"] in "3456"
        }
