"""What large grids cost: seconds and memory of planning them, and of status, index and report over their results.

    python benchmarks/scale.py [--cells 1000 10000 100000]

The plan is the command that a person types, with plan_only=true. Results are fabricated: as large as those of 60 epochs,
with the scores of 200 rows. Each command runs in a process of its own, imports included; the first that reads new results
writes the index, and `report again` and `status again` read it.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sad_lightning.grid.plan import PlannedCell
from sad_lightning.grid.store import Grid
from sad_lightning.result import Coordinates, Result, write_arrays
from sad_lightning.stats.ranking import auroc

_OF_A_SEED = 90  # cells: ten normal classes, nine known ones
_METHODS = ("deep_sad", "hsc", "sae", "deep_svdd")
_CLASSES = tuple("0123456789")


class Cost(NamedTuple):
    """What a command takes.

    Attributes:
        seconds: wall time.
        gigabytes: the largest resident set.
    """

    seconds: float
    gigabytes: float


def run(*arguments: object) -> Cost:
    """Run a module of the package in a process of its own."""
    start = time.perf_counter()
    command = [sys.executable, "-m", *map(str, arguments)]
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    process = os.posix_spawn(sys.executable, command, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"status {status}: {' '.join(command)}")
    return Cost(time.perf_counter() - start, usage.ru_maxrss / 2**20)


def plan(cells: int, runs: Path) -> Cost:
    seeds = -(-cells // _OF_A_SEED)
    axes = ("split.normal_class=range(0,10)", "split.known_anomaly=range(0,9)", f"seed=range(0,{seeds})")
    labels = ("split.labeled_ratio=0.05", "plan_only=true", f"runs={runs}", "--multirun")
    return run("sad_lightning", "data=digits", *axes, *labels)


def fabricate(cells: int, runs: Path) -> None:
    """Results of a grid, and the plan that it would have left."""
    generator = np.random.default_rng(0)
    planned = []
    for number in range(cells):
        rest, place = divmod(number, _OF_A_SEED)
        seed, method = divmod(rest, len(_METHODS))
        cell = fabricated(_METHODS[method], seed, *divmod(place, 9), generator)
        folder = runs / "digits" / cell.method / f"normal{place // 9}_seed{seed}_{cell.key}"
        folder.mkdir(parents=True)
        write(cell, folder, generator)
        overrides = (f"seed={seed}", f"split.normal_class={place // 9}", f"split.known_anomaly={place % 9}")
        planned.append(PlannedCell(cell.key, str(folder), "digits", cell.method, None, overrides, {}, "", "", ""))
    Grid("fabricated", "python -m sad_lightning ...", cells, "0", None, tuple(planned), ()).write(runs)


def write(cell: Result, folder: Path, generator: np.random.Generator) -> None:
    target = np.arange(200) % 10
    y = (target != cell.coordinates.normal_class[0]).astype(int)
    score = generator.normal(0, 1, 200) + 1.5 * y
    metrics = {**cell.metrics, "auroc": auroc(y, score)}
    replace(cell, metrics=metrics).write(folder)
    arrays = {"row": np.arange(200), "score": score, "target_class": target}
    write_arrays(folder / "scores.npz", cell.key, arrays)
