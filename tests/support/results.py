"""Results that no training made: a grid in milliseconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sad_lightning.files import read_json, write_json
from sad_lightning.result import Coordinates, Result, write_arrays
from sad_lightning.stats.ranking import auroc

CLASSES = tuple("0123456789")


def write_cell(
    runs: Path, name: str, separation: float, *, data: str = "mnist", normal: int = 0, known: int | None = 0,
    ratio: float = 0.05, pollution: float = 0.0, n_known: int = 1, seed: int = 0, rows: int = 200, scores: bool = True,
    recalls: dict[str, float] | None = None, trained_on: list[int] | None = None, **settings,
) -> Result:  # fmt: skip
    """One cell whose anomalies score ``separation`` deviations above its normals."""
    has_known = ratio > 0 and n_known > 0
    key = [normal, -1 if known is None else known, int(1000 * ratio), seed, sum(map(ord, name))]
    generator = np.random.default_rng([number + 1 for number in key])
    target = np.arange(rows) % 10
    y = (target != normal).astype(int)
    values = generator.normal(0, 1, rows) + separation * y
    others = [each for each in CLASSES if each != CLASSES[normal]]
    stored: dict[str, Any] = {
        "seed": seed,
        "ensemble": 1,
        "target_fpr": 0.05,
        "split": {
            "normal_class": normal,
            "known_anomaly": known,
            "n_known": n_known,
            "labeled_ratio": ratio,
            "pollution_ratio": pollution,
        },
        "trainer": {"max_epochs": 150},
        "pretrain": {"epochs": 150},
        "method": {},
        **settings,
    }
    result = Result(
        key="".join(f"{number + 1:x}" for number in key),
        data=data,
        method=name,
        normal_classes=[CLASSES[normal]],
        known_classes=[others[known or 0]],
        settings=stored,
        coordinates=Coordinates(
            normal_class=(normal,),
            known_anomaly=None if known is None else (known,),
            n_known=n_known,
            labeled_ratio=ratio,
            known_normal_ratio=0.0,
            pollution_ratio=pollution,
            seed=seed,
            epochs=stored["trainer"]["max_epochs"],
            ensemble=stored["ensemble"],
        ),
        target_fpr=stored["target_fpr"],
        shape=[1, 8, 8],
        seeds={},
        counts={"known_anomaly": 10 if has_known else 0},
        metrics={
            "auroc": auroc(y, values),
            "average_precision": 0.9,
            "recall_at_target_fpr": 0.5,
            "threshold": 1.6,
            "recall": 0.5,
            "false_positive_rate": 0.05,
        },
        threshold_rows="in-sample",
        pretraining="none",
        resumed=False,
        per_class={each: {"auroc": 0.9, "recall": (recalls or {}).get(each, 0.5), "count": 20} for each in others},
        seconds={"data": 0.1, "train": 12.0},
        environment={"git_commit": None},
        history={"train": {"loss": [1.0, 0.5], "radius": [1.0, 0.8], "spread": [None, 0.3]}},
        warnings=[],
        trained_on=trained_on,
    )
    folder = runs / data / f"{abs(hash(name))}_{len(list(runs.rglob('result.json')))}"
    folder.mkdir(parents=True)
    result.write(folder)
    if scores:
        write_arrays(
            folder / "scores.npz", result.key, {"row": np.arange(rows), "score": values, "target_class": target}
        )
    return result


@contextmanager
def edited(path: Path) -> Iterator[dict[str, Any]]:
    """The document of a JSON file; what the block makes of it is written as if it had been so from the start."""
    document = read_json(path)
    yield document
    write_json(path, document)


def write_grid(runs: Path, *, ratios=(0.0, 0.05), normals=range(3), knowns=range(3)) -> None:
    """Two methods, one better; one cell of it is missing, and one method needs known anomalies."""
    for ratio in ratios:
        for normal in normals:
            for known in knowns:
                at = {"normal": normal, "known": known, "ratio": ratio}
                if (ratio, normal, known) != (0.05, 1, 2):
                    write_cell(runs, "deep_sad", 1.2 + 4 * ratio, **at)
                write_cell(runs, "ae", 0.9, **at)
                if ratio:
                    write_cell(runs, "classifier", 0.6, **at)


COORDINATES = {
    "normal_class": [0], "known_anomaly": [0], "n_known": 1, "labeled_ratio": 0.05, "known_normal_ratio": 0.0,
    "pollution_ratio": 0.0, "seed": 0, "epochs": 60, "ensemble": 1,
}  # fmt: skip
