"""``python -m sad_lightning.predict MODEL DATA``: score, p-value and decision of every row, batch by batch.

MODEL is a ``model.pt`` or the folder of a run. DATA is a csv, tsv, txt, parquet or npz for a model of tables, and a
folder of images, one image, or an npz with an array of images for a model of images. The output has one line for each
row: row number or file, the columns of ``--keep``, score (higher = more anomalous), p_value (lower = more anomalous)
and anomaly. Only an npz is read and written as a whole; otherwise memory does not grow with the number of rows.

The scores of several tables, of a pattern in quotes ('part-*.parquet'), of a folder of tables or of a partitioned data
set, on this machine or at an address (s3://..., gs://...), are a folder with one file for each part. After an
interruption the same command scores the remaining parts. ``--engine ray`` scores them on a Ray cluster.

The summary compares the rows with those of the training; ``sad_lightning.monitor`` draws that over time.
"""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from sad_lightning.checks import fraction
from sad_lightning.command import announce, command_frame, command_parser
from sad_lightning.data.own.parts import check_data, find_parts, is_many, place_of
from sad_lightning.data.schema import TableSchema
from sad_lightning.errors import InputError
from sad_lightning.files import model_file
from sad_lightning.predict.journal import Journal, file_digest
from sad_lightning.predict.opening import add_model, check_output, check_there, device_of, import_all
from sad_lightning.predict.output import SUFFIXES
from sad_lightning.predict.rows import IMAGE_ARRAYS

if TYPE_CHECKING:
    from sad_lightning.model import Model
    from sad_lightning.predict.scoring import PredictionSummary

_COLUMNS = ("row", "score", "p_value", "anomaly")  # of the output


def main() -> None:
    """Score the rows, and print a summary."""
    parser = command_parser("predict", __doc__, "model.pt new.csv --output scores.csv")
    add_model(parser)
    parser.add_argument("data", metavar="DATA", nargs="+", help="rows like those it was trained on")
    parser.add_argument("--output", type=Path, help="csv, parquet or npz (scores.csv); of several parts a folder")
    parser.add_argument("--format", choices=[suffix[1:] for suffix in SUFFIXES], help="of the scores of several parts")
    parser.add_argument("--fpr", type=float, help="false-positive rate of the decision; that of the training")
    parser.add_argument("--fdr", type=float, help="instead: the share of normal rows among the flagged, at most")
    parser.add_argument("--keep", nargs="+", default=[], metavar="COLUMN", help="columns to copy to the output")
    parser.add_argument("--ignore", nargs="+", default=[], metavar="COLUMN", help="columns that training did not have")
    parser.add_argument("--array", help=f"the images of an npz; the first there is of {', '.join(IMAGE_ARRAYS)}")
    parser.add_argument("--maps", type=Path, metavar="FOLDER", help="of images: write where each is anomalous, as PNG")
    parser.add_argument("--engine", choices=("here", "ray"), default="here", help="of several parts: what scores them")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ...; auto takes cuda where it is")
    options = parser.parse_args()
    with command_frame(
        "sad_lightning.predict", way_out="choose another with --output",
        interrupted="what was whole is written, and of several parts the same command goes on",
    ):  # fmt: skip
        several = _check(options)
        announce("importing torch")
        import_all(options.modules)
        from torch import set_num_threads  # takes seconds to import

        from sad_lightning.model import Model
        from sad_lightning.predict.scoring import Options, predict, predict_parts

        model = Model.load(options.model, device_of(options.device))
        if isinstance(model.preparation.schema, TableSchema):
            set_num_threads(1)  # its network is so small that threads only wait for each other
        how = Options(options.fpr, options.fdr, options.keep, options.ignore, options.array, options.maps)
        if several:
            run = {"model": file_digest(model_file(options.model)), "keep": options.keep}
            run |= {"fpr": options.fpr, "fdr": options.fdr}
            engine = None
            if options.engine == "ray":
                from sad_lightning.predict.ray import RayEngine

                engine = RayEngine(model_file(options.model), options.modules, options.device, how)
            summary = predict_parts(
                model, find_parts(options.data), options.output, how, Journal(options.output, run),
                f".{options.format}" if options.format else None, engine,
            )  # fmt: skip
        else:
            summary = predict(model, place_of(options.data[0]), options.output, how)
        print(_table(model, summary, options))
        if summary.parts[2]:
            raise InputError(
                f"{summary.parts[2]} of {summary.parts[0]} parts failed, each is named above; mend them, and the same "
                f"command scores what is left"
            )


def _check(options: argparse.Namespace) -> bool:
    """Refuse inputs that do not exist and an output that can not be written; returns whether DATA has several parts."""
    check_there(options.model)
    check_data(options.data)
    for key in ("fpr", "fdr"):
        if getattr(options, key) is not None:
            fraction(f"--{key}", getattr(options, key))
    if options.fpr is not None and options.fdr is not None:
        raise InputError("--fpr and --fdr: one of them decides, got both; leave one out")
    conflicts = [name for name in options.keep if name in _COLUMNS]
    if conflicts:
        raise InputError(f"--keep {conflicts[0]}: the output has a column of that name already; rename yours")
    several = is_many(options.data)
    if options.output is None:
        options.output = Path("scores" if several else f"scores.{options.format or 'csv'}")
    if several:
        if options.maps is not None:
            raise InputError("--maps is for one folder of images, got several files; give the folder that they are in")
        if options.output.suffix.lower() in SUFFIXES or options.output.is_file():
            raise InputError(
                f"--output={options.output}: must be a folder, for {' '.join(options.data)} is more than one file and "
                f"each has scores of its own; for example --output scores"
            )
        return True
    if options.engine != "here":
        raise InputError(f"--engine {options.engine} shares out files, and DATA is one; leave it out")
    if options.format is not None and options.output.suffix.lower() != f".{options.format}":
        raise InputError(
            f"--format {options.format} is of the scores of several files, and DATA is one; end --output in "
            f".{options.format} instead"
        )
    if options.output.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"--output={options.output}: must end in {', '.join(SUFFIXES)}; for example --output scores.csv"
        )
    if options.output.is_dir():
        raise InputError(f"--output={options.output}: must be a file, and is a folder; name a file in it")
    folder = options.model if options.model.is_dir() else options.model.parent
    own = [folder / name for name in ("scores.npz", "calibration.npz")]  # of the run that wrote the model
    check_output("--output", options.output, Path(options.data[0]), options.model, *own)
    return False


def _table(model: "Model", summary: "PredictionSummary", options: argparse.Namespace) -> str:
    """The summary in a few lines, for a person."""
    n = len(model.calibration)
    rate = f"false-positive rate {model.target_fpr if options.fpr is None else options.fpr:g}"
    few = f"{n} rows are too few to promise so low a rate, so nothing is called an anomaly"
    if options.fdr is not None:
        rate = f"false-discovery rate {options.fdr:g}"
        few = f"nothing is called an anomaly: too few rows score above the {n} {model.calibration_rows} rows"
    scored, (parts, before, failed) = summary.scored, summary.parts
    rows = (
        {"parts": f"{parts:,}  ({before:,} scored before, {failed:,} failed)"} if parts > 1 or before or failed else {}
    )
    if scored.rows:
        rows |= {"heat maps": str(options.maps)} if options.maps is not None else {}
        rows |= {
            "rows": f"{scored.rows:,}",
            "anomalies": f"{scored.anomalies:,}  ({100 * scored.anomalies / scored.rows:.2f} %)",
        }
    rows |= {
        "threshold": f"{_number(scored.threshold)}  ({rate}, {n} {model.calibration_rows} rows)",
        **(dict(summary.comparison.text()) if summary.comparison else {}),
        "output": str(options.output),
    }
    lines = [f"  {name:<12}{value}" for name, value in rows.items()]
    if not model.held_out:
        lines.append(f"  warning: the threshold was set on {model.calibration_rows} rows, so its rate is not promised")
    if math.isinf(scored.threshold):
        lines.append(f"  warning: {few}")
    for name, count in scored.unknown.items():
        lines.append(f"  warning: column {name} holds {count:,} values that training did not know")
    if summary.comparison:
        lines += [f"  warning: {words}" for words in summary.comparison.warnings()]
    return "\n".join([f"{model.card.get('method', 'model')} on {' '.join(options.data)}", *lines])


def _number(threshold: float) -> str:
    return "of each part" if math.isnan(threshold) else f"{threshold:.5g}"


if __name__ == "__main__":
    main()
