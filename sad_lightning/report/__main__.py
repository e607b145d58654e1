"""``python -m sad_lightning.report RUNS...``: all results below the folders beside the published numbers.

Prints a Markdown table and writes, into one folder, report.html (one self-contained page), report.md, results.csv,
cells.csv, results.tex and the figures as SVG. Works on a grid that is not finished.
"""

import argparse
import re
import sys
from pathlib import Path

from sad_lightning.errors import InputError
from sad_lightning.files import whole_file
from sad_lightning.report.cells import Grids, read
from sad_lightning.report.figures import draw
from sad_lightning.report.page import page
from sad_lightning.report.svg import Figure
from sad_lightning.report.table import Contest, Row, contests, rows
from sad_lightning.report.text import cells_csv, latex, markdown, markdown_contests, markdown_notes, table_csv


def main() -> None:
    """Write the report; a mistake of the user's is one line on stderr and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m sad_lightning.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUNS", help="folders that hold results, at any depth")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (RUNS/report of the first)")
    parser.add_argument(
        "--pictures", action="store_true", help="draw samples and representations; reads data and models"
    )
    options = parser.parse_args()
    out = options.out or options.runs[0] / "report"
    try:
        grids = read(options.runs)
        table = rows(grids.groups)
        found = contests(table)
        drawn, problems = _pictures(found) if options.pictures else ([], [])
        write(out, grids, table, found, drawn, title=" + ".join(folder.resolve().name for folder in options.runs))
    except (InputError, OSError) as error:
        print(f"sad_lightning.report: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    for problem in (*grids.problems, *problems):
        print(f"sad_lightning.report: {problem}", file=sys.stderr)
    print(markdown(table))
    print(f"\n{out / 'report.html'}")


def _pictures(found: list[Contest]) -> tuple[list[Figure], list[str]]:
    from sad_lightning.report.pictures import pictures  # imports what reads the data

    return pictures(found)


def write(
    out: Path, grids: Grids, table: list[Row], found: list[Contest], pictures: list[Figure], *, title: str
) -> None:
    """Write every file of the report into a folder, each whole or not at all."""
    drawn = draw(table, found)
    parts = [f"# {title}", markdown(table), markdown_contests(found), markdown_notes(table)]
    files = {
        "report.html": page(grids, table, drawn, pictures, title),
        "report.md": "\n\n".join(part for part in parts if part) + "\n",
        "results.csv": table_csv(table),
        "cells.csv": cells_csv(grids.groups),
        "results.tex": latex(found),
        **{f"figures/{_safe(figure.name)}.svg": figure.file() for figure in (*drawn.all(), *pictures)},
    }
    for name, content in files.items():
        with whole_file(out / name) as part:
            part.write_text(content, encoding="utf-8")


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)


if __name__ == "__main__":
    main()
