"""Tables from files, whole or in batches: CSV and parquet by pyarrow (the extra ``table``), npz by numpy.

CSV: a header line; the delimiter is the one of ``, ; tab |`` that is most frequent in the header outside quotes; a
field that is empty, NA, NaN, null or the like is missing. npz: ``X`` holds ``(N, D)`` numbers, and ``columns`` their
names, by default x0, x1, ...; every other array of N values is a column of its own name. Words of any type are spelt as
a CSV spells them.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.arrays import read_npz_all
from sad_lightning.data.own.address import Place
from sad_lightning.data.own.arrow import BLOCK, ROWS, ArrowFile, arrow_values
from sad_lightning.data.own.times import time_values
from sad_lightning.data.own.values import (
    FRAME,
    NOT_TEXT,
    Table,
    Values,
    check_names_once,
    ignoring,
    listed,
    not_categorical,
    spell,
    spell_date,
)
from sad_lightning.data.schema import Dialect, TableSchema, TextSchema
from sad_lightning.errors import InputError

SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".csv.gz", ".parquet", ".npz")
_PLAIN = Dialect()
_NONE: Mapping[str, str] = {}


def read_table(
    path: Place, words: Collection[str] = (), ignore: Collection[str] = (), dialect: Dialect = _PLAIN
) -> Table:
    """All rows of a csv, tsv, txt, parquet or npz.

    Columns in ``words`` are words even if they look like numbers; of those in ``ignore`` all values are missing.

    Raises:
        InputError: the file is not there, damaged, empty, or has no header, or a column can not be words.
    """
    if suffix_of(path) == ".npz":
        return without_missing(_npz_table(path, words, ignore), dialect)
    out = set(ignore) - set(words)
    arrow = ArrowFile(path, dialect)
    arrow.number(out)
    check_names_once(path, arrow.names, out)
    table = arrow.whole([name for name in arrow.names if name not in out], words)
    if not table.num_rows:
        raise InputError(f"{path}: must hold at least one row, it holds none")
    columns = {
        name: _not_read(table.num_rows)
        if name in out
        else arrow_values(path, name, table.column(name).combine_chunks(), as_words=name in words)
        for name in arrow.names
    }
    return without_missing(columns, dialect)


def read_batches(
    path: Place,
    schema: TableSchema | TextSchema,
    *,
    keep: Sequence[str] = (),
    ignore: Sequence[str] = (),
    constant: Mapping[str, str] = _NONE,
    group: int | None = None,
) -> Iterator[Table]:
    """The columns of a schema, batch by batch; only an npz is read into memory as a whole.

    Args:
        path: csv, tsv, txt, parquet or npz.
        schema: names the columns.
        keep: further columns, as words.
        ignore: columns that the file may have too, besides those in ``schema.aside``.
        constant: columns that are not in the file and have one value, which the folders of a partitioned data set name.
        group: the row group of a parquet that is read; None for all.

    Raises:
        InputError: a column is missing or not known, or a value is not what its column holds.
    """
    kinds = dict.fromkeys(keep, "category")
    kinds |= {column.name: "category" if column.is_text else column.kind for column in schema.columns}
    words = {name for name, kind in kinds.items() if kind == "category"}
    fixed = {name: value for name, value in constant.items() if name in kinds}
    if suffix_of(path) == ".npz":
        table = _npz_table(path, words)
        check_columns(path, [*table, *fixed], schema, keep, ignore)
        rows = len(next(iter(table.values())).numbers)
        table = without_missing(table, schema.dialect) | _repeated(fixed, kinds, rows)
        for start in range(0, rows, ROWS):
            part = slice(start, start + ROWS)
            yield {name: replace(values, numbers=values.numbers[part]) for name, values in table.items()}
        return
    arrow = ArrowFile(path, schema.dialect)
    out = {*schema.aside, *ignore} - set(keep)
    arrow.number(out)
    check_names_once(path, arrow.names, out, "--ignore")
    fixed = {name: value for name, value in fixed.items() if name not in arrow.names}
    check_columns(path, [*arrow.names, *fixed], schema, keep, ignore)
    for batch in arrow.batches({name: kind for name, kind in kinds.items() if name not in fixed}, group):
        columns = {
            name: arrow_values(path, name, batch.column(name), as_words=name in words) for name in batch.schema.names
        }
        yield without_missing(columns, schema.dialect) | _repeated(fixed, kinds, batch.num_rows)


def _repeated(fixed: Mapping[str, str], kinds: Mapping[str, str], rows: int) -> Table:
    """Columns in which all values are equal."""
    table = {}
    for name, value in fixed.items():
        word = Values.categories(np.zeros(rows), [value])
        number = {"true": 1.0, "false": 0.0}.get(spell(value))
        try:
            number = float(value) if number is None else number
        except ValueError:
            number = None
        is_word = kinds[name] == "category" or number is None
        table[name] = word if is_word else Values(kinds[name], np.full(rows, number, dtype=np.float64))
    return table


def without_missing(table: Table, dialect: Dialect) -> Table:
    """The table with NaN for every value that the dialect calls missing."""
    if dialect.infinite == "missing":
        table = {
            name: replace(values, numbers=np.where(np.isinf(values.numbers), np.nan, values.numbers))
            if values.kind == "number"
            else values
            for name, values in table.items()
        }
    return {name: _without(values, dialect.missing_values) for name, values in table.items()}


def _without(values: Values, missing: Sequence[str]) -> Values:
    """Categories without the words that mean missing."""
    if values.kind != "category" or not (out := {spell(word) for word in missing} & set(values.words)):
        return values
    words = tuple(word for word in values.words if word not in out)
    codes = np.array([*(float(words.index(word)) if word in words else np.nan for word in values.words), np.nan])
    return Values("category", codes[values.positions], words)


def raw_rows(
    path: Place, table: Table, schema: TableSchema, first: int = 0
) -> tuple[NDArray[np.float32], dict[str, int]]:
    """Raw rows of a schema, ``(n, C)`` float32, and by column how many values are unknown categories or no time stamps.

    The table has all columns of the schema; ``first`` is the number of its first row, for errors.

    Raises:
        InputError: a value is infinite, or missing where the schema refuses that, or a column is of another kind.
    """
    raw = np.empty((len(table[schema.names[0]].numbers), len(schema.columns)), dtype=np.float32)
    unknown = {}
    for position, column in enumerate(schema.columns):
        values = table[column.name]
        values = values.as_words() if column.is_text else values
        kind = "category" if column.is_text else column.kind
        if values.kind not in (kind, "number" if kind == "boolean" else kind):
            raise InputError(
                f"{path}: column {column.name} must hold {_PLURAL[column.kind]}, as in training, it holds "
                f"{_PLURAL.get(values.kind, values.kind)}; mend the file"
            )
        numbers = values.numbers
        if column.kind == "boolean" and not (known := np.isnan(numbers) | np.isin(numbers, (0, 1))).all():
            row = int(known.argmin())
            raise InputError(
                f"{path}: column {column.name} must hold true and false, as in training, it holds {numbers[row]:g} in "
                f"row {first + row}; mend the file"
            )
        if column.kind == "time":
            numbers, unknown[column.name] = time_values(str(path), values, column)
        if column.kind in ("category", "hash"):
            present, numbers = ~np.isnan(numbers), np.append(column.codes(values.words), np.nan)[values.positions]
            unknown[column.name] = int((np.isnan(numbers) & present).sum())
        with np.errstate(over="ignore"):
            raw[:, position] = numbers - column.center if column.center else numbers
        _check_finite(path, column.name, raw[:, position], numbers, first)
        if schema.missing == "refuse" and np.isnan(numbers).any() and column.kind not in ("category", "hash"):
            row = first + int(np.isnan(numbers).argmax())
            raise InputError(
                f"{path}: column {column.name} must have a value in every row (data.missing=refuse), it has none in "
                f"row {row}; fill it in, or train with data.missing=median"
            )
    return raw, {name: count for name, count in unknown.items() if count}


def text_rows(values: Values, schema: TextSchema) -> NDArray[np.float32]:
    """The raw rows of a column of texts, ``(n, length + 2)``; a missing text has no word."""
    rows: NDArray[np.float32] = schema.encode([*values.words, ""])[values.positions]
    return rows


_PLURAL = {
    "number": "numbers",
    "boolean": "true and false",
    "category": "words",
    "hash": "words",
    "time": "time stamps",
}


def _check_finite(
    path: Place, name: str, values: NDArray[np.float32], numbers: NDArray[np.float64], first: int
) -> None:
    infinite = np.isinf(values)
    if infinite.any():
        row = int(infinite.argmax())
        mend = "mend it" if path == FRAME else "mend the file, or train with data.infinite=missing"
        raise InputError(
            f"{path}: column {name} must hold finite numbers, below 3e38, it holds {numbers[row]:g} in row "
            f"{first + row}; {mend}, or leave it out with {ignoring(path, [name])}"
        )


def check_columns(
    path: Place,
    names: Sequence[str],
    schema: TableSchema | TextSchema,
    keep: Sequence[str] = (),
    ignore: Sequence[str] = (),
) -> None:
    """Refuse columns that are not those of the training.

    Those to keep must be there besides; those to ignore may be, as those in ``schema.aside`` may.

    Raises:
        InputError: one is missing, not known, or to be ignored although it is of the training.
    """
    needed = [name for name in ignore if name in schema.names]
    if needed:
        raise InputError(f"--ignore {needed[0]!r}: training had this column, and every row needs it; leave it out")
    present, known = {*names}, {*schema.names, *schema.aside, *keep, *ignore}
    missing = [name for name in (*schema.names, *keep) if name not in present]
    if missing:
        raise InputError(
            f"{path}: must hold the columns of the training, by name; missing: {listed(missing)}; it holds "
            f"{listed(names)}; add or rename them"
        )
    unknown = [name for name in names if name not in known]
    if unknown:
        option = f"--ignore {unknown[0]!r}, or copy it to the output with --keep {unknown[0]!r}"
        out = ignoring(path, unknown) if path == FRAME else option
        raise InputError(
            f"{path}: must hold no column that the training did not have; unknown: {listed(unknown)}; leave it out "
            f"with {out}"
        )


def count_rows(path: Place) -> int | None:
    """How many rows a file holds, for a progress bar: for a CSV its lines; None if the whole file had to be unpacked.

    Raises:
        InputError: the file is not there or damaged.
    """
    suffix = suffix_of(path)
    if suffix in (".npz", ".csv.gz"):
        return None
    if suffix == ".parquet":
        return int(ArrowFile(path).parquet_file().metadata.num_rows)
    if not isinstance(path, Path):
        return None
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(BLOCK), b"")) - 1


def suffix_of(path: Place) -> str:
    """The ending of a table's name, in lower case.

    Raises:
        InputError: there is no such file, or it has another ending.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such file; give the path of one that is there")
    if path.is_dir():
        raise InputError(f"{path}: must be a file, it is a folder; data=folder reads images from a folder")
    if isinstance(path, Path) and not path.is_file():
        raise InputError(f"{path}: must be a file, it is a pipe, a socket or a device; write its rows to a file")
    suffix = "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: must end in one of {', '.join(SUFFIXES)}, got {suffix!r}; convert the file")
    return suffix


def _not_read(n: int) -> Values:
    return Values("values that are not read", np.full(n, np.nan))


def _npz_table(path: Place, words: Collection[str] = (), ignore: Collection[str] = ()) -> Table:
    if not isinstance(path, Path):
        raise InputError(f"{path}: an npz is read from this machine alone; copy it here, or write parquet")
    arrays = read_npz_all(path)
    x = arrays.get("X")
    if x is None or x.ndim != 2 or x.dtype.kind not in "fiub" or not x.size:
        contents = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise InputError(
            f"{path}: must hold X, (N, D) numbers with at least one row, it holds {contents}; see docs/own_data.md"
        )
    x = x.astype(np.uint8) if x.dtype.kind == "b" else x  # booleans are numbers here
    names = _as_text(arrays.get("columns", np.array([f"x{k}" for k in range(x.shape[1])]))).reshape(-1)
    if len(names) != x.shape[1]:
        raise InputError(f"{path}: columns must name the {x.shape[1]} columns of X, it holds {len(names)} names")
    columns = [(str(name), x[:, k]) for k, name in enumerate(names)]
    columns += [(n, a.reshape(-1)) for n, a in arrays.items() if n not in ("X", "columns") and a.size == len(x)]
    check_names_once(path, [name for name, _ in columns])
    out = set(ignore) - set(words)
    return {
        name: _not_read(len(x)) if name in out else _npz_values(path, name, array, as_words=name in words)
        for name, array in columns
    }


def _npz_values(path: Place, name: str, array: NDArray[Any], *, as_words: bool) -> Values:
    if as_words and array.dtype.kind in "iu":
        return Values.of_numbers(array)
    if array.dtype.kind in "fiub":
        values = Values("boolean" if array.dtype.kind == "b" else "number", array.astype(np.float64))
        return values.as_words() if as_words else values
    if array.dtype.kind == "M":
        array = np.array(["" if text == "NaT" else spell_date(text) for text in np.datetime_as_string(array).tolist()])
    array = _as_text(array)
    if array.dtype.kind == "U":
        words, positions = np.unique(array[array != ""], return_inverse=True)
        codes = np.full(len(array), np.nan)
        codes[array != ""] = positions
        return Values.categories(codes, words.tolist())
    contents = {"m": "durations", "S": NOT_TEXT}.get(array.dtype.kind, str(array.dtype))
    if as_words:
        raise not_categorical(path, name, contents)
    return Values(contents, np.full(len(array), np.nan))


def _as_text(array: NDArray[Any]) -> NDArray[Any]:
    """Bytes as text, where they are UTF-8; other arrays unchanged."""
    try:
        return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
    except UnicodeDecodeError:
        return array
