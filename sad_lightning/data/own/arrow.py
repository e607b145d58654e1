"""CSV and parquet files, whole or in batches, by pyarrow (the extra ``table``)."""

import csv
import gzip
import io
import re
import shlex
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sad_lightning.data.own.address import Place
from sad_lightning.data.own.values import NOT_TEXT, Values, not_categorical, numbered, spell_date
from sad_lightning.data.schema import Dialect
from sad_lightning.errors import InputError, error_words, extra

BLOCK = 1 << 23  # bytes of a CSV that are read at a time
ROWS = 1 << 16  # rows of another file that are read at a time
_HEADER = 1 << 16  # characters that a header of several lines may have
_QUOTED = r'(?<![^,;\t|])"(?:[^"]|"")*"'  # only where a field begins; elsewhere a quote is a character like any other
_BLANKS = tuple(" " * count for count in range(1, 17))  # fields that are missing, as empty ones are
_TRAILING = "\0"  # what is read as a column behind a delimiter that ends the line
_LINE = re.compile(rf"(?:{_QUOTED}|[^\n])*")
_PLAIN = Dialect()


class ArrowFile:
    """A CSV or parquet file, read by pyarrow.

    Raises:
        InputError: pyarrow is not installed, or the file is damaged or has no header.

    Attributes:
        names: of the columns, in order; a name may stand twice. A delimiter that ends each line makes no column.
    """

    def __init__(self, path: Place, dialect: Dialect = _PLAIN) -> None:
        with extra("table", f"{path}: CSV or parquet", instead="give an npz"):
            import pyarrow
            import pyarrow.csv
            from pyarrow import parquet
        self.path, self.pa, self.csv, self.parquet = path, pyarrow, pyarrow.csv, parquet
        self.dialect = dialect
        self.is_csv = path.suffix.lower() != ".parquet"
        if self.is_csv:
            self._trailing: tuple[str, ...] = ()
            self.delimiter, self.names, self.lines = self._header()
        else:
            self.names = self._read(lambda: self.parquet_file().schema_arrow.names)

    def number(self, out: Collection[str]) -> None:
        """Number later columns of a name where that leaves them out: without a.1 the first of two columns a is kept."""
        if self.is_csv:  # the columns of a parquet are read by name
            names = zip(self.names, numbered(self.names), strict=True)
            self.names = [spelt if spelt in out else name for name, spelt in names]

    def parquet_file(self) -> Any:
        """The parquet file, opened."""
        return self.parquet.ParquetFile(self.path if isinstance(self.path, Path) else self.path.open("rb"))

    def _source(self) -> Any:
        """A CSV as pyarrow reads it: a path, or a file on another machine, unpacked if it is gzipped.

        Where blanks part the columns, any number of them does, and the file is read into memory.
        """
        if self.is_csv and self.delimiter == " ":
            with self.path.open("rb") as packed:
                content = gzip.decompress(packed.read()) if self._is_packed else packed.read()
            lines = re.sub(r"(?m)^ +| +(?=\r?$)", "", re.sub(" +", " ", content.decode(self.dialect.encoding)))
            return self.pa.BufferReader(lines.encode(self.dialect.encoding))
        if isinstance(self.path, Path):
            return self.path
        content = self.path.open("rb")
        return self.pa.CompressedInputStream(content, "gzip") if self._is_packed else content

    @property
    def _is_packed(self) -> bool:
        return self.path.suffix.lower() == ".gz"

    def whole(self, names: Sequence[str], words: Collection[str]) -> Any:
        """All rows of some columns, as an Arrow table."""
        if not self.is_csv:
            return self._read(lambda: self.parquet_file().read(names))
        types = {name: self.pa.string() for name in words}
        options = self._options(types, [*names, *self._trailing])
        table = self._read(lambda: self.csv.read_csv(self._source(), **options))
        if self._trailing and table.column(_TRAILING).null_count < table.num_rows:
            raise InputError(
                f"{self.path}: must have as many fields in each row as names in its header, some have one more; name "
                f"the column that has none"
            )
        return table.select(names)

    def everything(self) -> Any:
        """All columns of a parquet as an Arrow table, in which names may repeat."""
        return self._read(lambda: self.parquet_file().read())

    def texts(self) -> tuple[Any, int]:
        """All columns of a CSV as an Arrow table of texts, and how many rows of another length were left out."""
        ragged = []
        options = self._options({})
        names = [f"{position}" for position in range(len(self.names))]
        options["read_options"].column_names = [*names, *self._trailing]
        options["convert_options"].include_columns = names
        options["convert_options"].column_types = dict.fromkeys(names, self.pa.string())

        def skip(row: Any) -> str:
            ragged.append(row.number)
            return "skip"

        options["parse_options"].invalid_row_handler = skip
        return self._read(lambda: self.csv.read_csv(self._source(), **options)), len(ragged)

    def batches(self, kinds: Mapping[str, str], group: int | None = None) -> Iterator[Any]:
        """Some columns, batch by batch; of a parquet all rows or those of one row group."""
        if self.is_csv:
            arrow = {"number": self.pa.float64(), "boolean": self.pa.bool_(), "category": self.pa.string()}
            options = self._options({name: arrow[kind] for name, kind in kinds.items()}, list(kinds))
            batches = self._read(lambda: self.csv.open_csv(self._source(), **options))
        else:
            groups = None if group is None else [group]
            batches = self._read(lambda: self.parquet_file().iter_batches(ROWS, groups, columns=list(kinds)))
        yield from self._each(batches)

    def stretches(self, names: Sequence[str], words: Collection[str]) -> Iterator[Any]:
        """Some columns, batch by batch; a CSV is read whole, since only all its rows tell the types of its columns."""
        if self.is_csv:
            yield from self.whole(names, words).to_batches(ROWS)
        else:
            yield from self._each(self._read(lambda: self.parquet_file().iter_batches(ROWS, columns=list(names))))

    def _each(self, batches: Any) -> Iterator[Any]:
        iterator = iter(batches)
        while (batch := self._read(lambda: next(iterator, None))) is not None:
            yield batch

    def _header(self) -> tuple[str, list[str], int]:
        """The delimiter, the names, and the lines of the header: a quoted name may hold delimiters and line breaks."""
        dialect = self.dialect
        try:
            encoding = "utf-8-sig" if dialect.encoding.lower() in ("utf-8", "utf8") else dialect.encoding
            with self.path.open("rb") as packed:
                unpacked: Any = gzip.GzipFile(fileobj=packed) if self._is_packed else packed
                file = io.TextIOWrapper(unpacked, encoding=encoding)
                for _ in range(dialect.skip_rows):
                    file.readline()
                text = file.readline()
                text += file.read(_HEADER) if text.count('"') % 2 else file.readline()
            line = next(_LINE.finditer(text))[0]
            delimiter = dialect.delimiter or max(",;\t|", key=re.sub(_QUOTED, "", line).count)
            fields, first = (self._fields(each, delimiter) for each in (line, text[len(line) + 1 :].partition("\n")[0]))
            if len(first) > 1 and not first[-1] and len(fields) - (not fields[-1]) == len(first) - 1:
                self._trailing, fields = (_TRAILING,), fields[: len(first) - 1]
        except (UnicodeError, csv.Error, EOFError, gzip.BadGzipFile, zlib.error) as error:
            named = {"utf-8": "UTF-8"}.get(dialect.encoding, dialect.encoding)
            raise InputError(
                f"{self.path}: must be text in {named} that begins with column names, but reading it fails; "
                f"python -m sad_lightning.inspect {shlex.quote(str(self.path))} says which data.encoding it has"
            ) from error
        if not dialect.header:
            return delimiter, [f"x{k}" for k in range(len(fields))], dialect.skip_rows
        names = [re.sub(r"\s*\n\s*", " ", field.strip()) for field in fields]
        if not line.strip() or all(re.fullmatch(r"[-+.\d eE]*", name) for name in names):
            raise InputError(
                f"{self.path}: must begin with a line of column names, it begins with {line[:60]!r}; add one, or set "
                f"data.header=false"
            )
        return delimiter, names, line.count("\n") + 1 + dialect.skip_rows

    def _fields(self, line: str, delimiter: str) -> list[str]:
        line = re.sub(" +", " ", line).strip(" ") if delimiter == " " else line
        return next(csv.reader([line], delimiter=delimiter), [])

    def _options(self, types: Mapping[str, Any], columns: Sequence[str] = ()) -> dict[str, Any]:
        dialect, convert = self.dialect, self.csv.ConvertOptions
        words = [*convert().null_values, *_BLANKS, *dialect.missing_values]
        return {
            "read_options": self.csv.ReadOptions(
                block_size=BLOCK, column_names=[*self.names, *self._trailing], skip_rows=self.lines,
                encoding=dialect.encoding,
            ),
            "parse_options": self.csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            "convert_options": convert(
                column_types=dict(types), include_columns=list(columns) or self.names, strings_can_be_null=True,
                null_values=words, decimal_point=dialect.decimal,
            ),
        }  # fmt: skip

    def _read(self, read: Any) -> Any:
        """What ``read`` returns; an error of pyarrow becomes one line that names the file."""
        try:
            return read()
        except (self.pa.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = error_words(error)[:300]
            column = re.match(r"In CSV column #(\d+): (?:Row #\d+: )?CSV conversion error to (\w+): (.*)", reason)
            if column:
                kind = {"double": "numbers", "bool": "true and false"}.get(column[2], column[2])
                raise InputError(
                    f"{self.path}: column {self.names[int(column[1])]} must hold {kind}, as in training, but "
                    f"{column[3]}; mend the file"
                ) from error
            look = f"look at it with python -m sad_lightning.inspect {shlex.quote(str(self.path))}"
            raise InputError(
                f"{self.path}: must be a whole {'CSV' if self.is_csv else 'parquet'} file, but reading it fails "
                f"({reason}); mend the file, or {look if isinstance(self.path, Path) else 'try again'}"
            ) from error


def arrow_values(path: Place, name: str, column: Any, *, as_words: bool) -> Values:
    """The values of an Arrow array, one column of some rows; ``as_words`` makes words of what looks like numbers, too.

    Raises:
        InputError: they can not be words.
    """
    import pyarrow as pa

    types, kind = pa.types, column.type
    if types.is_dictionary(kind):
        return arrow_values(path, name, column.dictionary_decode(), as_words=as_words)
    if column.null_count == len(column):  # an empty column has an arbitrary type
        return Values("category" if as_words else "number", np.full(len(column), np.nan))
    exact = types.is_integer(kind) or types.is_decimal(kind)  # may have more digits than float64
    if types.is_boolean(kind) or types.is_floating(kind) or (exact and not as_words):
        numbers = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        values = Values("boolean" if types.is_boolean(kind) else "number", numbers.astype(np.float64, copy=False))
        return values.as_words() if as_words else values
    is_binary = re.match(r"(large_|fixed_size_)?binary", str(kind)) is not None
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    is_time = types.is_temporal(kind) and not types.is_duration(kind)
    categories = _categories(column) if as_words or is_text or is_binary or is_time else None
    if categories is not None:
        return categories
    contents = "durations" if types.is_duration(kind) else NOT_TEXT if is_binary else str(kind)
    if as_words:
        raise not_categorical(path, name, contents)
    return Values(contents, np.full(len(column), np.nan))


def _categories(column: Any) -> Values | None:
    """The values of an Arrow array as categories; None where Arrow can not spell their type as text."""
    import pyarrow as pa

    try:
        encoded = column.dictionary_encode()
        words = encoded.dictionary.cast(pa.string()).to_pylist()
    except pa.ArrowException:
        return None
    if pa.types.is_temporal(column.type):
        words = [spell_date(text) for text in words]
    return Values.categories(encoded.indices.cast(pa.float64()).to_numpy(zero_copy_only=False), words)
