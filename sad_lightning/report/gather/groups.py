"""The results below some folders, gathered into what belongs together, and what is missing among them."""

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from sad_lightning.cell.key import without_neutral
from sad_lightning.errors import InputError
from sad_lightning.files import read_json
from sad_lightning.report.gather.cells import SCORES, CellResult, Place, Rocs
from sad_lightning.report.gather.setting import Setting
from sad_lightning.result import FAILURE, FILE, Result
from sad_lightning.results import Results, files_below

# What has a column of its own; every other setting that differs is spelt out.
_COLUMNS = {"trainer.max_epochs", "ensemble", "split.labeled_ratio", "split.pollution_ratio", "split.n_known"}
# What a mean goes over; a baseline's random state is the seed of the cell.
_AXES = {"split.normal_class", "split.known_anomaly", "seed", "method.random_state"}


@dataclass(frozen=True)
class Group:
    """Cells that differ in their classes and seeds only; a mean goes over them.

    Attributes:
        data: the data set.
        method: the method.
        settings: those that tell it from the method's other groups; mostly none.
        setting: what methods are compared under.
        epochs: of the training, pretraining not counted; 0 where there is no cell.
        ensemble: how many models a cell is.
        cells: the results, one a place.
        planned: places of the grid.
        missing: those without a result; without known anomalies one result stands for all known classes.
    """

    data: str
    method: str
    settings: dict[str, Any]
    setting: Setting
    epochs: int
    ensemble: int
    cells: tuple[CellResult, ...]
    planned: int
    missing: tuple[Place, ...]

    @property
    def finished(self) -> int:
        """Places of the grid that have a result."""
        return self.planned - len(self.missing)

    @property
    def variant(self) -> str:
        """What tells it from the method's other groups, ``key=value`` with commas; mostly empty."""
        return ", ".join(f"{key}={_plain(value)}" for key, value in self.settings.items())

    @property
    def name(self) -> str:
        """The method, with what tells this variant from others."""
        return f"{self.method} ({self.variant})" if self.variant else self.method

    @cached_property
    def distinct(self) -> tuple[CellResult, ...]:
        """The cells without those that repeat another: same normal class, same seed, same numbers.

        Without known anomalies, and for methods that do not look at them, nine known classes are one training.
        """
        cells: dict[object, CellResult] = {}
        for cell in self.cells:
            cells.setdefault((cell.place.normal, cell.place.seed, tuple(cell.result.metrics.values())), cell)
        return tuple(cell for cell in cells.values() if not math.isnan(cell.auroc))

    @property
    def by_auroc(self) -> list[CellResult]:
        """The distinct cells, the lowest AUROC first."""
        return sorted(self.distinct, key=lambda cell: cell.auroc)

    @property
    def median(self) -> CellResult:
        """The distinct cell of the median AUROC."""
        return self.by_auroc[len(self.distinct) // 2]


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
    """Gather the results below the folders; what can not be read is listed among the problems.

    Raises:
        InputError: there is no result at all.
    """
    places, cells, problems, unfinished = list[str](), list[CellResult](), list[str](), list[Path]()
    for folder in folders:
        places.append(str(folder))
        results, rocs, failures = Results(folder), Rocs(folder), list[str]()
        for name, files in files_below(folder, (FILE, FAILURE, SCORES, ".resume.ckpt")):
            path = folder / name
            if FILE in files:
                try:
                    cell = CellResult(path, results.read(name, files[FILE]))
                    _group([cell], {})  # fails where it lacks what a report needs
                    roc = rocs.of(cell, name, files[FILE] + files[SCORES]) if SCORES in files else None
                    cells.append(cell if roc is None else CellResult(path, cell.result, roc))
                except (InputError, OSError) as error:
                    problems.append(str(error))
                except (KeyError, TypeError, AttributeError) as error:
                    reason = f"must hold {error} to be reported; remove it and run the cell again"
                    problems.append(f"{path / FILE}: {reason}")
            elif any(file.endswith(".resume.ckpt") for file in files):
                unfinished.append(path)
            if FAILURE in files and (line := _failure(path, finished=FILE in files)):
                failures.append(line)
        results.save()
        rocs.save()
        problems += failures
    if not cells:
        reason = problems[0] if problems else "no result.json below; name the folder given as runs="
        raise InputError(f"{', '.join(places)}: {reason}")
    return Grids(tuple(_groups(cells)), tuple(problems), tuple(unfinished))


def _failure(folder: Path, *, finished: bool) -> str:
    """A line about a cell that failed; empty for one that is finished by now, or not defined."""
    path = folder / FAILURE
    try:
        failure = read_json(path)
        failed = failure["status"] == "failed" and not finished
        return f"{folder}: failed: {failure['line']}; once more: {failure['command']}" if failed else ""
    except (OSError, ValueError, KeyError, TypeError):
        return f"{path}: must say how a cell failed; remove it and run the cell again"


def _groups(cells: Sequence[CellResult]) -> list[Group]:
    kinds: dict[tuple[str, str, str], dict[Place, CellResult]] = {}
    texts: dict[tuple[str, int], str] = {}
    for cell in cells:
        result = cell.result
        kinds.setdefault((result.data, result.method, _kind(result, texts)), {}).setdefault(cell.place, cell)
    variants = _variants({key: next(iter(places.values())).result for key, places in kinds.items()})
    groups = [_group(list(places.values()), variants[key]) for key, places in kinds.items()]
    groups = [_with_missing(group, groups) for group in groups]
    groups += _absent(groups)
    return sorted(
        groups,
        key=lambda group: (group.data, *group.setting, group.method, group.epochs, group.variant, group.ensemble),
    )


def _group(cells: Sequence[CellResult], settings: dict[str, Any]) -> Group:
    result = cells[0].result
    at = result.coordinates
    return Group(
        data=result.data,
        method=result.method,
        settings=settings,
        setting=Setting(at.labeled_ratio, at.pollution_ratio, len(cells[0].known_classes)),
        epochs=at.epochs,
        ensemble=at.ensemble,
        cells=tuple(sorted(cells, key=lambda cell: cell.place)),
        planned=len(cells),
        missing=(),
    )


def _grid(groups: Iterable[Group], data: str, *, seed_draws: bool) -> list[Place]:
    """All combinations of the classes and seeds of a data set, apart for cells whose seed draws the known classes."""
    places = [cell.place for group in groups if group.data == data for cell in group.cells]
    axes = zip(*(place for place in places if (not place.known) == seed_draws), strict=True)
    return [Place(*place) for place in itertools.product(*(sorted(set(axis)) for axis in axes))]


def _with_missing(group: Group, groups: Sequence[Group]) -> Group:
    grid = _grid(groups, group.data, seed_draws=not group.cells[0].place.known)
    done = {_training_at(cell.place, group.setting) for cell in group.cells}
    missing = tuple(place for place in grid if _training_at(place, group.setting) not in done)
    return replace(group, planned=len(grid), missing=missing)


def _training_at(place: Place, setting: Setting) -> Place:
    """The place, without the known class where nothing is known: cells that differ in it alone are one training."""
    return place if setting.n_known else place._replace(known=())


def _absent(groups: Sequence[Group]) -> Iterator[Group]:
    """Methods without any result in a setting where others have one."""
    for data in sorted({group.data for group in groups}):
        mine = [group for group in groups if group.data == data]
        for seed_draws in (False, True):
            some = [group for group in mine if (not group.cells[0].place.known) == seed_draws]
            there = {(group.method, group.setting) for group in some}
            settings = sorted({group.setting for group in some})
            for method, setting in itertools.product(sorted({group.method for group in some}), settings):
                if (method, setting) not in there:
                    grid = tuple(_grid(groups, data, seed_draws=seed_draws))
                    yield Group(data, method, {}, setting, 0, 1, (), len(grid), grid)


def _kind(result: Result, texts: dict[tuple[str, int], str]) -> str:
    """A key that is equal for cells of one group: all settings but seed and classes, and whether a class is known.

    Settings at a neutral value are left out, as in the key of a cell: older results lack those that are newer.

    Texts are of settings that several results share, by name and identity.
    """
    parts = [f"known {result.counts['known_anomaly'] > 0}"]
    for name, value in sorted(result.settings.items()):
        if not isinstance(value, dict):
            left_out = name in _AXES or not without_neutral({name: value})
            parts.append("" if left_out else f"{name} {_number(value)!r}")
            continue
        if (name, id(value)) not in texts:
            flat = _flat(without_neutral({name: value}))
            kept = {key: _number(item) for key, item in flat if key not in _AXES}
            texts[name, id(value)] = json.dumps(kept, sort_keys=True) if kept else ""
        parts.append(texts[name, id(value)])
    return "\n".join(filter(None, parts))


def _number(value: Any) -> Any:
    """The value, a whole number as a float: 1 is 1.0."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _variants(kinds: dict[tuple[str, str, str], Result]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """For each kind, the settings that differ among kinds of its data set and method, by their shortest names."""
    variants: dict[tuple[str, str, str], dict[str, Any]] = {}
    for pair, keys in itertools.groupby(sorted(kinds), key=lambda key: key[:2]):
        members = [key for key in keys if key[:2] == pair]
        flat = {key: dict(_flat(kinds[key].settings)) for key in members}
        kept = {key: dict(_flat(without_neutral(kinds[key].settings))) for key in members}
        names = sorted({name for settings in kept.values() for name in settings} - _COLUMNS - _AXES)
        columns: dict[str, str] = {}  # the values in all kinds -> the shortest name that takes them
        for name in sorted(names, key=lambda name: (name.count("."), name)):
            values = [kept[key].get(name) for key in members]
            if any(value != values[0] for value in values):
                columns.setdefault(repr(values), name)
        for key in members:
            variants[key] = {name: flat[key].get(name) for name in columns.values()}
    return variants


def _flat(settings: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)
