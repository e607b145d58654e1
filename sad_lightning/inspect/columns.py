"""A profile of each column of a table. Whatever is wrong with a column is recorded; nothing is refused."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.own.arrow import ArrowFile, arrow_values
from sad_lightning.data.own.parts import find_parts, is_many
from sad_lightning.data.own.reading import read_table, suffix_of
from sad_lightning.data.own.times import Times, are_times, read_times
from sad_lightning.data.own.values import Values, listed, numbered, spell
from sad_lightning.data.schema import Dialect
from sad_lightning.errors import InputError
from sad_lightning.inspect.dialect import ENCODINGS, guess_dialect

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
        copy: whether it has the same values too; its name has a number then, by which ``data.ignore`` leaves it out.
    """

    name: str
    values: Values
    infinite: int = 0
    missing_words: tuple[str, ...] = ()
    repeated: bool = False
    copy: bool = False

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
        path: of the file, or the folder or pattern of several.
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
    """Read a csv, tsv, txt, parquet or npz, or a folder or a pattern of them.

    Raises:
        InputError: a file is not there, damaged or empty, or several differ in their columns or their dialect.
    """
    files = [part.place for part in find_parts([str(path)])] if is_many([str(path)]) else [path]
    if not files:
        raise InputError(f"{path}: no file fits the pattern; give the path of one that is there")
    if suffix_of(files[0]) == ".npz":
        if len(files) > 1:
            raise InputError(f"{files[0]}: an npz is read whole and alone; give its path alone")
        table = read_table(files[0])
        columns = [_profile(name, values) for name, values in table.items()]
        return _table_profile(path, Dialect(), columns, 0)
    is_csv = not any(suffix_of(file) == ".parquet" for file in files)
    dialect = _one_dialect([Path(str(file)) for file in files]) if is_csv else Dialect()
    arrows = [ArrowFile(file, dialect) for file in files]
    arrow = arrows[0]
    for other in arrows:
        if other.names != arrow.names:
            unlike = sorted({*arrow.names} ^ {*other.names}) or other.names
            raise InputError(
                f"{other.path}: must have the columns of {arrow.path}, only one of both has {listed(unlike)}; look at "
                f"one of them alone"
            )
    tables = [each.texts() if is_csv else (each.everything(), 0) for each in arrows]
    texts, ragged = arrow.pa.concat_tables([each for each, _ in tables]), sum(count for _, count in tables)
    columns, names = [], Counter[str]()
    for position, name in enumerate(arrow.names):
        column = texts.column(position).combine_chunks()
        missing_words: tuple[str, ...] = ()
        if is_csv:
            column, missing_words = _infer_type(arrow.pa, column, dialect.decimal)
        contents = _profile(name, arrow_values(path, name, column, as_words=False))
        columns.append(replace(contents, missing_words=missing_words, repeated=bool(names[name])))
        names[name] += 1
    if is_csv:
        columns = _with_copies(columns)
    return _table_profile(path, dialect, columns, ragged)


def _with_copies(columns: Sequence[ColumnProfile]) -> list[ColumnProfile]:
    """The columns, in which one that repeats the name and the values of another has a number."""
    first = {column.name: column.values for column in reversed(columns)}
    names = numbered([column.name for column in columns])
    return [
        replace(column, name=name, copy=True)
        if column.repeated and _are_equal(column.values, first[column.name])
        else column
        for column, name in zip(columns, names, strict=True)
    ]


def _are_equal(one: Values, other: Values) -> bool:
    alike = (one.kind, one.words) == (other.kind, other.words)
    return alike and np.array_equal(one.numbers, other.numbers, equal_nan=True)


def _one_dialect(files: Sequence[Path]) -> Dialect:
    """The dialect of all files, whose encodings may differ as far as one of them reads all.

    Raises:
        InputError: they differ in more than that.
    """
    dialects = [guess_dialect(file) for file in files]
    widest = max((each.encoding for each in dialects), key=ENCODINGS.index)
    comma = "," if any(each.decimal == "," for each in dialects) else "."
    alike = [replace(each, encoding=widest, decimal=comma) for each in dialects]
    for file, each in zip(files, alike, strict=True):
        if each != alike[0]:
            raise InputError(f"{file}: must be spelt as {files[0]} is, got {each}, {alike[0]}; look at each alone")
    return alike[0]


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
