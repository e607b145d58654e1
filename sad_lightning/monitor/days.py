"""Scores of many days, in their order: how many rows were flagged each day, and the evidence that something changed."""

import datetime
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.arrays import read_npz_all
from sad_lightning.data.own.parts import DataPart
from sad_lightning.data.own.reading import read_table, suffix_of
from sad_lightning.data.schema import TableSchema
from sad_lightning.errors import InputError
from sad_lightning.model import Model
from sad_lightning.predict.comparison import (
    BUDGET,
    SAMPLE,
    Sample,
    evidence_of,
    known_anomalies,
    middle_of,
    names_of,
    promise_words,
    read_sample,
    reference_of,
)
from sad_lightning.stats.martingale import Evidence
from sad_lightning.stats.ranking import Interval
from sad_lightning.stats.shares import wilson

_DATE = re.compile(r"(?<!\d)(\d{4})-?([01]\d)-?([0-3]\d)(?!\d)")
_ROWS = 10_000  # that the martingales see, at most twice as many; evenly spaced
_COLUMNS = 8  # columns that are shown


@dataclass(frozen=True)
class Day:
    """One day.

    Attributes:
        name: YYYY-MM-DD.
        rows: how many were scored.
        flagged: how many of their scores exceed the threshold of the model, whatever the file calls them.
        last: the position of the day's last row among the rows that the martingales see.
    """

    name: str
    rows: int
    flagged: int
    last: int

    @property
    def share(self) -> float:
        """The share of rows that were flagged."""
        return self.flagged / self.rows

    @property
    def interval(self) -> Interval:
        """Its interval."""
        return wilson(self.flagged, self.rows)


@dataclass(frozen=True)
class ColumnChange:
    """A column in training and lately.

    Attributes:
        name: of the column.
        capital: the logarithm of its martingale after each row that the martingales see.
        before: the middle value in training, or the most frequent word.
        lately: that of the last quarter of the rows.
        missing: the share of missing values lately.
    """

    name: str
    capital: NDArray[np.float64]
    before: str
    lately: str
    missing: float


@dataclass(frozen=True)
class Monitoring:
    """Scores of several days compared with the training.

    Attributes:
        days: in their order.
        evidence: martingales over evenly spaced rows.
        columns: those that moved most, the clearest first.
        promised: the false-positive rate; None where none is promised.
        known: the share of known anomalies in training.
        has_columns: whether the scores tell of the columns.
    """

    days: tuple[Day, ...]
    evidence: Evidence
    columns: tuple[ColumnChange, ...]
    promised: float | None
    known: float
    has_columns: bool

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(day.rows for day in self.days)

    @property
    def flagged(self) -> int:
        """How many of them were flagged."""
        return sum(day.flagged for day in self.days)

    @property
    def expected(self) -> float | None:
        """The share of flagged rows if as many are anomalies as in training, and all of them are found."""
        return None if self.promised is None else self.known + (1 - self.known) * self.promised

    @property
    def alarm(self) -> Day | None:
        """The first day at whose end the martingale had reached 1 / budget; None where it never did."""
        row = self.evidence.alarm(BUDGET)
        return None if row is None else next(day for day in self.days if day.last >= row)

    def text(self) -> list[str]:
        """A few lines for a person."""
        low, high = (100 * each for each in wilson(self.flagged, self.rows))
        promised = promise_words(self.promised, self.known)
        highest = math.exp(min(float(self.evidence.total.max(initial=0.0)), 300.0))
        lines = [
            f"{self.rows:,} rows of {len(self.days):,} days, {self.days[0].name} to {self.days[-1].name}",
            f"  {'flagged':<12}{100 * self.flagged / self.rows:.2f} %  ({low:.2f} to {high:.2f} %; {promised})",
            f"  {'martingale':<12}at most {highest:.3g}, an alarm at {1 / BUDGET:g}",
        ]
        if self.alarm is not None:
            moved = [column.name for column in self.columns if column.capital.max(initial=0.0) > math.log(1 / BUDGET)]
            about = f"; columns that moved: {', '.join(moved)}" if moved else ""
            lines.append(f"  {'alarm':<12}on {self.alarm.name}: rows are not as in training{about}")
        if not self.has_columns:
            lines.append("  warning: these scores do not tell of the columns; write them as parquet with predict")
        return lines


def watch(model: Model, parts: Sequence[DataPart], time: str | None) -> Monitoring:
    """Read the scores in files that ``predict`` wrote, and compare them with those of the training.

    The column ``time`` says when a row was; where it is None, all are of the day of the file.

    Raises:
        InputError: a file is none of ``predict``, or a value of the column is no date.
    """
    files = [_read(part, time, model.threshold) for part in parts]
    if not files:
        raise InputError("SCORES: must hold a file that predict wrote, there is none; give the folder of the scores")
    width = len(names_of(model))
    has_columns = width > 0 and all(file.values.shape[1] == width for file in files)
    reference = reference_of(model, width)
    has_columns = has_columns and reference.shape[1] == width
    scores, values, days = (
        np.concatenate([file.sampled_scores for file in files]),
        np.concatenate([file.values if has_columns else file.values[:, :0] for file in files]),
        np.concatenate([file.sampled_days for file in files]),
    )
    order = np.argsort(days, kind="stable")
    step = max(1, math.ceil(len(order) / (2 * _ROWS)))
    order = order[::step]
    scores, values, days = scores[order], values[order], days[order]
    evidence = evidence_of(model, scores, values)
    known, of = known_anomalies(model)
    return Monitoring(
        days=tuple(_days(files, days)),
        evidence=evidence,
        columns=tuple(_column_changes(model, evidence, reference, values[scores <= model.threshold])),
        promised=model.target_fpr if model.held_out else None,
        known=known / max(of, 1),
        has_columns=has_columns,
    )


@dataclass(frozen=True)
class _File:
    """Scores of a file: when each row was, which were flagged, and evenly spaced rows with their columns."""

    days: NDArray[Any]
    flagged: NDArray[np.bool_]
    sampled_scores: NDArray[np.float64]
    sampled_days: NDArray[Any]
    values: NDArray[np.float32]


def _read(part: DataPart, time: str | None, threshold: float) -> _File:
    place = part.place
    if not isinstance(place, Path):
        raise InputError(f"{place}: scores are watched from this machine alone; copy them here")
    if suffix_of(place) == ".npz":
        table: dict[str, Any] = dict(read_npz_all(place))
    else:
        read = read_table(place, [] if time is None else [time])
        wanted = {name: read[name] for name in ("score", time) if name in read}
        table = {name: each.texts() if each.kind == "category" else each.numbers for name, each in wanted.items()}
    lacking = [name for name in ("score", *([] if time is None else [time])) if name not in table]
    if lacking:
        raise InputError(f"{place}: must be scores of predict; missing: {', '.join(lacking)}; give what predict wrote")
    scores = np.asarray(table["score"])
    if scores.ndim != 1 or scores.dtype.kind not in "fiu" or not np.isfinite(scores).all():
        raise InputError(f"{place}: score must hold a finite number a row, as predict writes; score the rows again")
    scores = scores.astype(np.float64)
    if time is None:
        days = np.full(len(scores), _day_of(part), dtype="U10")
    else:
        days = np.array([_day_in(place, time, word) for word in table[time]], dtype="U10")
    sample = Sample(0)
    sample.add(scores, np.empty((len(scores), 0), dtype=np.float32))
    sampled, values, step = sample.scores, sample.values, sample.step
    if place.suffix.lower() == ".parquet":
        from pyarrow import parquet

        text = (parquet.ParquetFile(place).metadata.metadata or {}).get(SAMPLE.encode())
        if text is not None:
            sampled, values, step = read_sample(text)
    return _File(days, scores > threshold, sampled, days[::step][: len(sampled)], values)


def _day_of(part: DataPart) -> str:
    dates = list(_DATE.finditer(part.name))
    if days := [day for date in dates if (day := _day(date)) is not None]:
        return days[-1]
    if dates and "-" in dates[-1][0]:
        raise InputError(f"{part.name}: its name must hold a day that there is, it holds {dates[-1][0]}; rename it")
    assert isinstance(part.place, Path)
    return datetime.datetime.fromtimestamp(part.place.stat().st_mtime).date().isoformat()


def _day_in(place: Path, column: str, word: str | None) -> str:
    date = _DATE.search(str(word))
    day = None if date is None else _day(date)
    if day is None:
        raise InputError(f"{place}: column {column} must hold dates as 2026-01-31, it holds {word!r}; leave out --time")
    return day


def _day(date: re.Match[str]) -> str | None:
    """The day as YYYY-MM-DD; None where no month has it."""
    try:
        return datetime.date(*map(int, date.groups())).isoformat()
    except ValueError:
        return None


def _days(files: Sequence[_File], sampled: NDArray[Any]) -> list[Day]:
    days, flagged = np.concatenate([file.days for file in files]), np.concatenate([file.flagged for file in files])
    names, position = np.unique(days, return_inverse=True)
    rows, flags = np.bincount(position), np.bincount(position, weights=flagged)
    last = np.searchsorted(sampled, names, side="right") - 1
    return [
        Day(str(name), int(count), int(flag), max(int(row), 0))
        for name, count, flag, row in zip(names, rows, flags, last, strict=True)
    ]


def _column_changes(
    model: Model, evidence: Evidence, reference: NDArray[np.float32], values: NDArray[np.float32]
) -> list[ColumnChange]:
    schema = model.preparation.schema
    if not isinstance(schema, TableSchema) or not evidence.columns.size:
        return []
    order = np.argsort(-evidence.columns.max(axis=0), kind="stable")[:_COLUMNS]
    lately = values[-max(len(values) // 4, 1) :]
    return [
        ColumnChange(schema.names[k], evidence.columns[:, k], middle_of(schema.columns[k], reference[:, k]),
               middle_of(schema.columns[k], lately[:, k]),
               float(np.isnan(lately[:, k]).mean()) if len(lately) else math.nan)
        for k in order.tolist()
    ]  # fmt: skip
