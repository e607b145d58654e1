"""``python -m sad_lightning.explain MODEL DATA``: what adds to the scores of the rows that score highest.

Prints the columns that add most and writes explain.html, and for a table explain.csv: of every column, how much the
score falls when the column is made typical (occlusion), what the gradient says, and its share of the reconstruction error
where there is a decoder. For images these are heat maps.
"""

import argparse
import csv
import sys
from pathlib import Path

from sad_lightning.errors import InputError, whole
from sad_lightning.files import whole_file

NOTE = (
    "What adds to each score. occlusion: how much the score falls when the column, or a window of pixels, is made typical; "
    "gradient: the same to first order; error: its share of the reconstruction error. Each is drawn to a scale of its own."
)


def main() -> None:
    """Write the explanation; a mistake of the user's is one line on stderr and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m sad_lightning.explain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file, or the folder of the run that left it")
    parser.add_argument("data", type=Path, metavar="DATA", help="rows like those it was trained on")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="how many rows, those that score highest (10)")
    parser.add_argument("--rows", type=int, nargs="+", metavar="ROW", help="these rows instead, from 0")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (beside the model)")
    options = parser.parse_args()
    try:
        whole("--top", options.top)
        for line in explain(options.model, options.data, options.top, options.rows, options.out):
            print(line)
    except (InputError, OSError) as error:
        print(f"sad_lightning.explain: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
