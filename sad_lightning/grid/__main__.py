"""``python -m sad_lightning.grid status RUNS``: where grids stand; ``index`` writes one table of all results."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sad_lightning.command import command, command_parser
from sad_lightning.errors import InputError
from sad_lightning.files import whole_file
from sad_lightning.grid.store import Grid, command_of, failure_of, grids, outcome_of
from sad_lightning.result import FILE, Result


def main(arguments: Sequence[str] | None = None) -> None:
    """Print where grids stand, or write their table."""
    parser = command_parser("grid", __doc__, "status runs")
    actions = parser.add_subparsers(dest="action", required=True)
    for name, text in (
        ("status", "where every grid below a folder stands, and what failed"),
        ("index", "write all results below a folder as one table, index.parquet"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("runs", type=Path, nargs="?", default=Path("runs"), help="the folder given as runs=")
    options = parser.parse_args(arguments)
    with command("sad_lightning.grid", way_out="choose another folder of results"):
        if not options.runs.is_dir():
            raise InputError(f"{options.runs}: there is no such folder; name the one given as runs=")
        print(status(options.runs) if options.action == "status" else index(options.runs))


def status(runs: Path) -> str:
    """A few lines on every grid below the folder.

    Raises:
        InputError: there is none, or one can not be read.
    """
    all_grids = list(grids(runs))
    if not all_grids:
        raise InputError(f"{runs}: holds no grid, which a sweep leaves below grids/; name the folder given as runs=")
    return "\n".join(line for grid in all_grids for line in _status(grid))


def _status(grid: Grid) -> list[str]:
    outcomes = {cell.key: outcome_of(cell) for cell in grid.cells}
    counts = Counter(outcome.status if outcome is not None else "to run" for outcome in outcomes.values())
    to_resume = sum(outcomes[cell.key] is None and any(Path(cell.folder).glob("*.resume.ckpt")) for cell in grid.cells)
    areas = [100 * each.auroc for each in outcomes.values() if each and each.auroc is not None]
    distinct = f", {len(grid.cells)} distinct" if grid.planned != len(grid.cells) else ""
    lines = [
        f"{grid.name}: {grid.command}",
        f"  {grid.planned} cells{distinct}: " + ", ".join(f"{n} {name}" for name, n in sorted(counts.items())),
    ]
    if to_resume:
        lines.append(f"  {to_resume} of those to run have a resume checkpoint")
    if areas:
        lines.append(f"  mean AUROC so far {sum(areas) / len(areas):.2f} %")
    for cell in grid.cells:
        outcome = outcomes[cell.key]
        if outcome is not None and outcome.status in ("failed", "damaged"):
            failure = failure_of(Path(cell.folder))
            lines.append(f"  failed: {' '.join(cell.overrides)}: {outcome.line}")
            lines += [f"    {line}" for line in (failure or {}).get("trace", "").rstrip().splitlines()[-3:]]
            lines.append(f"    once more: {command_of(cell)}")
    return lines


def index(runs: Path) -> str:
    """Write ``index.parquet`` over all results below the folder.

    Raises:
        InputError: pyarrow is missing, or there is no result.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError("index: needs pyarrow; pip install 'sad_lightning[table]'") from error
    rows = []
    for path in sorted(runs.rglob(FILE)):
        try:
            rows.append(_row(path.parent, Result.read(path.parent)))
        except (InputError, OSError) as error:
            print(f"sad_lightning.grid: {error}", file=sys.stderr)
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
