"""``python -m sad_lightning.report RUNS...``: all results below the folders beside the published numbers.

Prints a Markdown table and writes, into one folder, report.html (one self-contained page), report.md, results.csv,
cells.csv, directions.csv, results.tex and the figures as SVG. Works on a grid that is not finished.
"""

import re
import sys
from hashlib import blake2b
from pathlib import Path

from sad_lightning.command import command_frame, command_parser
from sad_lightning.drawing.svg import Figure
from sad_lightning.errors import InputError
from sad_lightning.files import write_texts
from sad_lightning.predict.opening import import_all
from sad_lightning.report import text
from sad_lightning.report.figures.collection import draw
from sad_lightning.report.gather.directions import compare_labels
from sad_lightning.report.gather.groups import Grids, read
from sad_lightning.report.gather.ranking import Ranking, better_of, rank_methods
from sad_lightning.report.gather.table import Row, make_table
from sad_lightning.results import nothing_is_garbage

_LONGEST = 120  # letters of a figure's file name; folders and ".part" need some of the 255 that there are


def main() -> None:
    """Write the report, and print its table."""
    parser = command_parser("report", __doc__, "runs --out report")
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUNS", help="folders that hold results, at any depth")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (RUNS/report of the first)")
    parser.add_argument(
        "--pictures",
        nargs="?",
        const="middle",
        choices=("middle", "all"),
        help="draw samples and representations, of the median cell of each method and setting or of all cells; reads "
        "data and models",
    )
    parser.add_argument("--wandb", action="store_true", help="log the tables and the page to W&B, as one run")
    parser.add_argument("--wandb-workspace", metavar="ENTITY/PROJECT", help="build the dashboard of a W&B project")
    parser.add_argument("--import", dest="modules", nargs="+", default=[], help="modules that define your own methods")
    options = parser.parse_args()
    if not options.runs and options.wandb_workspace is None:
        parser.error("name the folder given as runs=")
    with command_frame("sad_lightning.report"):
        if options.wandb_workspace is not None:
            print(_workspace(options.wandb_workspace))
        import_all(options.modules)
        if options.runs:
            _report(options.runs, options.out or options.runs[0] / "report", options.pictures, options.wandb)


def _report(runs: list[Path], out: Path, which: str | None, with_wandb: bool) -> None:
    with nothing_is_garbage():
        grids = read(runs)
        table = make_table(grids.groups)
        rankings = rank_methods(table)
    title = " + ".join(folder.resolve().name for folder in runs)
    pictures: list[Figure] = []
    problems: list[str] = []
    if which:
        from sad_lightning.report.figures.pictures import draw_pictures  # imports what reads the data

        pictures, problems = draw_pictures(rankings, which)
    files = write(out, grids, table, rankings, pictures, title=title)
    for problem in (*grids.problems, *problems):
        print(f"sad_lightning.report: {problem}", file=sys.stderr)
    print(text.markdown(table))
    print(f"\n{out / 'report.html'}")
    if with_wandb:
        from sad_lightning.report.dashboard import log_report, sync_command  # seconds of import

        tables = {"results": files["results.csv"], "cells": files["cells.csv"]}
        print(f"W&B: {log_report(out, tables, files['report.html'], name=title)}")
        if command := sync_command([*runs, out]):
            print(f"Send what is offline: {command}")


def _workspace(where: str) -> str:
    from sad_lightning.report.dashboard import workspace
    from sad_lightning.tracking.login import logged_in

    entity, slash, project = where.partition("/")
    if not (entity and slash and project):
        raise InputError(f"--wandb-workspace must be ENTITY/PROJECT, got {where!r}; for example me/sad_lightning")
    board = workspace(entity, project)
    if not logged_in():
        raise InputError("--wandb-workspace: nobody is logged in to W&B; `wandb login` first")
    board.save()
    return str(board.url)


def write(
    out: Path, grids: Grids, table: list[Row], rankings: list[Ranking], pictures: list[Figure], *, title: str
) -> dict[str, str]:
    """Write every file of the report into a folder, each whole or not at all; their contents by name."""
    from sad_lightning.report.page.render import report_page  # jinja2: asking for help does without

    directions = compare_labels(grids.groups)
    figures = draw(table, rankings, directions)
    parts = [
        f"# {title}", text.markdown(table), text.markdown_better(better_of(rankings)), text.markdown_rankings(rankings),
        text.markdown_directions(directions), text.markdown_notes(table),
    ]  # fmt: skip
    files = {
        "report.html": report_page(grids, table, rankings, directions, figures, pictures, title),
        "report.md": "\n\n".join(part for part in parts if part) + "\n",
        "results.csv": text.table_csv(table),
        "cells.csv": text.cells_csv(grids.groups),
        "directions.csv": text.directions_csv(directions),
        "results.tex": text.latex(rankings),
        **{f"figures/{_safe(figure.name)}.svg": figure.file() for figure in (*figures.all(), *pictures)},
    }
    write_texts(out, files)
    return files


def _safe(name: str) -> str:
    """A file's name; a long one is cut, and ends with what tells it from others."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
    return safe if len(safe) <= _LONGEST else f"{safe[:_LONGEST]}-{blake2b(name.encode(), digest_size=4).hexdigest()}"


if __name__ == "__main__":
    main()
