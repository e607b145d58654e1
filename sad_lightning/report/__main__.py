"""``python -m sad_lightning.report RUNS...``: a Markdown table of all results below the folders."""

import argparse
import sys
from pathlib import Path

from sad_lightning.errors import InputError
from sad_lightning.report.table import markdown, rows


def main() -> None:
    """Print the table; a mistake of the user's is one line on stderr and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m sad_lightning.report", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUNS", help="folders that hold results, at any depth")
    folders = parser.parse_args().runs
    try:
        table = rows(folders)
        if not table:
            raise InputError(f"{', '.join(map(str, folders))}: no result.json below; name the folder given as runs=")
    except InputError as error:
        print(f"sad_lightning.report: {error}", file=sys.stderr)
        sys.exit(2)
    print(markdown(table))


if __name__ == "__main__":
    main()
