"""``python -m sad_lightning.explain MODEL DATA``: which columns add to the scores of the most anomalous rows.

Prints the columns that add most and writes explain.html, and for a table explain.csv. They hold for every column how
much the score falls when the column is set to a typical value (occlusion), its term of the gradient, its share of the
reconstruction error if there is a decoder, and its contribution if the score is a sum over columns. For images these
are heat maps.
"""

from pathlib import Path

from sad_lightning.checks import whole_number
from sad_lightning.command import announce, command_frame, command_parser
from sad_lightning.predict.opening import add_model, check_there, import_all
from sad_lightning.predict.rows import IMAGE_ARRAYS


def main() -> None:
    """Write the explanation, and print one line for each row."""
    parser = command_parser("explain", __doc__, "model.pt new.csv --top 5")
    add_model(parser)
    parser.add_argument("data", type=Path, metavar="DATA", help="rows like those it was trained on")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="how many rows, those that score highest (10)")
    parser.add_argument("--rows", type=int, nargs="+", metavar="ROW", help="these rows instead, from 1")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where to write (beside the model)")
    parser.add_argument("--ignore", nargs="+", default=[], metavar="COLUMN", help="columns that training did not have")
    parser.add_argument("--array", help=f"the images of an npz; the first there is of {', '.join(IMAGE_ARRAYS)}")
    options = parser.parse_args()
    with command_frame("sad_lightning.explain"):
        whole_number("--top", options.top)
        check_there(options.model, options.data)
        announce("importing torch")
        import_all(options.modules)
        from sad_lightning.explain.top_rows import explain_rows  # torch

        lines = explain_rows(
            options.model, options.data, options.top, options.rows, options.out,
            ignore=options.ignore, array=options.array,
        )  # fmt: skip
        print("\n".join(lines))


if __name__ == "__main__":
    main()
