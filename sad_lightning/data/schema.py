"""What raw rows must look like: columns of a table, texts, or images of a size. A model file holds its schema."""

import itertools
import warnings
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sad_lightning.checks import choice, true_or_false, whole_number
from sad_lightning.data.words import MARKS, UNKNOWN, numbers_of, words_of
from sad_lightning.errors import InputError

Floats = NDArray[np.float32]
DAY, WEEK = 86_400, 604_800  # seconds
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MOST_BUCKETS = 2**16  # of a column: each becomes a column of 0 and 1
_NO_DELIMITER = ('"', "\n", "\r", "\0")
STEPS = 2**16  # to which sines are rounded, so that a sine of pi is 0
_SAMPLE = 10_000  # rows that tell where a column lies
_PRECISE = 1e4


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: files must have a column of exactly this name.
        kind: ``number``; ``boolean``, 0 or 1; ``category``, one of ``categories``, which is one-hot encoded: a value
            that is none of them, or is missing, is 0 in all its columns; ``hash``, a word, of which the bucket is
            one-hot encoded likewise; ``time``, a time stamp, which becomes sine and cosine of the time of day and of
            the time of the week.
        categories: in the order of their columns; empty for other kinds.
        buckets: of hashed words, how many buckets there are.
        periods: of time stamps, the cycles that become sine and cosine, in seconds: ``DAY``, ``WEEK`` or both.
        day_first: of time stamps, whether the day comes first in those that begin with neither year nor month's name;
            None where training had none.
        has_zone: of time stamps, whether they have a time zone.
        center: of numbers, what a raw row holds them less of, so that single precision suffices; 0 where it does so.
    """

    name: str
    kind: str = "number"
    categories: tuple[str, ...] = ()
    buckets: int = 0
    periods: tuple[int, ...] = ()
    day_first: bool | None = None
    has_zone: bool = False
    center: float = 0.0

    def __post_init__(self) -> None:
        choice(f"column {self.name!r}: kind", self.kind, ("number", "boolean", "category", "hash", "time"))
        whole_number(f"column {self.name!r}: buckets", self.buckets, least=int(self.kind == "hash"), most=MOST_BUCKETS)
        if not set(self.periods) <= {DAY, WEEK}:
            raise InputError(f"column {self.name!r}: periods must be {DAY} or {WEEK}, got {self.periods}; fit it again")

    @property
    def is_text(self) -> bool:
        """Whether files are read as words in this column."""
        return self.kind in ("category", "hash", "time")

    def codes(self, words: Sequence[str]) -> Floats:
        """The raw value of each word, ``(n,)``: its position among the categories, NaN if it is none, or its bucket.

        The bucket is the CRC-32 of the word in UTF-8, modulo their number.
        """
        if self.kind == "hash":
            return np.array([zlib.crc32(word.encode()) % self.buckets for word in words], dtype=np.float32)
        position = {name: float(number) for number, name in enumerate(self.categories)}
        return np.array([position.get(word, np.nan) for word in words], dtype=np.float32)

    def word(self, value: float) -> str:
        """A word of this raw value: the category, one of the bucket, or a time stamp of the week from 1970-01-05 on."""
        if self.kind == "hash":
            return next(word for word in map(str, itertools.count()) if self.codes([word])[0] == value)
        if self.kind == "time":
            stamp = str(np.datetime64("1970-01-05", "s") + round(value)) + "Z" * self.has_zone
            return stamp if WEEK in self.periods else stamp[11:]
        return self.categories[int(value)]

    def plain(self) -> dict[str, Any]:
        """As plain data, without what is as usual."""
        usual = asdict(Column(self.name))
        rest = {key: value for key, value in asdict(self).items() if value != usual[key]}
        return {"name": self.name, "kind": self.kind, "categories": self.categories} | rest

    def spell(self, value: float) -> str:
        """A value of a raw row as a person reads it."""
        if np.isnan(value):
            return "missing"
        if self.kind == "category":
            return self.categories[int(value)]
        if self.kind == "hash":
            return f"bucket {int(value)}"
        if self.kind == "time":
            day, minute = divmod(round(value / 60) % (WEEK // 60), DAY // 60)
            clock = f"{minute // 60:02}:{minute % 60:02}"
            return f"{_WEEKDAYS[day]} {clock}" if WEEK in self.periods else clock
        if self.kind == "boolean":
            return "true" if value else "false"
        return f"{self.center + float(value):.14g}" if self.center else f"{value:.6g}"


def centers_of(x: NDArray[Any]) -> NDArray[np.float64]:
    """What to subtract from columns of numbers ``(N, D)`` before they become float32, ``(D,)``; 0 where none is needed.

    A column is centered at its median where this is more than 10,000 times the distance of its quartiles: single
    precision would round such a number by more than a thousandth of that distance.
    """
    some = np.asarray(x[:: max(1, len(x) // _SAMPLE)], dtype=np.float64)
    some = some[:, None] if some.ndim == 1 else some
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column may have no value in these rows, or infinite ones
        low, first, middle, third, high = np.nanpercentile(some, (0, 25, 50, 75, 100), axis=0)
        spread = np.where(third > first, third - first, high - low)
        blurs = (spread > 0) & np.isfinite(spread) & (np.abs(middle) > _PRECISE * spread)
    return np.where(blurs, middle, 0.0)


def _seen_of(column: Column) -> list[tuple[float, float, float]]:
    """Each column that the network sees of a raw one: its category, and the angles of one second and of 0 in a sine.

    NaN for those that it has not. A cosine is the sine of a quarter more.
    """
    if column.kind in ("category", "hash"):
        return [(float(code), np.nan, np.nan) for code in range(len(column.categories) or column.buckets)]
    if column.kind == "time":
        return [(np.nan, 2 * np.pi / period, shift) for period in column.periods for shift in (0.0, np.pi / 2)]
    return [(np.nan, np.nan, np.nan)]


@dataclass(frozen=True)
class Dialect:
    """How a file writes its rows; for parquet and npz only the last two settings count.

    Attributes:
        delimiter: of a CSV; None for the one of ``, ; tab |`` that is most frequent in its first line.
        decimal: the decimal point of a CSV, ``.`` or ``,``.
        encoding: of a CSV, by Python's name.
        header: whether the first line names the columns; else they are x0, x1, ...
        skip_rows: lines of a CSV before the header.
        missing_values: words for a missing value, besides an empty field, NA, NaN, null and the like.
        infinite: what is done with an infinite number: ``refuse`` is an error, ``missing`` makes it a missing value.
    """

    delimiter: str | None = None
    decimal: str = "."
    encoding: str = "utf-8"
    header: bool = True
    skip_rows: int = 0
    missing_values: tuple[str, ...] = ()
    infinite: str = "refuse"

    def __post_init__(self) -> None:
        if self.delimiter is not None and (self.delimiter in _NO_DELIMITER or len(str(self.delimiter).encode()) != 1):
            raise InputError(
                f"data.delimiter must be one character of ASCII, no quote and no end of a line, got "
                f"{self.delimiter!r}; for example ';'"
            )
        choice("data.decimal", self.decimal, (".", ","))
        try:
            "".encode(self.encoding)
        except (LookupError, TypeError, ValueError) as error:  # no such encoding, or not one of text
            raise InputError(
                f"data.encoding must name an encoding, got {self.encoding!r}; for example latin-1 or utf-16"
            ) from error
        true_or_false("data.header", self.header)
        whole_number("data.skip_rows", self.skip_rows, least=0)
        choice("data.infinite", self.infinite, ("refuse", "missing"))


@dataclass(frozen=True)
class TableSchema:
    """The columns of a table, in the order in which a raw row ``(C,)`` holds them.

    A raw row is float32: the number less the center of its column, 0 or 1, the position of the category, the bucket, or
    the seconds since Monday, 0:00 UTC; NaN where the value is missing.

    Attributes:
        columns: at least one, no name twice.
        missing: what is done with a missing number: ``median`` imputes the median of the training rows, ``refuse``
            is an error.
        aside: further columns of the training file that are not part of a row, such as the label.
        dialect: of the training file.
    """

    columns: tuple[Column, ...]
    missing: str = "median"
    aside: tuple[str, ...] = ()
    dialect: Dialect = Dialect()

    def __post_init__(self) -> None:
        choice("data.missing", self.missing, ("median", "refuse"))
        names = self.names
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice or not names:
            raise InputError(f"columns: a table needs at least one and no name twice, got {', '.join(twice) or 'none'}")

    @classmethod
    def of_numbers(cls, names: Sequence[str], x: NDArray[Any] | None = None) -> "TableSchema":
        """A table that has only numbers, centered where the rows ``x``, ``(N, D)``, need it."""
        centers = [0.0] * len(names) if x is None else centers_of(x).tolist()
        return cls(tuple(Column(name, center=center) for name, center in zip(names, centers, strict=True)))

    @property
    def centers(self) -> NDArray[np.float64]:
        """What is subtracted from each raw column in double precision, ``(C,)``."""
        return np.array([column.center for column in self.columns])

    def centered(self, numbers: NDArray[Any]) -> Floats:
        """Raw rows of numbers as they stand, ``(N, C)``: less their centers, in single precision."""
        with np.errstate(over="ignore"):
            rows: Floats = (numbers - self.centers if self.centers.any() else numbers).astype(np.float32, copy=False)
        return rows

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample as the network sees it, ``(D,)``."""
        return (len(self.sources()[0]),)

    def sources(self) -> tuple[NDArray[np.int64], Floats]:
        """For each of the D columns that the network sees, the raw column it comes from and its category, else NaN."""
        seen = [(position, code) for position, column in enumerate(self.columns) for code, *_ in _seen_of(column)]
        return np.array([each for each, _ in seen], dtype=np.int64), np.array([each for _, each in seen], np.float32)

    def waves(self) -> tuple[Floats, Floats]:
        """For each of the D columns that is a sine, the angles of one second and of zero, else NaN."""
        seen = np.array([wave for column in self.columns for _, *wave in _seen_of(column)], dtype=np.float32)
        return seen[:, 0], seen[:, 1]

    def expand(self, raw: Floats) -> Floats:
        """The columns that the network sees of raw rows, ``(N, C)`` to ``(N, D)``.

        Categories and buckets are one-hot encoded, time stamps become sines and cosines; what is missing stays NaN, but
        is 0 in all columns of a category or a bucket.
        """
        source, code = self.sources()
        angle, start = self.waves()
        x: Floats = raw[:, source]
        for position in np.flatnonzero(~np.isnan(code)):
            x[:, position] = x[:, position] == code[position]
        for position in np.flatnonzero(~np.isnan(angle)):
            x[:, position] = np.round(np.sin(x[:, position] * angle[position] + start[position]) * STEPS) / STEPS
        return x

    def raw(self, x: NDArray[Any]) -> Floats:
        """The inverse of ``expand``, ``(N, D)`` to ``(N, C)``; NaN where no category is 1. Times to a second."""
        source, code = self.sources()
        raw: Floats = np.full((len(x), len(self.columns)), np.nan, dtype=np.float32)
        for position, (column, value) in enumerate(zip(source, code, strict=True)):
            if not np.isnan(value):
                raw[x[:, position] == 1, column] = value
            elif self.columns[column].kind != "time":
                raw[:, column] = x[:, position]
        for column, each in enumerate(self.columns):
            if each.kind == "time":
                sine, cosine = np.flatnonzero(source == column)[-2:]  # of the longest cycle
                turn = np.arctan2(x[:, sine], x[:, cosine]) / (2 * np.pi) % 1
                raw[:, column] = turn * each.periods[-1]
        return raw

    def plain(self) -> dict[str, Any]:
        """As plain data, for a file."""
        return {"kind": "table", **asdict(self), "columns": tuple(column.plain() for column in self.columns)}


@dataclass(frozen=True)
class ImageSchema:
    """Images, resized to one size: raw ones are ``(H, W, C)`` uint8.

    Attributes:
        height: H, pixels.
        width: W, pixels.
        channels: 1 for grey, 3 for colours.
        bits: how many bits the values of files of 16 have: the upper eight of these count.
    """

    height: int
    width: int
    channels: int
    bits: int = 16

    def __post_init__(self) -> None:
        for name in ("height", "width", "channels", "bits"):
            whole_number(f"images: {name}", getattr(self, name))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample as the network sees it, ``(C, H, W)``."""
        return (self.channels, self.height, self.width)

    def raw(self, x: NDArray[Any]) -> NDArray[Any]:
        """The images themselves: their raw rows are what training reads."""
        return x

    def plain(self) -> dict[str, Any]:
        """As plain data, for a file."""
        return {"kind": "images", **asdict(self)}


@dataclass(frozen=True)
class TextSchema:
    """Texts: a raw row is ``(length + 2,)`` float32, begin, the numbers of the words, end and padding (``data.words``).

    Attributes:
        name: the column of the texts.
        words: the vocabulary, in the order of its numbers.
        length: how many words of a text are read.
        rare: how many words of the training rows the vocabulary lacks.
        aside: further columns of the training file, which do not train.
        dialect: of the training file.
    """

    name: str
    words: tuple[str, ...]
    length: int
    rare: int = 0
    aside: tuple[str, ...] = ()
    dialect: Dialect = Dialect()

    def __post_init__(self) -> None:
        whole_number("data.length", self.length)

    @property
    def columns(self) -> tuple[Column, ...]:
        """The column of the texts, as a file holds it."""
        return (Column(self.name, "category"),)

    @property
    def names(self) -> list[str]:
        """Its name."""
        return [self.name]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample as the network sees it, ``(length + 2,)``."""
        return (self.length + 2,)

    def encode(self, texts: Sequence[str]) -> Floats:
        """The raw rows of texts, ``(N, length + 2)``; words that the vocabulary lacks are one unknown word."""
        return numbers_of(map(words_of, texts), self.words, self.length)

    def spell(self, row: NDArray[Any]) -> str:
        """The words of a raw row as a person reads them, unknown ones as a gap."""
        numbers = row.astype(np.int64).tolist()
        return " ".join("..." if k == UNKNOWN else self.words[k - MARKS] for k in numbers if k >= MARKS or k == UNKNOWN)

    def raw(self, x: NDArray[Any]) -> NDArray[Any]:
        """The rows themselves: training reads what a file is turned into."""
        return x

    def plain(self) -> dict[str, Any]:
        """As plain data, for a file."""
        return {"kind": "text", **asdict(self)}


Schema = TableSchema | ImageSchema | TextSchema


def schema_of(plain: Mapping[str, Any]) -> Schema:
    """The schema of which ``plain()`` returned this."""
    choice("schema: kind", plain["kind"], ("table", "images", "text"))
    rest = {key: value for key, value in plain.items() if key != "kind"}
    if plain["kind"] == "images":
        return ImageSchema(**rest)
    settings = dict(rest.get("dialect", {}))  # older files do not have it
    settings["missing_values"] = tuple(settings.get("missing_values", ()))
    aside, dialect = tuple(rest["aside"]), Dialect(**settings)
    if plain["kind"] == "text":
        return TextSchema(rest["name"], tuple(rest["words"]), rest["length"], rest["rare"], aside, dialect)
    columns = ({**column, "categories": tuple(column["categories"])} for column in rest["columns"])
    columns = ({**column, "periods": tuple(column.get("periods", ()))} for column in columns)
    return TableSchema(tuple(Column(**column) for column in columns), rest["missing"], aside, dialect)
