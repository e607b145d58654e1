"""The results below some folders, gathered into what belongs together, and what is missing among them."""

import itertools
import json
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from sad_lightning.errors import InputError
from sad_lightning.result import FAILURE, FILE, Result
from sad_lightning.stats.ranking import Interval, auroc_interval, roc_curve

# What has a column of its own; every other setting that differs is spelt out.
_COLUMNS = {"trainer.max_epochs", "ensemble", "split.labeled_ratio", "split.pollution_ratio", "split.n_known"}
FPR = np.linspace(0, 1, 101)  # where ROC curves are read off
# What a mean goes over; a baseline's random state is the seed of the cell.
_AXES = {"split.normal_class", "split.known_anomaly", "seed", "method.random_state"}


class Place(NamedTuple):
    """Where a cell stands in its grid.

    Attributes:
        normal: the normal classes, by number.
        known: the setting ``known_anomaly``, one or several; empty where the seed draws the known classes.
        seed: of the cell.
    """

    normal: tuple[int, ...]
    known: tuple[int, ...]
    seed: int


class Ranking(NamedTuple):
    """What the test scores of a cell say beyond its metrics.

    Attributes:
        interval: DeLong's 95 % interval of the AUROC, shares.
        recalls: ``(101,)`` recall at the false-positive rates ``FPR``.
    """

    interval: Interval
    recalls: NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """A finished cell and its folder."""

    folder: Path
    result: Result

    @cached_property
    def place(self) -> Place:
        """Where it stands in its grid."""
        at = self.result.coordinates
        return Place(at.normal_class, at.known_anomaly or (), at.seed)

    @property
    def known_classes(self) -> tuple[str, ...]:
        """Names of the classes whose anomalies it knew; none where it knew no anomaly."""
        return tuple(self.result.known_classes) if self.result.counts["known_anomaly"] else ()

    @property
    def pair(self) -> tuple[tuple[str, ...], tuple[str, ...], int]:
        """What it shares with the cells of other methods that it is compared with: classes and seed."""
        return tuple(self.result.normal_classes), self.known_classes, self.result.coordinates.seed

    @property
    def auroc(self) -> float:
        """In percent; nan where it is not defined."""
        return 100 * self.result.metrics["auroc"]

    @property
    def seconds(self) -> float:
        """Wall time of all its stages."""
        return sum(self.result.seconds.values())

    def scores(self) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        """Truth ``(N,)``, 0 normal and 1 anomaly, and score ``(N,)`` of the test rows; None if unreadable."""
        try:
            with np.load(self.folder / "scores.npz") as file:
                classes, scores = file["target_class"], file["score"].astype(np.float64)
        except (OSError, ValueError, KeyError, BadZipFile, zlib.error):
            return None
        y = np.ones(len(classes), dtype=np.int64)
        for normal in self.place.normal:
            y[classes == normal] = 0
        return (y, scores) if y.shape == scores.shape and len(y) and np.isfinite(scores).all() else None

    @cached_property
    def ranking(self) -> Ranking | None:
        """What the scores say beyond the metrics; None where they can not be read."""
        scores = self.scores()
        if scores is None:
            return None
        fpr, recall = roc_curve(*scores)
        recalls = np.interp(FPR, fpr, recall) if len(fpr) else np.full(len(FPR), np.nan)
        return Ranking(auroc_interval(*scores), recalls)


@dataclass(frozen=True)
class Group:
    """Cells that differ in their classes and seeds only; a mean goes over them.

    Attributes:
        data: the data set.
        method: the method.
        variant: the settings that tell it from the method's other groups, ``key=value`` with commas; mostly empty.
        varied: the same as a mapping.
        labeled_ratio: known anomalies over all training rows.
        pollution_ratio: unknown anomalies over the unlabeled rows.
        n_known: how many anomaly classes are known.
        epochs: of the training, pretraining not counted; 0 where there is no cell.
        ensemble: how many models a cell is.
        cells: the results, one a place.
        planned: places of the grid.
        missing: those without a result; without known anomalies one result stands for all known classes.
    """

    data: str
    method: str
    variant: str
    varied: dict[str, Any]
    labeled_ratio: float
    pollution_ratio: float
    n_known: int
    epochs: int
    ensemble: int
    cells: tuple[Cell, ...]
    planned: int
    missing: tuple[Place, ...]

    @property
    def setting(self) -> tuple[float, float, int]:
        """What methods are compared under: labeled ratio, pollution ratio, number of known classes."""
        return self.labeled_ratio, self.pollution_ratio, self.n_known

    @property
    def finished(self) -> int:
        """Places of the grid that have a result."""
        return self.planned - len(self.missing)

    @property
    def name(self) -> str:
        """The method, with what tells this variant from others."""
        return f"{self.method} ({self.variant})" if self.variant else self.method

    @cached_property
    def distinct(self) -> tuple[Cell, ...]:
        """The cells with those dropped that only repeat another: same normal class, same seed, same numbers.

        Without known anomalies, and for methods that do not look at them, nine known classes are one training.
        """
        kept: dict[object, Cell] = {}
        for cell in self.cells:
            kept.setdefault((cell.place.normal, cell.place.seed, tuple(cell.result.metrics.values())), cell)
        return tuple(cell for cell in kept.values() if not math.isnan(cell.auroc))


class Grids(NamedTuple):
    """All that lies below some folders.

    Attributes:
        groups: by data set, setting and method.
        problems: what could not be read, a line each.
        unfinished: folders of cells that began and have no result.
    """

    groups: tuple[Group, ...]
    problems: tuple[str, ...]
    unfinished: tuple[Path, ...]


def read(folders: Iterable[Path]) -> Grids:
    """Gather the results below the folders; what can not be read is told, and the others stand.

    Raises:
        InputError: there is no result at all.
    """
    places, cells, problems = [], [], []
    unfinished: list[Path] = []
    for folder in folders:
        places.append(str(folder))
        for path in sorted(folder.rglob(FILE)):
            try:
                cell = Cell(path.parent, Result.read(path.parent))
                _group([cell], {})  # what a report needs of it is there
                cells.append(cell)
            except InputError as error:
                problems.append(str(error))
            except (KeyError, TypeError, AttributeError) as error:
                problems.append(f"{path}: must hold {error} to be reported; remove it and run the cell again")
        problems += _failures(folder)
        unfinished += sorted({state.parent for state in folder.rglob("*.resume.ckpt")})
    if not cells:
        reason = problems[0] if problems else "no result.json below; name the folder given as runs="
        raise InputError(f"{', '.join(places)}: {reason}")
    return Grids(
        tuple(_groups(cells)), tuple(problems), tuple(path for path in unfinished if not (path / FILE).exists())
    )


def _failures(folder: Path) -> Iterator[str]:
    """A line on each cell that failed; what is not defined did not."""
    for path in sorted(folder.rglob(FAILURE)):
        try:
            failure = json.loads(path.read_text())
            if failure["status"] == "failed" and not (path.parent / FILE).exists():
                yield f"{path.parent}: failed: {failure['line']}; once more: {failure['command']}"
        except (OSError, ValueError, KeyError, TypeError):
            yield f"{path}: must say how a cell failed; remove it and run the cell again"


def _groups(cells: Sequence[Cell]) -> list[Group]:
    kinds: dict[tuple[str, str, str], dict[Place, Cell]] = {}
    for cell in cells:
        result = cell.result
        kinds.setdefault((result.data, result.method, _kind(result)), {}).setdefault(cell.place, cell)
    variants = _variants({key: next(iter(found.values())).result for key, found in kinds.items()})
    groups = [_group(list(found.values()), variants[key]) for key, found in kinds.items()]
    groups = [_with_missing(group, groups) for group in groups]
    groups += _absent(groups)
    return sorted(
        groups,
        key=lambda group: (group.data, *group.setting, group.method, group.epochs, group.variant, group.ensemble),
    )


def _group(cells: Sequence[Cell], varied: dict[str, Any]) -> Group:
    result = cells[0].result
    at = result.coordinates
    return Group(
        data=result.data,
        method=result.method,
        variant=", ".join(f"{key}={_plain(value)}" for key, value in varied.items()),
        varied=varied,
        labeled_ratio=at.labeled_ratio,
        pollution_ratio=at.pollution_ratio,
        n_known=len(cells[0].known_classes),
        epochs=at.epochs,
        ensemble=at.ensemble,
        cells=tuple(sorted(cells, key=lambda cell: cell.place)),
        planned=len(cells),
        missing=(),
    )


def _grid(groups: Iterable[Group], data: str, drawn: bool) -> list[Place]:
    """The full product of the places seen on a data set; grids that draw their known classes have one of their own."""
    seen = [cell.place for group in groups if group.data == data for cell in group.cells]
    axes = zip(*(place for place in seen if (not place.known) == drawn), strict=True)
    return [Place(*place) for place in itertools.product(*(sorted(set(axis)) for axis in axes))]


def _with_missing(group: Group, groups: Sequence[Group]) -> Group:
    grid = _grid(groups, group.data, not group.cells[0].place.known)
    done = {_merged(cell.place, group.n_known) for cell in group.cells}
    missing = tuple(place for place in grid if _merged(place, group.n_known) not in done)
    return replace(group, planned=len(grid), missing=missing)


def _merged(place: Place, n_known: int) -> Place:
    """The place, less the known class where nothing is known: nine cells are one training."""
    return place if n_known else place._replace(known=())


def _absent(groups: Sequence[Group]) -> Iterator[Group]:
    """Methods without any result in a setting where others have one."""
    for data in sorted({group.data for group in groups}):
        mine = [group for group in groups if group.data == data]
        for drawn in (False, True):
            some = [group for group in mine if (not group.cells[0].place.known) == drawn]
            there = {(group.method, group.setting) for group in some}
            settings = sorted({group.setting for group in some})
            for method, setting in itertools.product(sorted({group.method for group in some}), settings):
                if (method, setting) not in there:
                    grid = tuple(_grid(groups, data, drawn))
                    yield Group(data, method, "", {}, *setting, 0, 1, (), len(grid), grid)


def _kind(result: Result) -> str:
    """What cells of one group share: all settings but the seed and the classes; no known class is a kind of its own."""
    settings = {
        name: float(value) if isinstance(value, int) and not isinstance(value, bool) else value  # 1 is 1.0
        for name, value in _flat(result.settings)
        if name not in _AXES
    }
    return json.dumps({**settings, "known": result.counts["known_anomaly"] > 0}, sort_keys=True)


def _variants(kinds: dict[tuple[str, str, str], Result]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """For each kind, the settings in which the kinds of its data set and method differ, the shortest name of each."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for pair, keys in itertools.groupby(sorted(kinds), key=lambda key: key[:2]):
        members = [key for key in keys if key[:2] == pair]
        flat = {key: dict(_flat(kinds[key].settings)) for key in members}
        names = sorted({name for settings in flat.values() for name in settings} - _COLUMNS - _AXES)
        columns: dict[str, str] = {}  # the values in all kinds -> the shortest name that takes them
        for name in sorted(names, key=lambda name: (name.count("."), name)):
            values = [flat[key].get(name) for key in members]
            if any(value != values[0] for value in values):
                columns.setdefault(repr(values), name)
        for key in members:
            found[key] = {name: flat[key].get(name) for name in columns.values()}
    return found


def _flat(settings: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)
