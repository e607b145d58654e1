"""``python -m sad_lightning.predict MODEL DATA``: score, p-value and decision of every row, batch by batch.

MODEL is a ``model.pt`` or the folder of a run; DATA a csv, tsv, txt, parquet or npz for a model of tables, and a folder
of images, one image, or an npz with an array of them for a model of images. The output has a line a row: which
row or file, what ``--keep`` names, score (higher = more anomalous), p_value (small = more anomalous) and anomaly.
Memory does not grow with the rows, but for an npz, which is read and written whole.
"""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from sad_lightning.checks import choice, fraction
from sad_lightning.command import announce, command, command_parser
from sad_lightning.data.schema import TableSchema
from sad_lightning.errors import InputError
from sad_lightning.predict.opening import add_model, check_there, device_of, import_all
from sad_lightning.predict.output import SUFFIXES
from sad_lightning.predict.rows import IMAGE_ARRAYS

if TYPE_CHECKING:
    from sad_lightning.model import Model
    from sad_lightning.predict.scoring import Summary

_COLUMNS = ("row", "score", "p_value", "anomaly")  # of the output


def main() -> None:
    """Score the rows, and print a summary."""
    parser = command_parser("predict", __doc__, "model.pt new.csv --output scores.csv")
    add_model(parser)
    parser.add_argument("data", metavar="DATA", type=Path, help="rows like those it was trained on")
    parser.add_argument("--output", type=Path, default=Path("scores.csv"), help="csv, parquet or npz; scores.csv")
    parser.add_argument("--fpr", type=float, help="false-positive rate of the decision; that of the training")
    parser.add_argument("--fdr", type=float, help="instead: the share of normal rows among the flagged, at most")
    parser.add_argument("--keep", nargs="+", default=[], metavar="COLUMN", help="columns to copy to the output")
    parser.add_argument("--ignore", nargs="+", default=[], metavar="COLUMN", help="columns that training did not have")
    parser.add_argument("--array", help=f"the images of an npz; the first there is of {', '.join(IMAGE_ARRAYS)}")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ...; auto takes cuda where it is")
    options = parser.parse_args()
    with command("sad_lightning.predict", way_out="choose another with --output"):
        _check(options)
        check_there(options.model, options.data)
        announce("importing torch")
        import_all(options.modules)
        from torch import set_num_threads  # takes seconds to import

        from sad_lightning.model import Model
        from sad_lightning.predict.scoring import predict

        model = Model.load(Model.find(options.model), device_of(options.device))
        if isinstance(model.preparation.schema, TableSchema):
            set_num_threads(1)  # its network is so small that threads only wait for each other
        summary = predict(
            model, options.data, options.output,
            fpr=options.fpr, fdr=options.fdr, keep=options.keep, ignore=options.ignore, array=options.array,
        )  # fmt: skip
        print(_table(model, summary, options))


def _check(options: argparse.Namespace) -> None:
    """Refuse an output that is no file of a known kind, or would overwrite what is read or the run left."""
    choice("--output: its ending", options.output.suffix.lower(), SUFFIXES)
    for key in ("fpr", "fdr"):
        if getattr(options, key) is not None:
            fraction(f"--{key}", getattr(options, key))
    if options.fpr is not None and options.fdr is not None:
        raise InputError("--fpr and --fdr: one of them decides, got both; leave one out")
    taken = [name for name in options.keep if name in _COLUMNS]
    if taken:
        raise InputError(f"--keep {taken[0]}: the output has a column of that name already; rename yours")
    if options.output.is_dir():
        raise InputError(f"--output={options.output}: must be a file, and is a folder; name a file in it")
    folder = options.model if options.model.is_dir() else options.model.parent
    own = [folder / name for name in ("scores.npz", "calibration.npz")]  # of the run that left the model
    for path in (options.data, options.model, *own):
        if path.exists() and path.resolve() == options.output.resolve():
            raise InputError(
                f"--output={options.output}: must be another file than what is read or the run left; choose another"
            )


def _table(model: "Model", summary: "Summary", options: argparse.Namespace) -> str:
    """A few lines for a person."""
    n = len(model.calibration)
    rate = f"false-positive rate {model.target_fpr if options.fpr is None else options.fpr:g}"
    few = f"{n} rows are too few to promise so low a rate, so nothing is called an anomaly"
    if options.fdr is not None:
        rate = f"false-discovery rate {options.fdr:g}"
        few = f"nothing is called an anomaly: too few rows score above the {n} {model.calibration_rows} rows"
    rows = {
        "rows": f"{summary.rows:,}",
        "anomalies": f"{summary.anomalies:,}  ({100 * summary.anomalies / summary.rows:.2f} %)",
        "threshold": f"{summary.threshold:.5g}  ({rate}, {n} {model.calibration_rows} rows)",
        "output": str(options.output),
    }
    lines = [f"  {name:<12}{value}" for name, value in rows.items()]
    if model.calibration_rows != "validation":
        lines.append(f"  warning: the threshold was set on {model.calibration_rows} rows, so its rate is not promised")
    if math.isinf(summary.threshold):
        lines.append(f"  warning: {few}")
    for name, count in summary.unknown.items():
        lines.append(f"  warning: column {name} holds {count:,} values that training did not know")
    return "\n".join([f"{model.card.get('method', 'model')} on {options.data}", *lines])


if __name__ == "__main__":
    main()
