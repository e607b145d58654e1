"""What large grids cost: seconds and memory of planning them, and of status, index and report over their results.

    python benchmarks/scale.py [--cells 1000 10000 100000] [--figure docs/figures/scale.svg]

Each command is what a person types and runs in a process of its own, imports included; ``plan_only=true`` makes a plan.
Beside its wall time stand seconds of the CPU, which are divided by the cells: other work on the machine hardly changes
them. Results are fabricated: the settings of four methods, curves of 60 epochs, scores of 200 rows. The first command
that meets new results reads each of them and keeps what it read in an index, which those marked `again` read.
"""

import argparse
import io
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sad_lightning.cell.key import defining
from sad_lightning.config.compose import composed
from sad_lightning.drawing import svg
from sad_lightning.files import write_archive, write_json
from sad_lightning.grid.plan import PlannedCell
from sad_lightning.grid.store import Grid
from sad_lightning.result import FILE, SCHEMA
from sad_lightning.stats.ranking import auroc

METHODS = ("deep_sad", "hsc", "sae", "deep_svdd")
CLASSES = tuple("0123456789")
PLACES = 90  # ten normal classes, nine known ones


class Cost(NamedTuple):
    """What a command takes.

    Attributes:
        seconds: wall time.
        of_cpu: seconds of the CPU.
        gigabytes: the largest resident set.
    """

    seconds: float
    of_cpu: float
    gigabytes: float


def run(*arguments: object) -> Cost:
    """Run a module in a process of its own."""
    start = time.perf_counter()
    command = [sys.executable, "-m", *map(str, arguments)]
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    process = os.posix_spawn(sys.executable, command, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"status {status}: {' '.join(command)}")
    return Cost(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20)


def plan(cells: int, runs: Path) -> Cost:
    seeds = -(-cells // PLACES)
    axes = ("split.normal_class=range(0,10)", "split.known_anomaly=range(0,9)", f"seed=range(0,{seeds})")
    others = ("data=digits", "split.labeled_ratio=0.05", "plan_only=true", f"runs={runs}")
    return run("sad_lightning", "--multirun", *axes, *others)


def fabricate(cells: int, runs: Path) -> None:
    """Results of a grid, and the plan that it would have left."""
    os.fsync = lambda _: None  # these files need not outlive a crash
    documents = {method: document_of(method) for method in METHODS}
    scores = [scores_of(normal, np.random.default_rng(number)) for number in range(5) for normal in range(10)]
    planned = []
    for number in range(cells):
        rest, place = divmod(number, PLACES)
        seed, which = divmod(rest, len(METHODS))
        normal, known = divmod(place, 9)
        method, key = METHODS[which], f"{number:010x}"
        folder = runs / "digits" / method / f"normal{normal}_seed{seed}_{key}"
        area, archive = scores[10 * (number % 5) + normal]
        write_json(folder / FILE, at(documents[method], key, normal, known, seed, area), indent=None)
        write_archive(
            folder / "scores.npz", f"scores.npz of cell {key}", lambda file, content=archive: file.write(content)
        )
        overrides = (f"method={method}", f"seed={seed}", f"split.normal_class={normal}", f"split.known_anomaly={known}")
        planned.append(PlannedCell(key, str(folder), "digits", method, None, overrides, {}, "", "", ""))
    Grid("fabricated", "python -m sad_lightning ...", cells, "0", None, tuple(planned), ()).write(runs)


def document_of(method: str) -> dict[str, Any]:
    """A result of a method, without what differs from cell to cell."""
    curve = np.linspace(1, 0.1, 60).tolist()
    return {
        "schema": SCHEMA,
        "data": "digits",
        "method": method,
        "settings": defining(composed("data=digits", f"method={method}", "split.labeled_ratio=0.05")),
        "target_fpr": 0.05,
        "shape": [1, 8, 8],
        "seeds": {},
        "counts": {"known_anomaly": 10},
        "threshold_rows": "in-sample",
        "pretraining": "none",
        "resumed": False,
        "seconds": {"data": 0.1, "train": 12.0},
        "environment": {"git_commit": None},
        "history": {stage: {"loss": curve, "spread": curve} for stage in ("pretrain", "train")},
        "warnings": [],
        "trained_on": [0] if method == "deep_svdd" else [-1, 0],
    }


def at(document: dict[str, Any], key: str, normal: int, known: int, seed: int, area: float) -> dict[str, Any]:
    """The result of one cell."""
    settings = document["settings"]
    split = {**settings["split"], "normal_class": normal, "known_anomaly": known}
    others = [name for name in CLASSES if name != CLASSES[normal]]
    metrics = ("average_precision", "recall_at_target_fpr", "threshold", "recall", "false_positive_rate")
    return {
        **document,
        "key": key,
        "normal_classes": [CLASSES[normal]],
        "known_classes": [others[known]],
        "settings": {**settings, "seed": seed, "split": split},
        "coordinates": {
            "normal_class": [normal], "known_anomaly": [known], "n_known": 1, "labeled_ratio": 0.05,
            "known_normal_ratio": 0.0, "pollution_ratio": 0.0, "seed": seed, "epochs": 60, "ensemble": 1,
        },
        "metrics": {"auroc": area, **dict.fromkeys(metrics, 0.5)},
        "per_class": {name: {"auroc": area, "recall": 0.5, "count": 20} for name in others},
    }  # fmt: skip


def scores_of(normal: int, generator: np.random.Generator) -> tuple[float, bytes]:
    """The AUROC of some scores, and the archive that holds them."""
    target = np.arange(200) % 10
    score = generator.normal(0, 1, 200) + 1.5 * (target != normal)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, row=np.arange(200), score=score, target_class=target)
    return auroc((target != normal).astype(int), score), buffer.getvalue()


def drawing(costs: dict[str, list[tuple[int, Cost]]]) -> svg.Figure:
    """Seconds of the CPU of each command against the number of cells, both on logarithmic axes."""
    cells = sorted({count for some in costs.values() for count, _ in some})
    seconds = [cost.of_cpu for some in costs.values() for _, cost in some]
    x = svg.logarithmic(cells[0], cells[-1], 60, 400, "cells")
    y = svg.logarithmic(min(seconds), max(seconds), 270, 40, "seconds of the CPU")
    parts, series = svg.frame(x, y), {name: number for number, name in enumerate(costs)}
    for name, some in costs.items():
        points = [(x(count), y(cost.of_cpu)) for count, cost in some]
        parts.append(svg.curve(points, series[name]))
        parts += [svg.mark(*point, series[name]) for point in points]
    ends = [(name, y(some[-1][1].of_cpu)) for name, some in costs.items()]
    parts += svg.labels(ends, 412, 16, y, series)
    alt = "; ".join(f"{name}: " + ", ".join(f"{cost.of_cpu:.1f}" for _, cost in some) for name, some in costs.items())
    return svg.make_figure("scale", (540, 320), parts, title="Seconds of the CPU by the number of cells", alt=alt)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--figure", type=Path, help="draws the seconds of the CPU into this file")
    given = parser.parse_args()
    costs: dict[str, list[tuple[int, Cost]]] = {}
    print(f"{'cells':>8}  {'command':<13}{'seconds':>9}{'of CPU':>9}{'ms a cell':>11}{'GB':>7}", flush=True)
    for cells in given.cells:
        with tempfile.TemporaryDirectory() as name:
            runs = Path(name)
            fabricate(cells, runs)
            commands = {
                "plan": lambda cells=cells, runs=runs: plan(cells, runs / "planned"),
                "status": lambda runs=runs: run("sad_lightning.grid", "status", runs),
                "status again": lambda runs=runs: run("sad_lightning.grid", "status", runs),
                "index": lambda runs=runs: run("sad_lightning.grid", "index", runs),
                "report": lambda runs=runs: run("sad_lightning.report", runs),
                "report again": lambda runs=runs: run("sad_lightning.report", runs),
            }
            for command, cost in commands.items():
                spent = cost()
                costs.setdefault(command, []).append((cells, spent))
                numbers = f"{spent.seconds:>9.1f}{spent.of_cpu:>9.1f}{1000 * spent.of_cpu / cells:>11.2f}"
                print(f"{cells:>8,}  {command:<13}{numbers}{spent.gigabytes:>7.2f}", flush=True)
    if given.figure is not None:
        given.figure.write_text(drawing(costs).file() + "\n")


if __name__ == "__main__":
    main()
