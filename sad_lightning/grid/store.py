"""The files of a grid: a folder for each cell, and the plan. There are no locks, and every file can be read again.

Below ``runs``:
    DATA/METHOD/CELL/result.json     a finished cell; written last and as a whole
    DATA/METHOD/CELL/failure.json    a cell that ended without a result: why, and the command that runs it again
    grids/NAME/plan.json             the cells and jobs of a grid, as planned when it began
    grids/NAME/worker*.log           the output of its workers
"""

import json
import math
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from sad_lightning.errors import DamagedError
from sad_lightning.files import read_json, write_json
from sad_lightning.grid.plan import Job, PlannedCell
from sad_lightning.result import FAILURE, finished, forget_checkpoints
from sad_lightning.results import Results
from sad_lightning.version import NUMBERS_VERSION

_SCHEMA = 2


class Outcome(NamedTuple):
    """How a cell ended.

    Attributes:
        key: the cell's key.
        status: ``finished``, ``failed``, ``damaged`` where the result is not what was written, or ``not defined``
            where the cell lacks what the method needs.
        auroc: of a finished cell.
        line: the reason, for a cell that is not finished.
        trace: the traceback, for a failure that is not the user's.
    """

    key: str
    status: str
    auroc: float | None = None
    line: str = ""
    trace: str = ""


@dataclass(frozen=True)
class Grid:
    """The plan of a grid.

    Attributes:
        name: a digest of its content.
        command: what the user typed.
        planned: how many cells the axes span, before equal ones are merged.
        version: the version of this package.
        commit: the commit of the code, where it is a git repository.
        cells: every distinct cell; those of a stored plan come without their settings.
        jobs: the jobs that train them.
    """

    name: str
    command: str
    planned: int
    version: str
    commit: str | None
    cells: tuple[PlannedCell, ...]
    jobs: tuple[Job, ...]

    def write(self, runs: Path) -> None:
        """Write it below ``runs``. Folders are relative to ``runs``, so that the store can be moved."""
        jobs = [{**job._asdict(), "cells": [cell.key for cell in job.cells]} for job in self.jobs]
        cells = [{**vars(cell), "folder": os.path.relpath(cell.folder, runs)} for cell in self.cells]
        for cell in cells:
            del cell["settings"]  # a gigabyte for 100,000 cells, which the command that is typed gives again
        document = {**vars(self), "schema": _SCHEMA, "cells": cells, "jobs": jobs}
        write_json(grid_folder(runs, self.name) / "plan.json", document, indent=None)

    def with_cells(self, cells: Sequence[PlannedCell]) -> "Grid | None":
        """The grid with these cells in place of those with the same keys; None where it has others.

        A stored plan says how cells are packed, never what they are.
        """
        by_key = {cell.key: cell for cell in cells}
        if {cell.key for cell in self.cells} != set(by_key):
            return None
        jobs = tuple(job._replace(cells=tuple(by_key[cell.key] for cell in job.cells)) for job in self.jobs)
        return replace(self, cells=tuple(cells), jobs=jobs)

    @staticmethod
    def read(path: Path) -> "Grid":
        """The grid of a ``plan.json``.

        Raises:
            FileNotFoundError: there is none.
            DamagedError: it is damaged or of another schema.
        """
        document = read_json(path)
        try:
            if (schema := document.pop("schema")) not in (1, _SCHEMA):  # 1 holds the settings of the cells, too
                raise ValueError(f"it has schema {schema}, this version reads {_SCHEMA}")
            if document["name"] != path.parent.name:
                raise ValueError(f"it is the plan of another, {document['name']}")
            cells = {}
            for cell in document.pop("cells"):
                folder = os.path.join(path.parents[2], cell["folder"])
                cell |= {"overrides": tuple(cell["overrides"]), "folder": folder, "settings": {}}
                cells[cell["key"]] = PlannedCell(**cell)
            jobs = tuple(
                Job(**{**job, "cells": tuple(cells[key] for key in job["cells"]), "needs": tuple(job["needs"])})
                for job in document.pop("jobs")
            )
            before = set[int]()
            for job in jobs:  # a job needs pretrainings that stand before it
                if job.number in before or not before.issuperset(job.needs):
                    raise ValueError(f"job {job.number} needs {job.needs}")
                before.add(job.number)
            return Grid(**document, cells=tuple(cells.values()), jobs=jobs)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"must be the plan of a grid ({error})"
            raise DamagedError(path, reason, "start the grid again, the results stay") from error


def grid_folder(runs: Path, name: str) -> Path:
    """The folder of a grid's plan and logs."""
    return runs / "grids" / name


def grid_name(cells: Sequence[PlannedCell], *rest: object) -> str:
    """Ten letters that are equal for grids with the same cells and the same rule of packing."""
    text = json.dumps([NUMBERS_VERSION, sorted(cell.key for cell in cells), *map(str, rest)])
    return blake2b(text.encode(), digest_size=5).hexdigest()


def grids(runs: Path) -> Iterator[Grid]:
    """Every grid below ``runs``."""
    for path in sorted((runs / "grids").glob("*/plan.json")):
        yield Grid.read(path)


def outcomes_of(cells: Sequence[PlannedCell], runs: Path, *, again: bool = False) -> dict[str, Outcome]:
    """How cells ended in earlier runs, by key, without those that did not end; of many, results are read by the index.

    A damaged result is set aside if it should run ``again``.

    Raises:
        InputError: the folder of a cell holds the result of another.
    """
    results = Results(runs)
    outcomes = {cell.key: _outcome_by(results, cell, again=again) for cell in cells}
    results.save()
    return {key: outcome for key, outcome in outcomes.items() if outcome is not None}


def _outcome_by(results: Results, cell: PlannedCell, *, again: bool) -> Outcome | None:
    try:
        result = results.read(cell.folder.removeprefix(f"{results.folder}{os.sep}"))
        if result.key == cell.key:
            if again:
                forget_checkpoints(Path(cell.folder))
            return Outcome(cell.key, "finished", result.metrics["auroc"])
    except DamagedError:
        pass
    except OSError:
        if not os.path.isdir(cell.folder):  # as in most of a grid that begins
            return None
    return outcome_of(cell, again=again)


def outcome_of(cell: PlannedCell, *, again: bool = False) -> Outcome | None:
    """How the cell ended in an earlier run, None where it did not end.

    A damaged result is set aside if it should run ``again``.

    Raises:
        InputError: its folder holds the result of another cell.
    """
    folder = Path(cell.folder)
    try:
        result = finished(folder, cell.key, again=again)
    except DamagedError as error:
        return Outcome(cell.key, "damaged", line=str(error))
    if result is not None:
        return Outcome(cell.key, "finished", result.metrics["auroc"])
    failure = failure_of(folder)
    if failure is not None and failure["key"] == cell.key:
        return Outcome(cell.key, failure["status"], line=failure["line"])
    return None


def failure_of(folder: Path) -> dict[str, str] | None:
    """The content of ``failure.json``: key, status, line, trace and command; None where there is none."""
    try:
        failure = read_json(folder / FAILURE)
    except (OSError, DamagedError):
        return None
    whole = all(isinstance(failure.get(name), str) for name in ("key", "status", "line", "trace", "command"))
    return failure if whole else None


def write_outcome(cell: PlannedCell, outcome: Outcome) -> None:
    """Write ``failure.json`` for a cell without a result, and remove an earlier one for a finished cell."""
    path = Path(cell.folder) / FAILURE
    if outcome.status == "finished":
        path.unlink(missing_ok=True)
        return
    try:
        write_json(path, {**outcome._asdict(), "command": command_of(cell)})
    except OSError as error:  # the disk is full, which may be why: the cell is named, and tried again all the same
        print(f"sad_lightning: {path}: {error.strerror}: it does not say why the cell failed", file=sys.stderr)


def command_of(cell: PlannedCell) -> str:
    """The command that runs this cell alone."""
    folder = ("--config-dir", cell.config_dir) if cell.config_dir else ()
    return f"python -m sad_lightning {shlex.join((*folder, *cell.overrides))} hydra.mode=RUN"


def count(number: int, noun: str) -> str:
    """``1 cell``, ``2 cells``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class MeanAuroc:
    """The mean over the finished cells of some outcomes, to which others may be added."""

    def __init__(self, outcomes: Iterable[Outcome] = ()) -> None:
        self._total, self._number = 0.0, 0
        for outcome in outcomes:
            self.add(outcome)

    def add(self, outcome: Outcome) -> None:
        """Count a cell, if it has an AUROC."""
        if outcome.auroc is not None and not math.isnan(outcome.auroc):
            self._total += 100 * outcome.auroc
            self._number += 1

    def __str__(self) -> str:
        """In percent; empty where none has one."""
        return f"mean AUROC {self._total / self._number:.2f} %" if self._number else ""
