"""Time stamps: words as seconds since 1970 in UTC, and as a column of which a detector sees what comes back.

A word is a date, a time of day, or both, and may end in a time zone: ``2026-01-31T10:00:00+01:00``, ``31.1.2026``,
``1/31/2026 3:05 PM``, ``31 Jan 2026``, ``31/Jan/2026:10:00:00 +0100``. Words without a zone are read as they stand.
Where neither year nor month is plain, the day or the month comes first in all words of a column.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.own.values import FRAME, Values, ignoring, setting
from sad_lightning.data.schema import DAY, WEEK, Column
from sad_lightning.errors import InputError

_CLOCK = r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?(?:\s*([ap])\.?m\.?)?\s*(z|utc|gmt|[-+]\d{2}(?::?\d{2})?)?"
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? +)?"
_ISO = re.compile(rf"(\d{{4}})([-/.])(\d{{1,2}})\2(\d{{1,2}})(?:[t ]\s*{_CLOCK})?", re.IGNORECASE)
_DIGITS = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}|\d{{2}})(?:,?[t ]\s*{_CLOCK})?", re.IGNORECASE)
_NAMED = re.compile(
    rf"{_WEEKDAY}(?:(\d{{1,2}})[-/ ])?([a-z]{{3}})[a-z]*\.?(?: (\d{{1,2}}),)?[-/, ]+(\d{{4}})(?:[: ,]\s*{_CLOCK})?",
    re.IGNORECASE,
)
_ALONE = re.compile(_CLOCK, re.IGNORECASE)
_PLAIN = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?Z?")
_MONTHS = dict(jan=1, feb=2, mar=3, apr=4, may=5, jun=6, jul=7, aug=8, sep=9, oct=10, nov=11, dec=12)
_EPOCH = date(1970, 1, 1).toordinal()
_MONDAY = 4 * DAY  # the first after the epoch
_SEEN = 200  # words of a column that say whether it holds time stamps


@dataclass(frozen=True, eq=False)
class Times:
    """Words that were read as time stamps.

    Attributes:
        seconds: ``(n,)`` since 1970, UTC, or since midnight where a word has no date; NaN where it is no time stamp.
        has_zone: ``(n,)`` whether it has a time zone.
        has_date: ``(n,)`` whether it has a date.
        day_first: whether the day comes before the month in those that name neither year nor month first; None where
            there is none.
    """

    seconds: NDArray[np.float64]
    has_zone: NDArray[np.bool_]
    has_date: NDArray[np.bool_]
    day_first: bool | None

    @property
    def is_read(self) -> NDArray[np.bool_]:
        """Which words are time stamps, ``(n,)``."""
        return ~np.isnan(self.seconds)

    def periods(self) -> tuple[int, ...]:
        """The cycles that come back among them and in which they differ, in seconds: a day, a week, both or none."""
        seconds, dated = self.seconds[self.is_read], bool(self.has_date.any())
        if not len(seconds):
            return ()
        span = float(np.ptp(seconds)) if dated else DAY
        return tuple(
            period
            for period in ((DAY, WEEK) if dated else (DAY,))
            if span >= period and len(np.unique(seconds % period)) > 1
        )

    def span(self) -> str:
        """The first and the last of them as a person reads them."""
        seconds = self.seconds[self.is_read]
        if not len(seconds):
            return ""
        words = [str(np.datetime64(int(second), "s")).replace("T", " ") for second in (seconds.min(), seconds.max())]
        first, last = words if self.has_date.any() else [word[-8:] for word in words]
        return f"{first} to {last}"

    def problem(self) -> str | None:
        """Why no detector can use them, as the rest of a sentence; None where one can."""
        read = self.is_read
        if not read.any():
            return f"holds no time stamp with the {'day' if self.day_first else 'month'} first"
        if len({*self.has_zone[read].tolist()}) > 1:
            return "has a time zone in some rows and none in others"
        if len({*self.has_date[read].tolist()}) > 1:
            return "holds dates in some rows and times of day alone in others"
        if not self.periods():
            span = float(np.ptp(self.seconds[read]))
            length = f"{span / DAY:.3g} days" if span >= DAY else f"{span / 3600:.3g} hours"
            return f"spans {length}, in which no time of day and no weekday comes back"
        return None


def are_times(words: Sequence[str]) -> bool:
    """Whether most of some words are time stamps."""
    some = words[:: max(1, len(words) // _SEEN)]
    return 2 * sum(map(_is_time, some)) > len(some)


def read_times(words: Sequence[str], day_first: bool | None = None) -> Times:
    """Words as time stamps.

    The words themselves say whether 1/2/2026 is the first of February where ``day_first`` is None.

    Raises:
        InputError: they do not say it; the message is the rest of a sentence.
    """
    if (plain := _plain_seconds(words)) is not None:
        zone = words[0].endswith("Z")
        return Times(plain, np.full(len(words), zone), np.full(len(words), True), None)
    matches = [_match(word) for word in words]
    digits = [match.groups() for match in matches if match is not None and match.re is _DIGITS]
    if digits and day_first is None:
        day_first = _order(digits)
    seconds = np.array([np.nan if match is None else _seconds(match, day_first) for match in matches], dtype=np.float64)
    zones = np.array([match is not None and match[match.re.groups] is not None for match in matches], dtype=bool)
    dates = np.array([match is not None and match.re is not _ALONE for match in matches], dtype=bool)
    return Times(seconds, zones, dates, day_first if digits else None)


def time_column(where: str, name: str, words: Sequence[str], day_first: bool | None) -> Column:
    """The column of a schema for time stamps, which most of its distinct words are; the others are missing.

    The words themselves say whether the day comes before the month where ``day_first`` is None.

    Raises:
        InputError: they can not be used, or do not say which number is the day.
    """
    try:
        times = read_times(words, day_first)
        problem = times.problem()
    except InputError as error:
        wrong, _, way_out = str(error).partition("; ")
        if where == str(FRAME):
            way_out = f"read them with pandas.to_datetime(X[{name!r}], dayfirst=True), or dayfirst=False"
        raise InputError(f"{where}: column {name} {wrong}; {way_out}") from error
    if problem is not None:
        raise InputError(f"{where}: column {name} {problem}; mend it, or leave it out with {ignoring(where, [name])}")
    others = [word for word, is_read in zip(words, times.is_read, strict=True) if not is_read]
    if others:
        more = f" and {len(others) - 1} others" if len(others) > 1 else ""
        warnings.warn(
            f"{where}: column {name} holds time stamps, {others[0]!r}{more} are none and count as missing",
            stacklevel=3,
        )
    return Column(name, "time", periods=times.periods(), day_first=times.day_first, has_zone=bool(times.has_zone.any()))


def time_values(where: str, values: Values, column: Column) -> tuple[NDArray[np.float64], int]:
    """The raw values of a column of time stamps, ``(n,)`` seconds since Monday, and how many were no time stamps.

    Raises:
        InputError: none of the words is a time stamp, or they are of another form than in training.
    """
    if not values.words:
        return values.numbers, 0
    times = read_times(values.words, column.day_first is not False)
    if column.day_first is None and times.day_first is not None:
        odd = next(word for word in values.words if (match := _match(word)) and match.re is _DIGITS)
        raise InputError(
            f"{where}: column {column.name} must begin with the year or name the month, as in training, it holds "
            f"{odd!r}; write it as 2026-01-31"
        )
    read = times.is_read & (times.has_date if WEEK in column.periods else True)
    if not read.any():
        raise InputError(
            f"{where}: column {column.name} must hold {'dates' if WEEK in column.periods else 'time stamps'}, as in "
            f"training, it holds {values.words[0]!r}; mend the file"
        )
    if (times.has_zone[read] != column.has_zone).any():
        odd = values.words[int(np.flatnonzero(read & (times.has_zone != column.has_zone))[0])]
        zone = "a time zone" if column.has_zone else "no time zone"
        raise InputError(
            f"{where}: column {column.name} must have {zone}, as in training, it holds {odd!r}; mend the file"
        )
    week = np.where(read, (times.seconds - np.where(times.has_date, _MONDAY, 0)) % WEEK, np.nan)
    numbers = np.append(week, np.nan)[values.positions]
    return numbers, int((np.isnan(numbers) & ~np.isnan(values.numbers)).sum())


def _plain_seconds(words: Sequence[str]) -> NDArray[np.float64] | None:
    """The seconds of words such as 2026-01-31 10:00:00, all of them without a zone or all with Z; else None.

    As the rest of this file reads them, five times as fast.
    """
    zone = "Z" if words and words[0].endswith("Z") else ""
    if not all(map(_PLAIN.fullmatch, words)) or not all(word.endswith("Z") == bool(zone) for word in words):
        return None
    try:
        stamps = np.array([word.removesuffix("Z") for word in words], dtype="datetime64[us]")
    except ValueError:
        return None
    seconds: NDArray[np.float64] = stamps.astype(np.int64) / 1e6
    return seconds


def _is_time(word: str) -> bool:
    match = _match(word)
    return match is not None and not all(np.isnan(_seconds(match, day_first)) for day_first in (True, False))


def _match(word: str) -> re.Match[str] | None:
    """The form of a word; None where it is no time stamp."""
    if not word[:1].isalnum():
        return None
    return (
        _ISO.fullmatch(word)
        or _DIGITS.fullmatch(word)
        or _ALONE.fullmatch(word)
        or (_NAMED.fullmatch(word) if not word.isdigit() else None)
    )


def _order(digits: Sequence[tuple[str, ...]]) -> bool:
    """Whether the day comes first in words such as 31/1/2026, by values above twelve."""
    day_first = any(int(first) > 12 for first, *_ in digits)
    month_first = any(int(second) > 12 for _, _, second, *_ in digits)
    if day_first and month_first:
        raise InputError(
            "holds dates with the day first and dates with the month first; write them as 2026-01-31, or set "
            "data.day_first=true or data.day_first=false, which makes the others missing"
        )
    if not day_first and not month_first:
        if all(point == "." for _, point, *_ in digits):
            return True
        first, point, second, year, *_ = digits[0]
        raise InputError(
            f"holds dates such as {first}{point}{second}{point}{year}, in which day or month may come first; set "
            f"{setting('data.day_first', True)} or {setting('data.day_first', False)}, or write them as 2026-01-31"
        )
    return day_first


def _seconds(match: re.Match[str], day_first: bool | None) -> float:
    """The seconds of a word, NaN where there is no such day or time."""
    *dated, hour, minute, second, fraction, half, zone = match.groups()
    days = 0
    try:
        if match.re is _ISO:
            days = date(int(dated[0]), int(dated[2]), int(dated[3])).toordinal() - _EPOCH
        elif match.re is _DIGITS:
            year = int(dated[3])
            year += (1900 if year > 68 else 2000) if len(dated[3]) == 2 else 0  # as POSIX does
            day, month = (dated[0], dated[2]) if day_first else (dated[2], dated[0])
            days = date(year, int(month), int(day)).toordinal() - _EPOCH
        elif match.re is _NAMED:
            days = date(int(dated[3]), _MONTHS[dated[1].lower()], int(dated[0] or dated[2])).toordinal() - _EPOCH
    except (ValueError, KeyError, TypeError):
        return np.nan
    hours, minutes, seconds = int(hour or 0), int(minute or 0), int(second or 0)
    if half is not None:
        if not 1 <= hours <= 12:
            return np.nan
        hours = hours % 12 + 12 * (half in "pP")
    if hours > 23 or minutes > 59 or seconds > 60:
        return np.nan
    total = DAY * days + 3600 * hours + 60 * minutes + seconds + (float(f"0.{fraction}") if fraction else 0.0)
    if zone is not None and zone[0] in "+-":
        away = 3600 * int(zone[1:3]) + 60 * int(zone[-2:] if len(zone) > 3 else 0)
        total -= away if zone[0] == "+" else -away
    return total
