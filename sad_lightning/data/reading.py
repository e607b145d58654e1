"""Tables from files, whole or in batches: CSV and parquet by pyarrow (the extra ``table``), npz by numpy.

CSV: a header line; the delimiter is the one of ``, ; tab |`` that the header holds most outside quotes; missing is an
empty field or NA, NaN, null and their like. npz: ``X`` of ``(N, D)`` numbers, their names in ``columns`` where it is
there, else x0, x1, ...; every other array of N values is a column by its own name. Words of any type are spelt as a
CSV spells them.
"""

import csv
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.arrays import read_npz_all
from sad_lightning.data.schema import TableSchema
from sad_lightning.errors import InputError

_BLOCK = 1 << 23  # bytes of a CSV, at a time
_ROWS = 1 << 16  # of anything else
_HEADER = 1 << 16  # characters, that a header of several lines may have
_QUOTED = r'(?<![^,;\t|])"(?:[^"]|"")*"'  # where a field begins, or it is a character as any other
_LINE = re.compile(rf"(?:{_QUOTED}|[^\n])*")
_DATE = re.compile(r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([ T]\d{1,2}:\d{2}.*)?")
_NOT_TEXT = "text that is not UTF-8"
SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".npz")


@dataclass(frozen=True)
class Values:
    """One column of some rows.

    Attributes:
        kind: ``number``, ``boolean``, ``category``, or what it is where it can not be used, such as ``date``.
        numbers: ``(n,)``, the position in ``words`` for categories; NaN where missing.
        words: the categories.
    """

    kind: str
    numbers: NDArray[np.float64]
    words: tuple[str, ...] = ()

    @classmethod
    def categories(cls, codes: NDArray[np.float64], words: Sequence[object]) -> "Values":
        """Categories from positions in a list of words, which may hold one in several spellings."""
        spelt = [word(value) for value in words]
        known = tuple(sorted(set(spelt)))
        code = {name: float(number) for number, name in enumerate(known)}
        position = np.array([*(code[name] for name in spelt), np.nan])
        return cls("category", position[np.where(np.isnan(codes), len(spelt), codes).astype(np.int64)], known)

    @classmethod
    def of_numbers(cls, numbers: NDArray[Any]) -> "Values":
        """Categories from numbers, ``(n,)``, whole ones to the last digit; NaN is missing."""
        present = ~np.isnan(numbers)
        found, positions = np.unique(numbers[present], return_inverse=True)
        codes = np.full(len(numbers), np.nan)
        codes[present] = positions
        return cls.categories(codes, found.tolist())

    def as_words(self) -> "Values":
        """Numbers and booleans as categories: 1.0 is the word 1, and true is true."""
        if self.kind == "boolean":
            return replace(self, kind="category", words=("false", "true"))
        return Values.of_numbers(self.numbers) if self.kind == "number" else self

    def texts(self) -> NDArray[np.object_]:
        """The words, ``(n,)``, None where missing."""
        texts = np.array([*self.words, None], dtype=object)
        return texts[np.where(np.isnan(self.numbers), len(self.words), self.numbers).astype(np.int64)]


Table = dict[str, Values]


def word(value: object) -> str:
    """A value as a label is compared: 1.0 is 1, True is true, and spaces around do not count."""
    text = str(value).strip()
    text = re.sub(r"^(-?\d+)\.0+$", r"\1", text)
    return text.lower() if text.lower() in ("true", "false") else text


def read_table(path: Path, words: Collection[str] = (), ignore: Collection[str] = ()) -> Table:
    """All rows of a file.

    Args:
        path: csv, tsv, txt, parquet or npz.
        words: columns whose values are words, whatever they look like, spelt as a CSV spells them.
        ignore: other columns whose values are not read; they are there, and hold nothing.

    Raises:
        InputError: the file is not there, damaged, empty, or has no header, or a column can not be words.
    """
    if _suffix(path) == ".npz":
        return _npz_table(path, words, ignore)
    arrow = _Arrow(path)
    out = set(ignore) - set(words)
    table = arrow.whole([name for name in arrow.names if name not in out], words)
    if not table.num_rows:
        raise InputError(f"{path}: must hold at least one row, it holds none")
    return {
        name: _not_read(table.num_rows)
        if name in out
        else arrow.values(name, table.column(name).combine_chunks(), as_words=name in words)
        for name in arrow.names
    }


def read_batches(
    path: Path, schema: TableSchema, *, keep: Sequence[str] = (), ignore: Sequence[str] = ()
) -> Iterator[Table]:
    """The columns of a schema, batch by batch, in memory that does not grow with the file (but for an npz).

    Args:
        path: csv, tsv, txt, parquet or npz.
        schema: whose columns.
        keep: further columns, as words.
        ignore: columns that may be there too, beside those that training left aside.

    Raises:
        InputError: a column is missing or not known, or a value is not what its column holds.
    """
    kinds = {**dict.fromkeys(keep, "category"), **{column.name: column.kind for column in schema.columns}}
    words = {name for name, kind in kinds.items() if kind == "category"}
    if _suffix(path) == ".npz":
        table = _npz_table(path, words)
        _check_names(path, list(table), schema, keep, ignore)
        for start in range(0, len(table[schema.names[0]].numbers), _ROWS):
            rows = slice(start, start + _ROWS)
            yield {name: replace(values, numbers=values.numbers[rows]) for name, values in table.items()}
        return
    arrow = _Arrow(path)
    _check_names(path, arrow.names, schema, keep, ignore)
    for batch in arrow.batches(kinds):
        yield {name: arrow.values(name, batch.column(name), as_words=name in words) for name in batch.schema.names}


def raw_rows(
    path: Path, table: Table, schema: TableSchema, first: int = 0
) -> tuple[NDArray[np.float32], dict[str, int]]:
    """Raw rows of a schema, ``(n, C)`` float32, and how many values of each column are no category it knows.

    Args:
        path: named in errors.
        table: with all columns of the schema.
        schema: of the rows.
        first: the number of the first row, for errors.

    Raises:
        InputError: a value is infinite, or missing where the schema refuses that, or a column is of another kind.
    """
    raw = np.empty((len(table[schema.names[0]].numbers), len(schema.columns)), dtype=np.float32)
    unknown = {}
    for position, column in enumerate(schema.columns):
        values = table[column.name]
        values = values.as_words() if column.kind == "category" else values
        if values.kind not in (column.kind, "number" if column.kind == "boolean" else column.kind):
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
        if column.kind == "category":
            code = {name: float(number) for number, name in enumerate(column.categories)}
            codes = np.array([*(code.get(name, np.nan) for name in values.words), np.nan])
            present = ~np.isnan(numbers)
            numbers = codes[np.where(present, numbers, len(values.words)).astype(np.int64)]
            unknown[column.name] = int((np.isnan(numbers) & present).sum())
        with np.errstate(over="ignore"):
            raw[:, position] = numbers
        _check_finite(path, column.name, raw[:, position], numbers, first)
        if schema.missing == "refuse" and np.isnan(numbers).any() and column.kind != "category":
            row = first + int(np.isnan(numbers).argmax())
            raise InputError(
                f"{path}: column {column.name} must have a value in every row (data.missing=refuse), it has none in "
                f"row {row}; fill it in, or train with data.missing=median"
            )
    return raw, {name: count for name, count in unknown.items() if count}


_PLURAL = {"number": "numbers", "boolean": "true and false", "category": "words"}


def _check_finite(path: Path, name: str, values: NDArray[np.float32], numbers: NDArray[np.float64], first: int) -> None:
    infinite = np.isinf(values)
    if infinite.any():
        row = int(infinite.argmax())
        raise InputError(
            f"{path}: column {name} must hold finite numbers, below 3e38, it holds {numbers[row]:g} in row "
            f"{first + row}; mend the file, or leave the column out with data.ignore=[{name}]"
        )


def _check_names(
    path: Path, there: Sequence[str], schema: TableSchema, keep: Sequence[str], ignore: Sequence[str]
) -> None:
    missing = [name for name in (*schema.names, *keep) if name not in there]
    if missing:
        raise InputError(
            f"{path}: must hold the columns of the training, by name; missing: {listed(missing)}; it holds "
            f"{listed(there)}; add or rename them"
        )
    unknown = [name for name in there if name not in {*schema.names, *schema.aside, *keep, *ignore}]
    if unknown:
        raise InputError(
            f"{path}: must hold no column that the training did not have; unknown: {listed(unknown)}; leave it out "
            f"with --ignore {unknown[0]!r}, or copy it to the output with --keep {unknown[0]!r}"
        )


def count_rows(path: Path) -> int | None:
    """How many rows a file holds, for a progress bar; of a CSV how many lines, and None for an npz.

    Raises:
        InputError: the file is not there or damaged.
    """
    suffix = _suffix(path)
    if suffix == ".npz":
        return None
    if suffix == ".parquet":
        arrow = _Arrow(path)
        return int(arrow.parquet.ParquetFile(path).metadata.num_rows)
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b"")) - 1


def listed(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    more = len(names) - 12
    return ", ".join(names[:12]) + (f" and {more} more" if more > 0 else "")


def _suffix(path: Path) -> str:
    if not path.exists():
        raise InputError(f"{path}: there is no such file; give the path of one that is there")
    if path.is_dir():
        raise InputError(f"{path}: must be a file, it is a folder; data=folder reads images from a folder")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: must end in one of {', '.join(SUFFIXES)}, got {suffix!r}; convert the file")
    return suffix


def _not_read(n: int) -> Values:
    return Values("values that are not read", np.full(n, np.nan))


def _npz_table(path: Path, words: Collection[str] = (), ignore: Collection[str] = ()) -> Table:
    arrays = read_npz_all(path)
    x = arrays.get("X")
    if x is None or x.ndim != 2 or x.dtype.kind not in "fiub" or not x.size:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "nothing"
        raise InputError(f"{path}: must hold X, (N, D) numbers with at least one row, it holds {found}; see the README")
    x = x.astype(np.uint8) if x.dtype.kind == "b" else x  # numbers, as the others
    names = _decoded(arrays.get("columns", np.array([f"x{k}" for k in range(x.shape[1])]))).reshape(-1)
    if len(names) != x.shape[1]:
        raise InputError(f"{path}: columns must name the {x.shape[1]} columns of X, it holds {len(names)} names")
    columns = [(str(name), x[:, k]) for k, name in enumerate(names)]
    columns += [(n, a.reshape(-1)) for n, a in arrays.items() if n not in ("X", "columns") and a.size == len(x)]
    _check_twice(path, [name for name, _ in columns])
    out = set(ignore) - set(words)
    return {
        name: _not_read(len(x)) if name in out else _npz_values(path, name, array, as_words=name in words)
        for name, array in columns
    }


def _npz_values(path: Path, name: str, array: NDArray[Any], *, as_words: bool) -> Values:
    if as_words and array.dtype.kind in "iu":
        return Values.of_numbers(array)
    if array.dtype.kind in "fiub":
        values = Values("boolean" if array.dtype.kind == "b" else "number", array.astype(np.float64))
        return values.as_words() if as_words else values
    if array.dtype.kind == "M" and as_words:
        array = np.array(["" if text == "NaT" else _moment(text) for text in np.datetime_as_string(array).tolist()])
    array = _decoded(array)
    if array.dtype.kind == "U":
        words, positions = np.unique(array[array != ""], return_inverse=True)
        codes = np.full(len(array), np.nan)
        codes[array != ""] = positions
        return Values.categories(codes, words.tolist())
    found = {"m": "date", "M": "date", "S": _NOT_TEXT}.get(array.dtype.kind, str(array.dtype))
    if as_words:
        raise _no_words(path, name, found)
    return Values(found, np.full(len(array), np.nan))


def _decoded(array: NDArray[Any]) -> NDArray[Any]:
    """Bytes as text, if they are text."""
    try:
        return np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array
    except UnicodeDecodeError:
        return array


def _moment(text: str) -> str:
    """A date or a time as most CSVs spell it: a space before the hour, and no fraction of zeros."""
    return re.sub(r"\.0+(?!\d)", "", text.replace("T", " "))


def _no_words(path: Path, name: str, found: str) -> InputError:
    return InputError(f"{path}: column {name} must hold words, numbers or dates, it holds {found}; write it as text")


def _check_twice(path: Path, names: Sequence[str]) -> None:
    for number, name in enumerate(names, start=1):
        if not name or name.startswith("__index_level_"):
            raise InputError(
                f"{path}: must name every column, column {number} has no name; it may be an index that was written too "
                f"(pandas: index=False); remove it, or name it and leave it out"
            )
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise InputError(f"{path}: must name every column once, {', '.join(twice)} stands there twice; rename one")


class _Arrow:
    """A CSV or parquet file, read by pyarrow.

    Args:
        path: of the file.

    Raises:
        InputError: pyarrow is not installed, the file is damaged, has no header, or names a column twice.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            import pyarrow.csv
            from pyarrow import parquet
        except ImportError as error:
            raise InputError(
                f"{path}: CSV and parquet are read by pyarrow, which is not there; pip install 'sad_lightning[table]', "
                f"or give an npz"
            ) from error
        self.path, self.pa, self.csv, self.parquet = path, pyarrow, pyarrow.csv, parquet
        self.is_csv = path.suffix.lower() != ".parquet"
        if self.is_csv:
            self.delimiter, self.names, self.lines = self._header()
        else:
            self.names = self._told(lambda: parquet.ParquetFile(path).schema_arrow.names)
        _check_twice(path, self.names)

    def whole(self, names: Sequence[str], words: Collection[str]) -> Any:
        """All rows of some columns, as an Arrow table."""
        if not self.is_csv:
            return self._told(lambda: self.parquet.ParquetFile(self.path).read(names))
        types = {name: self.pa.string() for name in words}
        return self._told(lambda: self.csv.read_csv(self.path, **self._options(types, names)))

    def batches(self, kinds: Mapping[str, str]) -> Iterator[Any]:
        """Some columns, batch by batch."""
        if self.is_csv:
            arrow = {"number": self.pa.float64(), "boolean": self.pa.bool_(), "category": self.pa.string()}
            options = self._options({name: arrow[kind] for name, kind in kinds.items()}, list(kinds))
            batches = self._told(lambda: self.csv.open_csv(self.path, **options))
        else:
            batches = self._told(lambda: self.parquet.ParquetFile(self.path).iter_batches(_ROWS, columns=list(kinds)))
        iterator = iter(batches)
        while (batch := self._told(lambda: next(iterator, None))) is not None:
            yield batch

    def values(self, name: str, column: Any, *, as_words: bool) -> Values:
        """One Arrow array.

        Raises:
            InputError: it can not be words.
        """
        types, kind = self.pa.types, column.type
        if types.is_dictionary(kind):
            return self.values(name, column.dictionary_decode(), as_words=as_words)
        if column.null_count == len(column):  # its type says nothing
            return Values("category" if as_words else "number", np.full(len(column), np.nan))
        exact = types.is_integer(kind) or types.is_decimal(kind)  # more digits than a float64 holds
        if types.is_boolean(kind) or types.is_floating(kind) or (exact and not as_words):
            numbers = column.cast(self.pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            values = Values("boolean" if types.is_boolean(kind) else "number", numbers.astype(np.float64, copy=False))
            return values.as_words() if as_words else values
        is_binary = re.match(r"(large_|fixed_size_)?binary", str(kind)) is not None
        is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
        spelt = self._spelt(column) if as_words or is_text or is_binary else None
        if spelt is not None:
            dates = not as_words and bool(spelt.words) and all(_DATE.fullmatch(value) for value in spelt.words[:100])
            return replace(spelt, kind="date") if dates else spelt
        found = "date" if types.is_temporal(kind) else _NOT_TEXT if is_binary else str(kind)
        if as_words:
            raise _no_words(self.path, name, found)
        return Values(found, np.full(len(column), np.nan))

    def _spelt(self, column: Any) -> Values | None:
        """Any type as categories; None where it has no words."""
        try:
            encoded = column.dictionary_encode()
            words = encoded.dictionary.cast(self.pa.string()).to_pylist()
        except self.pa.ArrowException:
            return None
        if self.pa.types.is_temporal(column.type):
            words = [_moment(text) for text in words]
        return Values.categories(encoded.indices.cast(self.pa.float64()).to_numpy(zero_copy_only=False), words)

    def _header(self) -> tuple[str, list[str], int]:
        """The delimiter, the names, and how many lines they take: a quoted name may hold delimiters and line breaks."""
        try:
            with open(self.path, encoding="utf-8-sig") as file:
                line = file.readline()
                if line.count('"') % 2:
                    line += file.read(_HEADER)
            line = next(_LINE.finditer(line))[0]
            delimiter = max(",;\t|", key=re.sub(_QUOTED, "", line).count)
            fields = next(csv.reader([line], delimiter=delimiter), [])
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(
                f"{self.path}: must be text in UTF-8 that begins with column names, but reading it fails; convert the "
                f"file"
            ) from error
        names = [re.sub(r"\s*\n\s*", " ", field.strip()) for field in fields]
        if not line.strip() or all(re.fullmatch(r"[-+.\d eE]*", name) for name in names):
            raise InputError(
                f"{self.path}: must begin with a line of column names, it begins with {line[:60]!r}; add one"
            )
        return delimiter, names, line.count("\n") + 1

    def _options(self, types: Mapping[str, Any], columns: Sequence[str] = ()) -> dict[str, Any]:
        return {
            "read_options": self.csv.ReadOptions(block_size=_BLOCK, column_names=self.names, skip_rows=self.lines),
            "parse_options": self.csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            "convert_options": self.csv.ConvertOptions(
                column_types=dict(types), include_columns=list(columns), strings_can_be_null=True
            ),
        }

    def _told(self, read: Any) -> Any:
        """What ``read`` gives; what pyarrow says of a file becomes one line."""
        try:
            return read()
        except (self.pa.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())[:300]
            column = re.match(r"In CSV column #(\d+): (?:Row #\d+: )?CSV conversion error to (\w+): (.*)", reason)
            if column:
                kind = {"double": "numbers", "bool": "true and false"}.get(column[2], column[2])
                raise InputError(
                    f"{self.path}: column {self.names[int(column[1])]} must hold {kind}, as in training, but "
                    f"{column[3]}; mend the file"
                ) from error
            raise InputError(
                f"{self.path}: must be a whole {'CSV' if self.is_csv else 'parquet'} file, but reading it fails "
                f"({reason}); mend the file"
            ) from error
