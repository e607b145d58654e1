"""The files of a grid: a folder for each cell, and the plan. There are no locks, and every file can be read again.

Below ``runs``:
    DATA/METHOD/CELL/result.json     a finished cell; written last and as a whole
    DATA/METHOD/CELL/failure.json    a cell that ended without a result: why, and the command that runs it again
    grids/NAME/plan.json             the cells and jobs of a grid, as planned when it began
    grids/NAME/worker*.log           the output of its workers
"""

import json
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from sad_lightning.errors import InputError
from sad_lightning.files import whole_file
from sad_lightning.grid.plan import Job, PlannedCell
from sad_lightning.result import FAILURE, FILE, Result
from sad_lightning.version import NUMBERS_VERSION

_SCHEMA = 1


class Outcome(NamedTuple):
    """How a cell ended.

    Attributes:
        key: the cell's key.
        status: ``finished``, ``failed``, or ``not defined`` where the cell lacks what the method needs.
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
        cells: every distinct cell.
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
        cells = [{**asdict(cell), "folder": os.path.relpath(cell.folder, runs)} for cell in self.cells]
        document = {**self.__dict__, "schema": _SCHEMA, "cells": cells, "jobs": jobs}
        with whole_file(grid_folder(runs, self.name) / "plan.json") as part:
            part.write_text(json.dumps(document, indent=1) + "\n")

    def with_cells(self, cells: Sequence[PlannedCell]) -> "Grid":
        """The grid with these cells in place of those with the same keys, whose folders may have changed."""
        by_key = {cell.key: cell for cell in (*self.cells, *cells)}
        jobs = tuple(job._replace(cells=tuple(by_key[cell.key] for cell in job.cells)) for job in self.jobs)
        return replace(self, cells=tuple(by_key[cell.key] for cell in self.cells), jobs=jobs)

    @staticmethod
    def read(path: Path) -> "Grid":
        """The grid of a ``plan.json``.

        Raises:
            InputError: it is damaged or of another schema.
        """
        try:
            document = json.loads(path.read_text())
            if document.pop("schema") != _SCHEMA:
                raise InputError(f"{path}: is of another version of sad_lightning; remove it, the results stay")
            cells = {}
            for cell in document.pop("cells"):
                cell |= {"overrides": tuple(cell["overrides"]), "folder": str(path.parents[2] / cell["folder"])}
                cells[cell["key"]] = PlannedCell(**cell)
            jobs = tuple(
                Job(**{**job, "cells": tuple(cells[key] for key in job["cells"]), "needs": tuple(job["needs"])})
                for job in document.pop("jobs")
            )
            return Grid(**document, cells=tuple(cells.values()), jobs=jobs)
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: must be the plan of a grid ({error}); remove it, the results stay") from error


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


def outcome_of(cell: PlannedCell) -> Outcome | None:
    """How the cell ended in an earlier run, None where it did not end.

    Raises:
        InputError: its folder holds a damaged result or that of another cell.
    """
    folder = Path(cell.folder)
    if (folder / FILE).exists():
        result = Result.read(folder)
        if result.key != cell.key:
            raise InputError(f"{folder}: holds the result of another cell, {result.key}; choose another folder")
        return Outcome(cell.key, "finished", result.metrics["auroc"])
    failure = failure_of(folder)
    if failure is not None and failure["key"] == cell.key:
        return Outcome(cell.key, failure["status"], line=failure["line"])
    return None


def failure_of(folder: Path) -> dict[str, Any] | None:
    """The content of ``failure.json``: key, status, line, trace and command; None where there is none."""
    try:
        failure = json.loads((folder / FAILURE).read_text())
        return failure if {"key", "status", "line", "trace", "command"} <= set(failure) else None
    except (OSError, ValueError, TypeError):
        return None


def write_outcome(cell: PlannedCell, outcome: Outcome) -> None:
    """Write ``failure.json`` for a cell without a result, and remove an earlier one for a finished cell."""
    path = Path(cell.folder) / FAILURE
    if outcome.status == "finished":
        path.unlink(missing_ok=True)
        return
    with whole_file(path) as part:
        part.write_text(json.dumps({**outcome._asdict(), "command": command_of(cell)}, indent=1) + "\n")


def command_of(cell: PlannedCell) -> str:
    """The command that runs this cell alone."""
    return f"python -m sad_lightning {shlex.join(cell.overrides)} hydra.mode=RUN"
