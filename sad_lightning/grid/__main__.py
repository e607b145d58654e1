"""``python -m sad_lightning.grid status RUNS``: where grids stand; ``index`` writes one table of all results."""

import os
import sys
from collections import Counter
from pathlib import Path

from sad_lightning.command import command_frame, command_parser
from sad_lightning.errors import InputError, extra
from sad_lightning.files import whole_file
from sad_lightning.grid.store import Grid, MeanAuroc, command_of, failure_of, grids, outcomes_of
from sad_lightning.result import FILE, Result
from sad_lightning.results import Results, files_below, nothing_is_garbage


def main() -> None:
    """Print where grids stand, or write their table."""
    parser = command_parser("grid", __doc__, "status runs")
    actions = parser.add_subparsers(dest="action", required=True)
    for name, text in (
        ("status", "where every grid below a folder stands, and what failed"),
        ("index", "write all results below a folder as one table, index.parquet"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("runs", type=Path, nargs="?", default=Path("runs"), help="the folder given as runs=")
    options = parser.parse_args()
    with command_frame("sad_lightning.grid", way_out="choose another folder of results"):
        if not options.runs.is_dir():
            raise InputError(f"{options.runs}: there is no such folder; name the one given as runs=")
        with nothing_is_garbage():
            told = status(options.runs) if options.action == "status" else index(options.runs)
        print(told)


def status(runs: Path) -> str:
    """A few lines on every grid below the folder.

    Raises:
        InputError: there is none, or one can not be read.
    """
    all_grids = list(grids(runs))
    if not all_grids:
        raise InputError(f"{runs}: holds no grid, which a sweep leaves below grids/; name the folder given as runs=")
    return "\n".join(line for grid in all_grids for line in _status(grid, runs))


def _status(grid: Grid, runs: Path) -> list[str]:
    outcomes = outcomes_of(grid.cells, runs)
    counts = Counter(outcome.status for outcome in outcomes.values())
    to_run = [cell for cell in grid.cells if cell.key not in outcomes]
    if to_run:
        counts["to run"] = len(to_run)
    to_resume = sum(_has_checkpoint(cell.folder) for cell in to_run)
    distinct = f", {len(grid.cells)} distinct" if grid.planned != len(grid.cells) else ""
    lines = [
        f"{grid.name}: {grid.command}",
        f"  {grid.planned} cells{distinct}: " + ", ".join(f"{n} {name}" for name, n in sorted(counts.items())),
    ]
    if to_resume:
        lines.append(f"  {to_resume} of those to run have a resume checkpoint")
    if mean := str(MeanAuroc(outcomes.values())):
        lines.append(f"  {mean} so far")
    for cell in grid.cells:
        outcome = outcomes.get(cell.key)
        if outcome is not None and outcome.status in ("failed", "damaged"):
            failure = failure_of(Path(cell.folder))
            lines.append(f"  failed: {' '.join(cell.overrides)}: {outcome.line}")
            lines += [f"    {line}" for line in (failure or {}).get("trace", "").rstrip().splitlines()[-3:]]
            lines.append(f"    once more: {command_of(cell)}")
    return lines


def _has_checkpoint(folder: str) -> bool:
    try:
        return any(name.endswith(".resume.ckpt") for name in os.listdir(folder))
    except OSError:  # a cell that has not begun
        return False


def index(runs: Path) -> str:
    """Write ``index.parquet`` over all results below the folder.

    Raises:
        InputError: pyarrow is missing, or there is no result.
    """
    with extra("table", "index"):
        import pyarrow
        import pyarrow.parquet
    rows, results = [], Results(runs)
    for name, files in files_below(runs, (FILE,)):
        try:
            rows.append(_row(runs / name, results.read(name, files[FILE])))
        except (InputError, OSError) as error:
            print(f"sad_lightning.grid: {error}", file=sys.stderr)
    results.save()
    if not rows:
        raise InputError(f"{runs}: no {FILE} below; name the folder given as runs=")
    with whole_file(runs / "index.parquet") as part:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), part, write_page_checksum=True)
    return f"{runs / 'index.parquet'}: {len(rows)} results"


def _row(folder: Path, result: Result) -> dict[str, object]:
    at = result.coordinates
    return {
        "key": result.key,
        "data": result.data,
        "method": result.method,
        "seed": at.seed,
        "normal_classes": result.normal_classes,
        "known_classes": result.known_classes if result.counts["known_anomaly"] else [],
        "labeled_ratio": at.labeled_ratio,
        "known_normal_ratio": at.known_normal_ratio,
        "pollution_ratio": at.pollution_ratio,
        "n_known": at.n_known,
        "max_epochs": at.epochs,
        "ensemble": at.ensemble,
        **result.metrics,
        "seconds": sum(result.seconds.values()),
        "folder": str(folder),
    }


if __name__ == "__main__":
    main()
