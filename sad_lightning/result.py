"""The result of a cell: ``result.json``, and the arrays that are written beside it."""

import math
import os
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from sad_lightning.errors import DamagedError, InputError
from sad_lightning.files import read_archive, read_json, remove_left, set_aside, write_archive, write_json

SCHEMA = 3
_METRICS = ("auroc", "average_precision", "recall_at_target_fpr", "threshold")  # every result has them
_SHARES = ("auroc", "average_precision", "recall_at_target_fpr", "recall", "false_positive_rate")
_GROUPS = ("data", "method", "preprocess", "pretrain", "split", "trainer")  # of settings
_PIXEL_METRICS = {"pixel_auroc": "pixel AUROC", "pixel_average_precision": "pixel avg. precision", "pro": "PRO"}
FILE = "result.json"
FAILURE = "failure.json"  # the file of a cell of a grid that ended without a result


@dataclass(frozen=True)
class Coordinates:
    """The settings by which tables, figures and statistics group and pair cells.

    Attributes:
        normal_class: the classes that count as normal.
        known_anomaly: indices of the known classes into those that are not normal; None where the seed drew them.
        n_known: how many anomaly classes are known.
        labeled_ratio: known anomalies over all training rows; for own data as counted.
        known_normal_ratio: known normals over all training rows.
        pollution_ratio: unknown anomalies over the unlabeled rows.
        seed: of the cell.
        epochs: of the training.
        ensemble: how many members score.
    """

    normal_class: tuple[int, ...]
    known_anomaly: tuple[int, ...] | None
    n_known: int
    labeled_ratio: float
    known_normal_ratio: float
    pollution_ratio: float
    seed: int
    epochs: int
    ensemble: int

    @staticmethod
    def read(document: dict[str, Any]) -> "Coordinates":
        """The coordinates in a stored result.

        Raises:
            TypeError: one is missing.
        """
        known = document["known_anomaly"]
        classes = {
            "normal_class": tuple(document["normal_class"]),
            "known_anomaly": None if known is None else tuple(known),
        }
        return Coordinates(**{**document, **classes})


@dataclass(frozen=True)
class Result:
    """The outcome of one cell.

    Attributes:
        key: of the settings that determine the numbers.
        data: the choice of ``data`` on the command line.
        method: the choice of ``method``.
        normal_classes: names of the classes that count as normal.
        known_classes: names of the classes of the known anomalies.
        settings: every setting that determines the numbers, resolved: ``cell.key.key_of`` computes the key from them.
        coordinates: by which cells are grouped and paired.
        target_fpr: the false-positive rate that the threshold aims at.
        shape: of a sample, ``(C, H, W)`` or ``(D,)``.
        seeds: of each stage.
        counts: rows in each pool of the split.
        metrics: auroc, average_precision, recall_at_target_fpr, threshold, and recall and false_positive_rate at it;
            conformal_threshold, nan where there are too few rows; pixel_auroc, pixel_average_precision and pro where
            defects are marked and shown; shares in [0, 1].
        threshold_rows: the rows that set the threshold: ``validation``, ``in-sample``, ``out-of-bag``, ``test
            normals``, ``all normals``.
        pretraining: ``none``, ``trained``, or ``cached`` where its weights come from an equal training.
        resumed: whether a stage was resumed from a checkpoint; its seconds are then those since.
        per_class: for each class that is not normal, its auroc against the normals, recall at the threshold, count, and
            distance to the nearest known class (``cell.evaluation``).
        seconds: wall time of each stage; of one that trained in a population, its share.
        environment: versions, device, git commit.
        history: for each stage that trained, its curves by name, one value an epoch, None where there was none.
        warnings: of the run.
        training: ``trained``; ``cached`` where its weights come from a training that differs only in labels that the
            method does not use; ``none`` for a baseline.
        selection: how a baseline's settings were chosen, from how many, and by which AUROC; empty for other methods.
        trained_on: the values of ``semi`` whose rows train, without -1 if the method uses no labels; None in older
            results.
        warm_start: ``from``, the key of the result that it goes on from, the ``epochs`` for which the networks of each
            method train on, and the methods ``fitted_anew``; empty without a warm start.
        voices: those of a mixture that trained, by name; empty for other methods, and in older results.
    """

    key: str
    data: str
    method: str
    normal_classes: list[str]
    known_classes: list[str]
    settings: dict[str, Any]
    coordinates: Coordinates
    target_fpr: float
    shape: list[int]
    seeds: dict[str, int]
    counts: dict[str, int]
    metrics: dict[str, float]
    threshold_rows: str
    pretraining: str
    resumed: bool
    per_class: dict[str, dict[str, float]]
    seconds: dict[str, float]
    environment: dict[str, str | None]
    history: dict[str, dict[str, list[float | None]]]
    warnings: list[str]
    training: str = "trained"
    selection: dict[str, Any] = field(default_factory=dict)
    trained_on: list[int] | None = None
    warm_start: dict[str, Any] = field(default_factory=dict)
    voices: list[str] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write ``result.json`` into the folder: whole, or not at all."""
        write_json(folder / FILE, _null_for_nan({"schema": SCHEMA, **asdict(self)}))

    @staticmethod
    def read(folder: Path) -> "Result":
        """The result in the folder.

        Raises:
            FileNotFoundError: there is no result.
            DamagedError: it is damaged or of another schema.
        """
        path = folder / FILE
        document = read_json(path)
        schema = document.pop("schema", None)
        if schema != SCHEMA:
            raise DamagedError(path, f"has schema {schema}, this version reads {SCHEMA}", "run the cell again")
        try:
            metrics = _numbers(document.pop("metrics"), _METRICS)
            per_class = {name: _numbers(values, ()) for name, values in document.pop("per_class").items()}
            coordinates = Coordinates.read(document.pop("coordinates"))
            result = Result(**document, coordinates=coordinates, metrics=metrics, per_class=per_class)
            _check_types(result)
            _check_types(coordinates)
            # grids and reports read these of every result
            _ = result.counts["known_anomaly"], result.settings["trainer"], result.settings["split"]
            for name in _GROUPS:
                if not isinstance(result.settings.get(name) or {}, dict):
                    raise TypeError(f"settings.{name} is {result.settings[name]!r}")
            return result
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedError(path, f"must be the result of a cell ({error})", "run the cell again") from error

    def table(self, folder: Path) -> str:
        """The result in a few lines, for a person."""
        metrics, seconds = self.metrics, self.seconds
        known = ", ".join(self.known_classes) if self.counts["known_anomaly"] else "none"
        rows = {
            "AUROC": _percent(metrics["auroc"]),
            "average precision": _percent(metrics["average_precision"]),
            f"recall at {100 * self.target_fpr:g} % FPR": _percent(metrics["recall_at_target_fpr"]),
            f"threshold ({self.threshold_rows})": f"{metrics['threshold']:.5g}",
            "seconds": f"{sum(seconds.values()):.1f}  ({', '.join(f'{k} {v:.1f}' for k, v in seconds.items())})",
            "folder": str(folder),
        }
        for name, words in _PIXEL_METRICS.items():
            if name in metrics:
                rows[words] = _percent(metrics[name])
        if self.selection.get("rule") == "test_holdout":
            chosen = ", ".join(f"{name} {value:g}" for name, value in self.selection["chosen"].items())
            rows["chosen on test rows"] = f"{chosen}  ({self.selection['holdout_rows']} of them, with their labels)"
        if self.voices:
            rows["voices"] = ", ".join(self.voices)
        title = f"{self.method} on {self.data}: normal {', '.join(self.normal_classes)}; known anomalies {known}"
        lines = [f"  {k:<25}{v}" for k, v in rows.items()] + [f"  warning: {text}" for text in self.warnings]
        return "\n".join([f"{title}; seed {self.coordinates.seed}", *lines])


def finished(folder: Path, key: str, *, again: bool = True) -> Result | None:
    """The result of a cell, or None if it has none.

    If the cell is to run ``again``, a damaged result is set aside, and what a kill left beside a whole one is removed.

    Raises:
        InputError: the user chose the same folder for several cells, and it holds the result of another.
        DamagedError: the result is damaged, and ``again`` is false.
    """
    try:
        result = Result.read(folder)
        if result.key == key:
            if again:
                forget_checkpoints(folder)
            return result
        if not folder.name.endswith(key):
            raise InputError(f"{folder}: holds the result of another cell, {result.key}; choose another folder")
        raise DamagedError(folder / FILE, f"is the result of another cell, {result.key}")
    except FileNotFoundError:
        return None
    except DamagedError as error:
        if not again:
            raise
        set_aside(folder / FILE, error)
        return None


def forget_checkpoints(folder: Path, stage: str = "") -> None:
    """Remove the resume checkpoints of a stage, or of all stages; those of the voices of a mixture lie below.

    What a killed process had half written goes too: another grid may have finished its cell.
    """
    for place, _, names in os.walk(folder):
        if any(name.endswith(".part") for name in names):
            remove_left(Path(place), f"{stage}*")
        for name in names:
            if name.startswith(stage) and name.endswith(".resume.ckpt"):
                Path(place, name).unlink(missing_ok=True)  # another grid that has the same cell may have removed it


def write_arrays(path: Path, key: str, arrays: Mapping[str, Any], *, compress: bool = True) -> None:
    """Write arrays of the cell of a key as npz, which ``numpy.load`` reads.

    To compress them takes seconds where there are millions of numbers.
    """
    content, save = dict(arrays), np.savez_compressed if compress else np.savez
    write_archive(path, _kind(path, key), lambda file: save(file, allow_pickle=False, **content))


def read_arrays(path: Path, key: str) -> dict[str, NDArray[Any]]:
    """The arrays that the cell of that key wrote.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedError: it is not what the cell wrote.
    """
    with np.load(read_archive(path, _kind(path, key)), allow_pickle=False) as file:
        return dict(file)


def _kind(path: Path, key: str) -> str:
    return f"{path.name} of cell {key}"


def _percent(value: float) -> str:
    return "not defined" if math.isnan(value) else f"{100 * value:.2f} %"


def _numbers(values: dict[str, Any], required: Sequence[str]) -> dict[str, float]:
    """Numbers by name, nan for null.

    Raises:
        KeyError: a required one is missing.
        TypeError: one is no number.
        ValueError: a share is none.
    """
    if missing := set(required) - set(values):
        raise KeyError(*sorted(missing))
    for name, value in values.items():
        if not isinstance(value, int | float | None):
            raise TypeError(f"{name} is {value!r}")
        if value is not None and name in _SHARES and not 0 <= value <= 1:
            raise ValueError(f"{name} is {value!r}")
    return {name: math.nan if value is None else value for name, value in values.items()}


def _null_for_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _null_for_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_null_for_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _check_types(record: Result | Coordinates) -> None:
    """Check what was read: nothing else does, and whoever can write a file can write its checksum."""
    for name, kind in _KINDS[type(record)].items():
        if not _fits(value := getattr(record, name), kind):
            raise TypeError(f"{name} is {reprlib.repr(value)}")


def _fits(value: Any, kind: Any) -> bool:
    inner = get_args(kind)
    if isinstance(kind, UnionType):
        return any(_fits(value, each) for each in inner)
    if kind is float:
        return isinstance(value, int | float)
    if kind is int:
        return isinstance(value, int) and abs(value) < 2**63
    if not inner:
        return kind is Any or isinstance(value, kind)
    items = value.values() if isinstance(value, dict) else value
    return isinstance(value, get_origin(kind)) and all(_fits(item, inner[isinstance(value, dict)]) for item in items)


_KINDS = {record: get_type_hints(record) for record in (Result, Coordinates)}
