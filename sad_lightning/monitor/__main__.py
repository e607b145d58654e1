"""``python -m sad_lightning.monitor MODEL SCORES``: are new rows still like those of the training? Day by day.

SCORES are files that ``sad_lightning.predict`` wrote, a pattern in quotes or a folder; parquet tells of columns too.
A file's day stands in its name or its folder (2026-01-31, or day=2026-01-31), else it is that of its last change;
``--time`` takes the day of each row from a column that ``predict --keep`` has copied.

Writes a page: flagged rows a day beside the promised share, a martingale that alarms, the columns that moved. The exit
code is 3 where the rows are not as promised: by chance, in at most one of twenty streams, however long one looks.
"""

import sys
from pathlib import Path

from sad_lightning.command import announce, command_frame, command_parser
from sad_lightning.data.own.parts import check_data, find_parts
from sad_lightning.files import model_file
from sad_lightning.predict.opening import add_model, check_output, check_there, import_all

_BROKEN = 3  # exit code


def main() -> None:
    """Write the page and print what it says first."""
    parser = command_parser("monitor", __doc__, "model.pt 'scores/*.parquet' --out monitor.html")
    add_model(parser)
    parser.add_argument("scores", metavar="SCORES", nargs="+", help="what predict wrote")
    parser.add_argument("--time", metavar="COLUMN", help="the column of the scores that says when a row was")
    parser.add_argument("--out", type=Path, default=Path("monitor.html"), help="the page (monitor.html)")
    options = parser.parse_args()
    with command_frame("sad_lightning.monitor"):
        check_there(options.model)
        check_data(options.scores)
        parts = find_parts(options.scores)
        read = [part.place for part in parts if isinstance(part.place, Path)]
        check_output("--out", options.out, model_file(options.model), *read)
        announce("importing torch")
        import_all(options.modules)
        from sad_lightning.model import Model  # torch
        from sad_lightning.monitor.days import watch
        from sad_lightning.monitor.page import write_page

        monitoring = watch(Model.load(options.model), parts, options.time)
        write_page(options.out, monitoring, str(options.model))
        print("\n".join([*monitoring.text(), f"  {'page':<12}{options.out}"]))
        is_broken = monitoring.alarm is not None
    if is_broken:
        sys.exit(_BROKEN)


if __name__ == "__main__":
    main()
