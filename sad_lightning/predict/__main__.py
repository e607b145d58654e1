"""``python -m sad_lightning.predict MODEL DATA``: score, p-value and decision of every row, batch by batch.

MODEL is a ``model.pt`` or the folder of a run; DATA a csv, tsv, txt, parquet or npz for a model of tables, and a folder
of images, one image, or an npz with an array of them for a model of images. The output has a line a row: which
row or file, what ``--keep`` names, score (higher = more anomalous), p_value (small = more anomalous) and anomaly.
Memory does not grow with the rows, but for an npz, which is read and written whole.
"""

import argparse
import os
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sad_lightning.checks import choice, fraction
from sad_lightning.data.arrays import read_npz_all
from sad_lightning.data.own.image_folder import image_files, read_images
from sad_lightning.data.own.reading import SUFFIXES, count_rows, raw_rows, read_batches
from sad_lightning.data.own.values import listed
from sad_lightning.data.schema import ImageSchema, Schema, TableSchema
from sad_lightning.errors import InputError
from sad_lightning.files import whole_file

if TYPE_CHECKING:
    import torch

    from sad_lightning.model import Model

Columns = dict[str, NDArray[Any]]
_IMAGES = ("images", "test_images")  # the arrays of an npz that are looked for
_FOUND = ("row", "score", "p_value", "anomaly")  # what the output holds of each row
_ROWS = 1 << 13  # that the network sees at a time


@dataclass(frozen=True)
class Told:
    """What a prediction came to.

    Attributes:
        rows: how many.
        anomalies: how many were called so.
        threshold: above which they were.
        unknown: by column, how many values are no word that training knew.
    """

    rows: int
    anomalies: int
    threshold: float
    unknown: dict[str, int]


def main() -> None:
    """Run; a mistake of the user's is one line on stderr and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m sad_lightning.predict", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL", type=Path)
    parser.add_argument("data", metavar="DATA", type=Path)
    parser.add_argument("--output", type=Path, default=Path("scores.csv"), help="csv, parquet or npz; scores.csv")
    parser.add_argument("--fpr", type=float, help="false-positive rate of the decision; that of the training")
    parser.add_argument("--keep", nargs="+", default=[], metavar="COLUMN", help="columns to copy to the output")
    parser.add_argument("--ignore", nargs="+", default=[], metavar="COLUMN", help="columns that training did not have")
    parser.add_argument("--array", help=f"the images of an npz; the first there is of {', '.join(_IMAGES)}")
    parser.add_argument("--import", dest="modules", nargs="+", default=[], help="modules that define your own methods")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ...; auto takes cuda where it is")
    arguments = parser.parse_args()
    try:
        _refuse(arguments)
        import_all(arguments.modules)
        from torch import set_num_threads  # takes seconds to import

        from sad_lightning.model import FILE, Model

        path = arguments.model / FILE if arguments.model.is_dir() else arguments.model
        model = Model.load(path, device_of(arguments.device))
        if isinstance(model.preparation.schema, TableSchema):
            set_num_threads(1)  # its network is so small that threads only wait for each other
        told = predict(
            model, arguments.data, arguments.output,
            fpr=arguments.fpr, keep=arguments.keep, ignore=arguments.ignore, array=arguments.array,
        )  # fmt: skip
        print(_table(model, told, arguments))
    except (InputError, KeyboardInterrupt) as error:
        print(f"sad_lightning.predict: {str(error) or 'interrupted; nothing was written'}", file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 130)
    except BrokenPipeError:  # the reader of what is printed went away; the scores are written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        made = isinstance(error, FileExistsError)  # a file where the output's folder should be
        read = error.filename in {str(arguments.model), str(arguments.data)} and not made
        place = error.filename if read else arguments.output
        way_out = "give another" if read else "choose another with --output"
        print(f"sad_lightning.predict: {place}: {reason}; {way_out}", file=sys.stderr)
        sys.exit(2)


def predict(
    model: "Model",
    data: Path,
    output: Path,
    *,
    fpr: float | None = None,
    keep: Sequence[str] = (),
    ignore: Sequence[str] = (),
    array: str | None = None,
) -> Told:
    """Score every row of a file and write what was found: whole, or not at all.

    Args:
        model: on the device that it computes on.
        data: of the kind that the model was trained on.
        output: csv, parquet or npz.
        fpr: the false-positive rate of the decision; None for the one that the model stores.
        keep: columns of a table to copy to the output.
        ignore: columns of a table that training did not have.
        array: the array of an npz of images.

    Raises:
        InputError: the data does not fit the model, or the output can not be written so.
    """
    import torch
    from tqdm import tqdm

    threshold = model.threshold if fpr is None else model.threshold_at(fpr)
    schema = model.preparation.schema
    unknown: dict[str, int] = {}
    total, batches = raw_batches(data, schema, unknown, keep=keep, ignore=ignore, array=array)
    rows = anomalies = 0
    with _writer(output) as write, tqdm(total=total, unit="row", unit_scale=True, disable=None) as bar, torch.no_grad():
        for columns, raw in batches:
            parts = torch.split(torch.from_numpy(raw), _ROWS)
            scores = torch.cat([_scores(model, part) for part in parts]) if len(raw) else torch.empty(0).double()
            refuse_infinite(data, *next(iter(columns.items())), scores.cpu().numpy())
            flagged = model.decide(scores, fpr)
            found = {"score": scores, "p_value": model.p_value(scores), "anomaly": flagged}
            write(columns | {name: value.cpu().numpy() for name, value in found.items()})
            rows, anomalies = rows + len(raw), anomalies + int(flagged.sum())
            bar.update(len(raw))
        if not rows:
            raise InputError(f"{data}: must hold at least one row, it holds none")
    return Told(rows, anomalies, threshold, unknown)


def device_of(name: str) -> "torch.device":
    """The device of a name; ``auto`` takes cuda where it is.

    Raises:
        InputError: there is no such device.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        zero = torch.zeros(1, device=name)
        zero.cpu()  # from meta there is no way back
        return zero.device
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device must be one that is there, got {name!r}; cpu always is") from error


def _scores(model: "Model", raw: "torch.Tensor") -> "torch.Tensor":
    """``(B,)`` float64."""
    return model.score(model.prepare(raw.to(model.calibration.device))).double()


def refuse_infinite(data: Path, kind: str, names: NDArray[Any], scores: NDArray[np.float64]) -> None:
    """Say which row has a score that is no number.

    Args:
        data: where the rows come from.
        kind: of the names: row or file.
        names: ``(B,)``.
        scores: ``(B,)``.

    Raises:
        InputError: one has.
    """
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise InputError(
            f"{data}: {kind} {names[bad[0]]}{more}: must hold values that the network can take, the score is not "
            f"finite; mend it or leave it out"
        )


def import_all(modules: Sequence[str]) -> None:
    """Import the modules that define one's own methods.

    Raises:
        InputError: one can not be imported.
    """
    for name in modules:
        try:
            import_module(name)
        except ImportError as error:
            raise InputError(f"--import {name}: {error}; run from the folder that holds it") from error
        except Exception as error:  # whatever somebody's module does
            raise InputError(f"--import {name}: {type(error).__name__}: {error}; mend it") from error


def _refuse(arguments: argparse.Namespace) -> None:
    choice("--output: its ending", arguments.output.suffix.lower(), (".csv", ".parquet", ".npz"))
    if arguments.fpr is not None:
        fraction("--fpr", arguments.fpr)
    taken = [name for name in arguments.keep if name in _FOUND]
    if taken:
        raise InputError(f"--keep {taken[0]}: the output has a column of that name already; rename yours")
    if arguments.output.is_dir():
        raise InputError(f"--output={arguments.output}: must be a file, and is a folder; name a file in it")
    folder = arguments.model if arguments.model.is_dir() else arguments.model.parent
    own = [folder / name for name in ("scores.npz", "calibration.npz")]  # of the run that left the model
    for path in (arguments.data, arguments.model, *own):
        if path.exists() and path.resolve() == arguments.output.resolve():
            raise InputError(
                f"--output={arguments.output}: must be another file than what is read or the run left; choose another"
            )


def raw_batches(
    data: Path,
    schema: Schema,
    unknown: dict[str, int],
    *,
    keep: Sequence[str] = (),
    ignore: Sequence[str] = (),
    array: str | None = None,
) -> tuple[int | None, Iterator[tuple[Columns, NDArray[Any]]]]:
    """How many rows there are, where that is known, and the raw rows with what names them, ``row`` from 1 or ``file``.

    Args:
        data: a table, a folder of images, an image, or an npz.
        schema: of the rows.
        unknown: told how many values of each column are no category.
        keep: columns of a table to copy.
        ignore: columns of a table that training did not have.
        array: the array of an npz of images.

    Raises:
        InputError: the data can not be read, or does not fit.
    """
    if isinstance(schema, TableSchema):
        return count_rows(data), _table_batches(data, schema, keep, ignore, unknown)
    return _image_batches(data, schema, keep, ignore, array)


def _table_batches(
    data: Path, schema: TableSchema, keep: Sequence[str], ignore: Sequence[str], unknown: dict[str, int]
) -> Iterator[tuple[Columns, NDArray[np.float32]]]:
    first = 1
    for table in read_batches(data, schema, keep=keep, ignore=ignore):
        raw, strange = raw_rows(data, table, schema, first)
        for name, count in strange.items():
            unknown[name] = unknown.get(name, 0) + count
        columns: Columns = {"row": np.arange(first, first + len(raw))}
        yield columns | {name: table[name].as_words().texts() for name in keep}, raw
        first += len(raw)


def _image_batches(
    data: Path, schema: ImageSchema, keep: Sequence[str], ignore: Sequence[str], array: str | None
) -> tuple[int, Iterator[tuple[Columns, NDArray[np.uint8]]]]:
    if keep or ignore:
        raise InputError(f"--keep and --ignore name columns, and {data} holds images; leave them out")
    if data.suffix.lower() != ".npz":
        if data.suffix.lower() in SUFFIXES:
            raise InputError(
                f"{data}: must be images, as in training, it is a table; give a folder, an image or an npz"
            )
        files = image_files(data) if not data.is_file() else [data]
        names = np.array([_spelt(file.relative_to(data) if data.is_dir() else file) for file in files])
        return len(files), _with(names, "file", read_images(files, schema))
    arrays = read_npz_all(data)
    name = array if array is not None else next((each for each in _IMAGES if each in arrays), "")
    if name not in arrays:
        raise InputError(f"{data}: must hold an array of images, it holds {listed(list(arrays))}; name it with --array")
    images = arrays[name][..., None] if arrays[name].ndim == 3 else arrays[name]
    shape = (schema.height, schema.width, schema.channels)
    if images.shape[1:] != shape or images.dtype != np.uint8:
        raise InputError(
            f"{data}: {name} must be (N, {', '.join(map(str, shape))}) uint8, as in training, got {images.shape} "
            f"{images.dtype}; resize it"
        )
    parts = (images[start : start + _ROWS].astype(np.uint8) for start in range(0, len(images), _ROWS))
    return len(images), _with(np.arange(1, len(images) + 1), "row", parts)


def _spelt(path: Path) -> str:
    """The path in UTF-8, also where its bytes are something else."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _with(
    names: NDArray[Any], key: str, parts: Iterator[NDArray[np.uint8]]
) -> Iterator[tuple[Columns, NDArray[np.uint8]]]:
    first = 0
    for part in parts:
        yield {key: names[first : first + len(part)]}, part
        first += len(part)


@contextmanager
def _writer(path: Path) -> Iterator[Callable[[Columns], None]]:
    """What takes the columns, batch by batch; the file is there when the block ends well."""
    kept: list[Columns] = []
    opened: list[Any] = []
    with whole_file(path) as part:
        if path.suffix.lower() == ".npz":
            yield kept.append
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:  # np.savez takes no array called file
                for name in kept[0]:
                    values = np.concatenate([each[name] for each in kept])
                    if values.dtype == object:  # words, None where missing
                        values = np.array(["" if value is None else value for value in values])
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                        np.lib.format.write_array(file, values, allow_pickle=False)
            return
        try:
            import pyarrow
            from pyarrow import csv, parquet
        except ImportError as error:
            raise InputError(
                f"{path}: CSV and parquet are written by pyarrow, which is not there; pip install "
                f"'sad_lightning[table]', or choose --output scores.npz"
            ) from error

        def write(columns: Columns) -> None:
            table = pyarrow.table(columns)
            if not opened:
                kind = csv.CSVWriter if path.suffix.lower() == ".csv" else parquet.ParquetWriter
                opened.append(kind(part, table.schema))
            opened[0].write_table(table)

        try:
            yield write
        finally:
            for writer in opened:
                writer.close()


def _table(model: "Model", told: Told, arguments: argparse.Namespace) -> str:
    """A few lines for a person."""
    fpr = model.target_fpr if arguments.fpr is None else arguments.fpr
    n = len(model.calibration)
    rows = {
        "rows": f"{told.rows:,}",
        "anomalies": f"{told.anomalies:,}  ({100 * told.anomalies / told.rows:.2f} %)",
        "threshold": f"{told.threshold:.5g}  (false-positive rate {fpr:g}, {n} {model.calibration_rows} rows)",
        "output": str(arguments.output),
    }
    lines = [f"  {name:<12}{value}" for name, value in rows.items()]
    if model.calibration_rows != "validation":
        lines.append(f"  warning: the threshold was set on {model.calibration_rows} rows, so its rate is not promised")
    if np.isinf(told.threshold):
        lines.append(f"  warning: {n} rows are too few to promise so low a rate, so nothing is called an anomaly")
    for name, count in told.unknown.items():
        lines.append(f"  warning: column {name} holds {count:,} values that training did not know")
    return "\n".join([f"{model.card.get('method', 'model')} on {arguments.data}", *lines])


if __name__ == "__main__":
    main()
