"""A profile of each column of a table. Whatever is wrong with a column is recorded; nothing is refused."""

import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.own.arrow import ArrowFile, arrow_values
from sad_lightning.data.own.reading import read_table, suffix_of
from sad_lightning.data.own.times import Times, are_times, read_times
from sad_lightning.data.own.values import Values, spell
from sad_lightning.data.schema import Dialect
from sad_lightning.errors import InputError
from sad_lightning.inspect.dialect import guess_dialect

MISSING_WORDS = frozenset({"?", "-", "--", ".", "none", "missing", "unknown", "#div/0!", "#value!", "#ref!", "nil"})
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(inf|infinity|nan)", re.IGNORECASE)
_MANY = 20_000  # distinct words that are looked at one by one


@dataclass(frozen=True)
class ColumnProfile:
    """One column.

    Attributes:
        name: as the header spells it.
        values: what stands there, with missing and infinite values as they are read with the proposed dialect; of kind
            ``time`` where most words are time stamps.
        infinite: how many values are infinite.
        missing_words: the words that mean a missing number here.
        repeated: whether an earlier column has the same name.
    """

    name: str
    values: Values
    infinite: int = 0
    missing_words: tuple[str, ...] = ()
    repeated: bool = False

    @property
    def missing(self) -> int:
        """How many rows have no value."""
        return int(np.isnan(self.values.numbers).sum())

    @property
    def counts(self) -> Counter[str]:
        """How often each word stands there."""
        words = self.values.as_words()
        present = words.numbers[~np.isnan(words.numbers)].astype(np.int64)
        return Counter(dict(zip(words.words, np.bincount(present, minlength=len(words.words)).tolist(), strict=True)))

    @cached_property
    def times(self) -> tuple[Times | None, str | None]:
        """The distinct values as time stamps, and what is wrong with them, as the rest of a sentence."""
        try:
            times = read_times(self.values.words)
        except InputError as error:
            return None, str(error)
        return times, times.problem()

    @property
    def distinct(self) -> int:
        """How many values differ."""
        present = self.values.numbers[~np.isnan(self.values.numbers)]
        return len(np.unique(present))


@dataclass(frozen=True)
class TableProfile:
    """A whole table.

    Attributes:
        path: of the file.
        rows: how many.
        dialect: how the file is read best.
        columns: in their order.
        ragged: how many rows have more or fewer fields than the header, and are left out here.
    """

    path: Path
    rows: int
    dialect: Dialect
    columns: tuple[ColumnProfile, ...]
    ragged: int = 0


def profile_table(path: Path) -> TableProfile:
    """Read a csv, tsv, txt, parquet or npz.

    Raises:
        InputError: the file is not there, damaged or empty.
    """
    if suffix_of(path) == ".npz":
        table = read_table(path)
        columns = [_profile(name, values) for name, values in table.items()]
        return _table_profile(path, Dialect(), columns, 0)
    is_csv = path.suffix.lower() != ".parquet"
    dialect = guess_dialect(path) if is_csv else Dialect()
    arrow = ArrowFile(path, dialect)
    texts, ragged = arrow.texts() if is_csv else (arrow.everything(), 0)
    columns, names = [], Counter[str]()
    for position, name in enumerate(arrow.names):
        column = texts.column(position).combine_chunks()
        missing_words: tuple[str, ...] = ()
        if is_csv:
            column, missing_words = _infer_type(arrow.pa, column, dialect.decimal)
        contents = _profile(name, arrow_values(path, name, column, as_words=False))
        columns.append(replace(contents, missing_words=missing_words, repeated=bool(names[name])))
        names[name] += 1
    return _table_profile(path, dialect, columns, ragged)


def _table_profile(path: Path, dialect: Dialect, columns: list[ColumnProfile], ragged: int) -> TableProfile:
    missing = sorted({word for column in columns for word in column.missing_words})
    infinite = "missing" if any(column.infinite for column in columns) else "refuse"
    dialect = replace(dialect, missing_values=tuple(missing), infinite=infinite)
    return TableProfile(path, len(columns[0].values.numbers) if columns else 0, dialect, tuple(columns), ragged)


def _profile(name: str, values: Values) -> ColumnProfile:
    infinite = np.isinf(values.numbers) if values.kind == "number" else np.zeros(len(values.numbers), dtype=bool)
    if values.kind == "category" and are_times(values.words):
        values = replace(values, kind="time")
    numbers: NDArray[np.float64] = np.where(infinite, np.nan, values.numbers)
    return ColumnProfile(name, replace(values, numbers=numbers), int(infinite.sum()))


def _infer_type(pa: Any, column: Any, decimal: str) -> tuple[Any, tuple[str, ...]]:
    """A column of texts with the type that the reader gives it, and the words in it that mean a missing number."""
    words = column.dictionary_encode().dictionary.to_pylist() if column.null_count < len(column) else []
    if not words:
        return column, ()
    spelt = {word: word.strip().replace(",", ".") if decimal == "," else word.strip() for word in words}
    others = {word for word, text in list(spelt.items())[:_MANY] if not _NUMBER.fullmatch(text)}
    if {spell(word) for word in words} <= {"true", "false"}:
        return _replace_words(pa, column, {word: spell(word) == "true" for word in words}, pa.bool_()), ()
    missing = {word for word in others if spelt[word].lower() in MISSING_WORDS}
    if others - missing == {column[0].as_py()}:  # a unit, below the name of the column
        missing = others
    try:
        numbers = {word: None if word in missing else float(text) for word, text in spelt.items()}
    except ValueError:
        return column, ()
    if len(missing) == len(words):
        return column, ()
    return _replace_words(pa, column, numbers, pa.float64()), tuple(sorted(missing))


def _replace_words(pa: Any, column: Any, values: dict[str, Any], kind: Any) -> Any:
    encoded = column.dictionary_encode()
    return pa.array([values[word] for word in encoded.dictionary.to_pylist()], kind).take(encoded.indices)
