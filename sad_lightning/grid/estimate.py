"""How long a grid will take: from finished cells of its kind, else roughly from its number of training steps."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sad_lightning.config.compose import is_baseline
from sad_lightning.data.arrays import Arrays
from sad_lightning.errors import InputError
from sad_lightning.grid.plan import Job
from sad_lightning.result import FILE, Result

_SAMPLE = 20  # finished cells of a kind that are read
# Milliseconds of one training step on one CPU core, measured with Deep SAD at a batch size of 200: on a table of up to
# 274 columns, trained alone and stacked; and per value of an image (8x8 to 32x32x3). Right within a factor of three.
_TABLE, _TABLE_STACKED, _VALUE = 1.6, 0.3, 0.09


class Estimate(NamedTuple):
    """A duration and where it comes from.

    Attributes:
        seconds: None where it is not known.
        source: what it is based on, or why it is not known.
    """

    seconds: float | None
    source: str

    def __str__(self) -> str:
        """For a person."""
        if self.seconds is None:
            return f"how long it takes is not known: {self.source}"
        minutes = self.seconds / 60
        rounded = f"{minutes / 60:.1f} hours" if minutes >= 90 else f"{max(minutes, 1):.0f} min"
        return f"about {rounded} ({self.source})"


def estimate_duration(
    jobs: Sequence[Job], seconds: Sequence[float], runs: Path, *, slots: int, on_cpu: bool
) -> Estimate:
    """How long jobs of so many seconds each, from ``seconds_of_steps``, take if ``slots`` of them run at a time.

    Finished cells of their kind, below ``runs``, tell it better.
    """
    training = [cell for job in jobs if not job.pretrains for cell in job.cells]
    kinds: dict[tuple[str, str, Any], int] = defaultdict(int)
    for cell in training:
        kinds[cell.data, cell.method, cell.settings["trainer"]["max_epochs"]] += 1
    means = {kind: _mean_seconds(runs, *kind, on_cpu=on_cpu) for kind in kinds}
    known = [means[kind] for kind in kinds]
    if all(mean is not None for mean in known):
        total = sum(count * (means[kind] or 0) for kind, count in kinds.items())
        return Estimate(total / slots, "by finished cells of its kind")
    if not on_cpu:
        return Estimate(None, "no cell of its kind is finished, and steps were not timed on this device")
    return Estimate(sum(seconds) / slots, "roughly, by the number of steps")


def seconds_of_steps(job: Job, settings: Mapping[str, Any], arrays: Arrays) -> float:
    """Roughly how many seconds a job takes on one CPU core; on other devices, a number to compare jobs by.

    Its cells have these resolved settings, but for split and seed, and a common data set.
    """
    if settings.get("voices"):
        alone = [{**settings, **voice, "voices": {}} for voice in settings["voices"].values()]
        return sum(seconds_of_steps(job, voice, arrays) for voice in alone)
    if is_baseline(settings):
        return 5.0 * len(job.cells)
    pretrain = settings["pretrain"]
    training = (int(settings["batch_size"]), int(settings["trainer"]["max_epochs"]))
    pretraining = (int(pretrain["batch_size"]), int(pretrain["epochs"]))
    shape = arrays.shape if settings["backbone"] is None else (1,)  # of features, which are columns
    seconds = 0.0
    for cell in job.cells:
        rows = _rows(arrays, cell.settings["split"])
        if not job.pretrains:
            seconds += _training(shape, rows, *training, stacked=job.stack)
        if job.pretrains or (cell.shares and not job.needs):  # an autoencoder's step takes twice as long
            seconds += 2 * _training(shape, rows, *pretraining, stacked=job.stack)
    return float(settings["ensemble"]) * seconds


def _mean_seconds(runs: Path, data: str, method: str, epochs: object, *, on_cpu: bool) -> float | None:
    """Of finished cells of a kind that ran on such a device; a GPU takes a sixtieth of a CPU's time for an image."""
    durations = []
    for path in sorted((runs / data / method).glob(f"*/{FILE}"))[:_SAMPLE]:
        try:
            result = Result.read(path.parent)
        except InputError:  # a damaged one is reported when its cell is run
            continue
        if result.coordinates.epochs == epochs and str(result.environment.get("device")).startswith("cpu") == on_cpu:
            durations.append(sum(result.seconds.values()))
    return sum(durations) / len(durations) if durations else None


def _rows(arrays: Arrays, split: Mapping[str, Any]) -> float:
    if arrays.labels is not None:  # own data: most of it is for training
        return float(len(arrays.x))
    normal, counts = split["normal_class"], _class_counts(arrays)
    count = sum(counts.get(number, 0) for number in (set(normal) if isinstance(normal, list) else [normal]))
    return count * (1.0 if arrays.n_train is not None else 1 - float(split["test_ratio"]))


@lru_cache(maxsize=8)
def _class_counts(arrays: Arrays) -> dict[int, int]:
    numbers, counts = np.unique(arrays.target_class[: arrays.n_train], return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))


def _training(shape: Sequence[int], rows: float, batch_size: int, epochs: int, *, stacked: bool) -> float:
    batch = min(batch_size, max(1, int(rows)))
    if len(shape) == 1:
        step = (_TABLE_STACKED if stacked else _TABLE) / 1000
    else:
        step = _VALUE * prod(shape) * batch / 200 / 1000
    return epochs * max(1, rows // batch) * step
