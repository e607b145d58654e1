"""From the profile of a table to settings: the column of labels, the columns to leave out and why, and warnings."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sad_lightning.data.own.labels import PARTS
from sad_lightning.data.own.leaks import tells_label
from sad_lightning.data.own.tables import ALL_DIFFER
from sad_lightning.data.own.values import LIKE_A_NUMBER, odd_numbers, setting
from sad_lightning.data.schema import DAY, WEEK
from sad_lightning.errors import InputError
from sad_lightning.inspect.columns import ColumnProfile, TableProfile

MAX_CATEGORIES, HASH_BUCKETS = 100, 64  # of conf/data/table.yaml
NORMAL = frozenset({"normal", "benign", "ok", "good", "fine", "healthy", "legit", "legitimate", "genuine", "inlier",
                    "pass", "passed", "clean", "regular", "none", "no", "n", "0", "false", "negative", "nominal",
                    "no anomaly", "no failure", "no fraud"})  # fmt: skip
ANOMALY = frozenset({"anomaly", "anomalous", "abnormal", "attack", "fraud", "fraudulent", "outlier", "bad", "defect",
                     "defective", "fail", "failed", "failure", "fault", "faulty", "broken", "nok", "ng", "malicious",
                     "intrusion", "1", "true", "yes", "y", "positive", "chargeback"})  # fmt: skip
UNLABELED = frozenset({"unlabeled", "unlabelled", "unknown", "?", "-", "pending", "todo", "na"})
_LABEL_NAME = re.compile(
    r"(^|[_\W])(is_?)?(label|labels|class|target|status|anomaly|attack|fraud|outlier|verdict|truth|defect|fault|"
    r"failure|result|quality|y|o)($|[_\W])",
    re.IGNORECASE,
)
_ID_NAME = re.compile(r"(^|[_\W])(id|uuid|guid|index|idx|key|serial|number|no|nr|row)$", re.IGNORECASE)
_CODE_NAME = re.compile(r"(^|[_\W])(code|zip|zipcode|postcode|protocol|category|type|kind)$", re.IGNORECASE)
_FEW_CODES = 30
_MISSING_CODES = (-99, -999, -9999, -99999)
_CYCLES = {DAY: "time of day", WEEK: "weekday"}


@dataclass(frozen=True)
class Label:
    """The column of the labels, and its words for known anomalies, known normals, and rows that nothing is known of."""

    column: str
    anomaly: tuple[str, ...] = ()
    normal: tuple[str, ...] = ()
    unlabeled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Proposal:
    """What is proposed.

    Attributes:
        label: None where no column looks like one.
        part: the column that says train, validation or test.
        ignore: columns to leave out, with the reason.
        categorical: columns of numbers that are names.
        notes: by column, what a person should see.
        problems: of the file as a whole, that only a person can mend.
    """

    label: Label | None
    part: str | None
    ignore: Mapping[str, str]
    categorical: tuple[str, ...]
    notes: Mapping[str, Sequence[str]]
    problems: tuple[str, ...] = field(default=())

    def settings(self, table: TableProfile) -> dict[str, Any]:
        """The settings of ``data`` that differ from those of ``conf/data/table.yaml``."""
        dialect, label = table.dialect, self.label
        settings: dict[str, Any] = {"path": str(table.path)}
        if label is not None:
            settings["label"] = label.column
            for key, words, usual in (
                ("known_anomaly", label.anomaly, ("anomaly",)),
                ("known_normal", label.normal, ("normal",)),
                ("unlabeled", label.unlabeled, ("unlabeled",)),
            ):
                if (words and words != usual) or (not words and usual[0] in (*label.anomaly, *label.normal)):
                    settings[key] = list(words)
        usual_dialect = type(dialect)()
        rest: dict[str, Any] = {
            "part": self.part,
            "ignore": list(self.ignore) or None,
            "categorical": list(self.categorical) or None,
        }
        for key in ("missing_values", "infinite", "delimiter", "decimal", "encoding", "header", "skip_rows"):
            value = getattr(dialect, key)
            rest[key] = None if value == getattr(usual_dialect, key) else value
        settings |= {key: list(value) if isinstance(value, tuple) else value for key, value in rest.items()}
        return {key: value for key, value in settings.items() if value is not None}

    def preset(self) -> str:
        """What is recommended for such labels."""
        return "recommended" if self.label is not None and self.label.anomaly else "label_free"


def propose(table: TableProfile, label: str | None = None) -> Proposal:
    """Propose settings for a table.

    Raises:
        InputError: there is no such column.
    """
    names = [column.name for column in table.columns]
    if label is not None and label not in names:
        raise InputError(f"--label {label}: {table.path} has no such column; it has {', '.join(names)}")
    label_column = next((each for each in table.columns if each.name == label), None) or guess_label(table.columns)
    meaning = None if label_column is None else explain_words(label_column)
    part = next((each.name for each in table.columns if _is_part(each)), None)
    ignore: dict[str, str] = {}
    notes: dict[str, list[str]] = {}
    categorical = []
    for column in table.columns:
        if column.name in (part, meaning.column if meaning else None):
            continue
        reason = _reason_to_ignore(column, table)
        if reason is not None:
            ignore.setdefault(column.name, reason)
            continue
        notes[column.name] = list(_notes(column))
        if column.values.kind == "number" and _is_code(column):
            categorical.append(column.name)
    if label_column is not None and meaning is not None:
        for column in table.columns:
            if column.name in notes and (leak := _leak(column, label_column, meaning)):
                if column.values.kind == "category":
                    ignore[column.name] = leak
                    del notes[column.name]
                else:
                    notes[column.name].append(leak)
    return Proposal(meaning, part, ignore, tuple(categorical), notes, tuple(_problems(table, ignore, meaning)))


def guess_label(columns: Sequence[ColumnProfile]) -> ColumnProfile | None:
    """The column that looks most like labels: by its name, and by words such as normal, fraud or BENIGN."""
    points = [(_label_points(column), column) for column in columns]
    best = max((score for score, _ in points), default=0)
    return next(column for score, column in points if score == best) if best >= 3 else None


def explain_words(column: ColumnProfile) -> Label:
    """What the words of a label column mean, as far as they say it; words that say nothing are unlabeled.

    Where one word says normal, all others name kinds of anomalies, as attacks do; -1, 0 and 1 are ``semi``.
    """
    words = list(column.counts)
    if set(words) <= {"-1", "0", "1"} and "-1" in words:
        return Label(column.name, *(tuple(word for word in words if word == each) for each in ("-1", "1", "0")))
    normal = tuple(word for word in words if _plain(word) in NORMAL)
    unlabeled = tuple(word for word in words if _plain(word) in UNLABELED)
    anomaly = tuple(word for word in words if _plain(word) in ANOMALY)
    others = tuple(word for word in words if word not in {*normal, *unlabeled, *anomaly})
    if normal:
        return Label(column.name, tuple(sorted((*anomaly, *others))), normal, unlabeled)
    return Label(column.name, anomaly, normal, tuple(sorted((*unlabeled, *others))))


def _plain(word: str) -> str:
    return word.strip().strip(".'").lower().replace("_", " ")


def _label_points(column: ColumnProfile) -> int:
    words = column.counts
    if not words or len(words) > 100 or column.repeated or column.values.kind == "time":
        return 0
    plain = {_plain(word) for word in words}
    numbers = plain <= {"-1", "0", "1"} or plain == {"true", "false"}
    says = bool(plain & (NORMAL | ANOMALY)) and (numbers or bool({*plain} - {str(k) for k in range(100)}))
    has_name = bool(_LABEL_NAME.search(column.name.strip()))
    if numbers:
        return 3 if has_name and len(words) + bool(column.missing) > 1 else 0
    return 2 * says + 2 * has_name if says and column.values.kind == "category" else 0


def _is_part(column: ColumnProfile) -> bool:
    words = set(column.counts)
    return len(words) > 1 and words <= set(PARTS) and not column.missing


def _is_code(column: ColumnProfile) -> bool:
    numbers = column.values.numbers[~np.isnan(column.values.numbers)]
    whole = bool((numbers == np.round(numbers)).all())
    return whole and column.distinct <= _FEW_CODES and bool(_CODE_NAME.search(column.name))


def _reason_to_ignore(column: ColumnProfile, table: TableProfile) -> str | None:
    values, rows, distinct = column.values, table.rows, column.distinct
    twice = [each for each in table.columns if each.name == column.name]
    if not column.name or column.name.startswith("__index_level_"):
        return "has no name"
    if column.copy:
        return "stands there before, with equal values"
    if len(twice) > 1:
        return f"stands there {len(twice)} times; rename one to keep both"
    if values.kind not in ("number", "boolean", "category", "time"):
        return values.kind
    if not distinct:
        return "no value"
    if distinct == 1 and not column.missing:
        return "one value in every row"
    if values.kind == "time":
        problem = column.times[1]
        return None if problem is None else f"time stamps: {problem}"
    if values.kind == "category":
        mixed = [word for word in values.words if LIKE_A_NUMBER.fullmatch(word)]
        if len(mixed) > len(values.words) / 2:
            return f"numbers and words, such as {next((w for w in values.words if w not in mixed), mixed[0])!r}"
        if distinct > ALL_DIFFER * rows or (_ID_NAME.search(column.name) and distinct > rows / 2):
            return "another word in nearly every row: an identifier"
        return None
    if values.kind == "number" and rows > 20:
        numbers = values.numbers
        if not column.missing and len(set(np.diff(numbers).tolist())) == 1:
            return "counts the rows"
        if _ID_NAME.search(column.name) and distinct > ALL_DIFFER * rows and (numbers == np.round(numbers)).all():
            return "another number in nearly every row: an identifier"
        if np.nanmax(np.abs(numbers)) > 3e38:
            return "values above 3e38"
    return None


def _notes(column: ColumnProfile) -> Iterator[str]:
    values, rows = column.values, len(column.values.numbers)
    if column.infinite:
        yield f"{column.infinite:,} infinite"
    if column.missing_words:
        yield f"{', '.join(map(repr, column.missing_words))} for missing"
    if column.missing > rows / 2:
        yield "mostly missing"
    if values.kind == "category" and column.distinct > MAX_CATEGORIES:
        yield f"many words: hashed into {HASH_BUCKETS} columns"
    times, _ = column.times if values.kind == "time" else (None, None)
    if times is not None:
        yield f"time stamps: {' and '.join(_CYCLES[period] for period in times.periods())}"
        if (others := int((~times.is_read).sum())) > 0:
            yield f"{others:,} other values count as missing"
        if column.distinct == rows and bool((np.diff(times.seconds[values.numbers.astype(np.int64)]) > 0).all()):
            yield "one a row, in order: their date is not used"
    if values.kind != "number":
        return
    ordered = np.unique(values.numbers[~np.isnan(values.numbers)])
    if len(ordered) > 1 and ordered[0] in _MISSING_CODES and ordered[1] > ordered[0] / 2:
        yield f"{ordered[0]:g} for missing? {setting('data.missing_values', [int(ordered[0])])}"
    sizes = np.abs(values.numbers[~np.isnan(values.numbers)])
    usual = float(np.quantile(sizes, 0.99))
    if len(sizes) > 100 and usual > 0 and sizes.max() > 1e6 * usual:
        yield f"one value of {sizes.max():.3g}, a million times the others"


def _leak(column: ColumnProfile, label_column: ColumnProfile, label: Label) -> str | None:
    """Why a column gives the label away by itself, as a second label or the name of the attack does; or None."""
    words = label_column.values.as_words()
    anomalous = np.array([*(word in label.anomaly for word in words.words), False])
    y = anomalous[words.positions]
    return "tells the label by itself: is it known before?" if tells_label(column.values, y, ~y) else None


def _problems(table: TableProfile, ignore: Mapping[str, str], label: Label | None) -> Iterator[str]:
    if table.ragged:
        yield f"{table.ragged:,} rows have more or fewer fields than the header; mend or remove them"
    for column in table.columns:
        if column.values.kind == "time" and column.times[0] is None:
            yield f"{column.name} {column.times[1]}"
        if column.values.kind == "category" and (odd := odd_numbers(column.values.words)) is not None:
            yield f"{column.name} holds numbers such as {odd}, which are read as words; write them as -1.5"
    if label is None:
        yield "no column looks like labels: without any, what is rare is found; or name one with --label COLUMN"
    elif not label.anomaly:
        yield (
            f"no word of {label.column} says what an anomaly is; name them with "
            f"{setting('data.known_anomaly', list(label.unlabeled[:3]) or ['WORD'])}, and out of data.unlabeled"
        )
    if not set(each.name for each in table.columns) - {*ignore, label.column if label else ""}:
        yield "no column is left to learn from; keep one"
    if table.rows < 100:
        yield f"{table.rows} rows are few: some hundred are needed for a threshold that promises a rate"
