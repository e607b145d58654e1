"""Means over cells, beside the published ones."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sad_lightning.result import FILE, Result

_PUBLISHED = Path(__file__).with_name("published_results.csv")
# Ours -> theirs, where they differ. Their Deep SVDD is the better of two variants: ours has no row in ruff2020.
_NAMES = {"ae": "cae", "classifier": "supervised_classifier", "deep_svdd": "one_class_deep_svdd"}


class Row(NamedTuple):
    """Cells that differ in their classes and seeds only.

    Attributes:
        data: the data set.
        method: the method.
        labeled_ratio: known anomalies over all training rows.
        pollution_ratio: unknown anomalies over the unlabeled rows.
        n_known: how many anomaly classes are known.
        epochs: of the training, pretraining not counted.
        auroc: percent, of each cell.
        seconds: of each cell.
        published: mean and deviation that ruff2020 prints, in percent; None where it prints none.
    """

    data: str
    method: str
    labeled_ratio: float
    pollution_ratio: float
    n_known: int
    epochs: int
    auroc: Sequence[float]
    seconds: Sequence[float]
    published: tuple[float, float] | None


def rows(folders: Iterable[Path]) -> list[Row]:
    """The results below the folders, a row for each group of cells with equal settings but for classes and seeds.

    Raises:
        InputError: a result is damaged.
    """
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for folder in folders:
        for path in sorted(folder.rglob(FILE)):
            result = Result.read(path.parent)
            groups.setdefault((result.data, result.method, _kind(result)), []).append(result)
    published = _published()
    table = []
    for (data, method, _), results in groups.items():
        settings, split = results[0].settings, results[0].settings["split"]
        n_known = len(results[0].known_classes) if results[0].counts["known_anomaly"] else 0
        labeled, pollution = float(split["labeled_ratio"]), float(split["pollution_ratio"])
        row = Row(
            data=data,
            method=method,
            labeled_ratio=labeled,
            pollution_ratio=pollution,
            n_known=n_known,
            epochs=settings["trainer"]["max_epochs"],
            auroc=[100 * result.metrics["auroc"] for result in results],
            seconds=[sum(result.seconds.values()) for result in results],
            published=published.get((data, _NAMES.get(method, method), labeled, pollution, n_known)),
        )
        table.append(row)
    return sorted(table, key=lambda row: row[:6])


def _kind(result: Result) -> str:
    """What cells of one row share: all settings but the seed and the classes; no known class is one kind of its own."""
    settings = {key: value for key, value in result.settings.items() if key != "seed"}
    split = {key: value for key, value in settings["split"].items() if key not in ("normal_class", "known_anomaly")}
    return json.dumps({**settings, "split": split}, sort_keys=True)


def markdown(table: Iterable[Row]) -> str:
    """The rows as a Markdown table; one cell has no deviation."""
    lines = [
        "| data | method | labeled | pollution | known classes | epochs | cells | AUROC, ours | published | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|",
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
            str(row.epochs),
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
