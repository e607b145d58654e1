"""How long a grid takes, before it began: from finished cells of its kind, else roughly from the work there is."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sad_lightning.data.arrays import Arrays
from sad_lightning.errors import InputError
from sad_lightning.grid.plan import Cell, Job
from sad_lightning.result import FILE, Result

_LOOKED_AT = 20  # finished cells of a kind
# Milliseconds a member's step takes on one CPU core, measured with Deep SAD: a table of up to 274 columns alone and
# stacked, and images by their values, at 200 a batch (8x8 to 32x32x3). Good for a factor of three.
_TABLE, _TABLE_STACKED, _VALUE = 1.6, 0.3, 0.09


class Estimate(NamedTuple):
    """How long it takes.

    Attributes:
        seconds: None where nothing is known.
        source: what it goes by.
    """

    seconds: float | None
    source: str

    def __str__(self) -> str:
        """For a person."""
        if self.seconds is None:
            return f"how long it takes is not known: {self.source}"
        minutes = self.seconds / 60
        spoken = f"{minutes / 60:.1f} hours" if minutes >= 90 else f"{max(minutes, 1):.0f} min"
        return f"about {spoken} ({self.source})"


def estimate(
    jobs: Sequence[Job], runs: Path, arrays_of: Callable[[Cell], Arrays], *, slots: int, on_cpu: bool
) -> Estimate:
    """How long the jobs take.

    Args:
        jobs: what there is to do.
        runs: where finished cells lie.
        arrays_of: loads the data set of a cell.
        slots: how many jobs run at a time.
        on_cpu: whether a CPU trains.
    """
    training = [(job, cell) for job in jobs if not job.pretrains for cell in job.cells]
    kinds: dict[tuple[str, str, int], int] = defaultdict(int)
    for _, cell in training:
        kinds[cell.data, cell.method, int(cell.settings["trainer"]["max_epochs"])] += 1
    means = {kind: _mean_seconds(runs, *kind) for kind in kinds}
    known = [means[kind] for kind in kinds]
    if all(mean is not None for mean in known):
        total = sum(count * (means[kind] or 0) for kind, count in kinds.items())
        return Estimate(total / slots, "by finished cells of its kind")
    if not on_cpu:
        return Estimate(None, "no cell of its kind is finished, and steps were not timed on this device")
    steps = [
        _seconds(cell, arrays_of(cell), pretrains=job.pretrains, stacked=job.stack)
        for job in jobs
        for cell in job.cells
    ]
    return Estimate(sum(steps) / slots, "roughly, by the number of steps")


def _mean_seconds(runs: Path, data: str, method: str, epochs: int) -> float | None:
    found = []
    for path in sorted((runs / data / method).glob(f"*/{FILE}"))[:_LOOKED_AT]:
        try:
            result = Result.read(path.parent)
        except InputError:  # a damaged one says so when its turn comes
            continue
        if result.settings["trainer"]["max_epochs"] == epochs:
            found.append(sum(result.seconds.values()))
    return sum(found) / len(found) if found else None


def _seconds(cell: Cell, arrays: Arrays, *, pretrains: bool, stacked: bool) -> float:
    """Of one cell, its pretraining counted where no job of its own trains it."""
    settings = cell.settings
    if "features" in settings:
        return 5.0
    classes, split = arrays.target_class, settings["split"]
    ships_test = arrays.n_train is not None
    normal = np.isin(classes[: arrays.n_train], split["normal_class"]).sum()
    rows = float(normal) * (1.0 if ships_test else 1 - float(split["test_ratio"]))
    batch = min(int(settings["batch_size"]), max(1, int(rows)))
    if len(arrays.shape) == 1:
        step = (_TABLE_STACKED if stacked else _TABLE) / 1000
    else:
        step = _VALUE * prod(arrays.shape) * batch / 200 / 1000
    trainings = (2 if pretrains else 1) * int(settings["ensemble"])  # an autoencoder's step takes twice as long
    return trainings * int(settings["trainer"]["max_epochs"]) * max(1, rows // batch) * step
