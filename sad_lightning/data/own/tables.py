"""Own tables from CSV, parquet or npz: numbers, booleans, words, which are one-hot encoded, and time stamps.

A column of more words than ``max_categories`` is hashed: the word's bucket is one-hot encoded.

Features are all columns except those with a role (label, truth, part, group) and those to ignore. A missing number is
imputed with the median of the training rows, or refused; a word that is missing, or that training never saw, is 0 in
all its one-hot columns. Of a time stamp the time of day and the weekday are seen, for these come back; how late it is
would make every new row an anomaly.

Where a column holds texts, they alone train, as the numbers of their words (``data.words``).
"""

import warnings
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sad_lightning.checks import choice, path_of, true_or_false, whole_number
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.own.address import Place, is_address
from sad_lightning.data.own.labels import own_labels, semi_of
from sad_lightning.data.own.leaks import tells_label
from sad_lightning.data.own.parts import DataPart, check_data, find_parts, is_many, place_of
from sad_lightning.data.own.reading import raw_rows, read_table, text_rows
from sad_lightning.data.own.renewal import FileRows
from sad_lightning.data.own.sample import ReadRows, read_parts
from sad_lightning.data.own.times import are_times, time_column
from sad_lightning.data.own.values import FRAME, LIKE_A_NUMBER, Table, Values, ignoring, listed, odd_numbers, setting
from sad_lightning.data.schema import MOST_BUCKETS, Column, Dialect, TableSchema, TextSchema, centers_of
from sad_lightning.data.words import words_of
from sad_lightning.errors import InputError

ALL_DIFFER = 0.95  # of the rows: words that differ in more of them are identifiers, and are not hashed


def table(
    path: str,
    label: str | None,
    known_anomaly: Sequence[object],
    known_normal: Sequence[object],
    unlabeled: Sequence[object],
    truth: str | None,
    normal: Sequence[object],
    part: str | None,
    group: str | None,
    ignore: Sequence[str],
    categorical: Sequence[str],
    max_categories: int,
    hash_buckets: int,
    missing: str,
    missing_values: Sequence[object],
    infinite: str,
    delimiter: str | None,
    decimal: str,
    encoding: str,
    header: bool,
    skip_rows: int,
    day_first: bool | None,
    text: str | None,
    length: int,
    rows: int | None,
    renew: bool,
) -> Arrays:
    """The rows of a file, or of several.

    Args:
        path: csv, tsv, txt, parquet or npz; a folder of them, a pattern, or an address.
        label: the column of the labels that training may see; None for no labels.
        known_anomaly: its words for a known anomaly.
        known_normal: its words for a known normal.
        unlabeled: its words for an unlabeled row; a missing value means that too.
        truth: the column that only evaluation sees; None evaluates by the labels.
        normal: its words that are normal; all others are anomalies.
        part: the column that says train, validation or test; None draws the parts.
        group: the column whose rows of equal value stay in one part; None for no groups.
        ignore: columns that are left out.
        categorical: columns of numbers that are names.
        max_categories: the most words of a column that each become a column of 0 and 1.
        hash_buckets: into how many such columns more words are hashed; 0 refuses them.
        missing: ``median`` or ``refuse``.
        missing_values: further words for a missing value; for this and the next settings see ``schema.Dialect``.
        infinite: ``refuse`` or ``missing``.
        delimiter: of a CSV, or None.
        decimal: its decimal point.
        encoding: its encoding.
        header: whether it begins with column names.
        skip_rows: lines before the header.
        day_first: whether 1/2/2026 is the first of February; None where the values of a column say it.
        text: the column of texts, which alone trains then; None for a table of numbers and categories.
        length: how many words of a text are read.
        rows: of more rows, read a sample of so many that keeps every labeled row; None for all.
        renew: whether networks train on other rows of the files in each epoch.

    Raises:
        InputError: a setting or the file is wrong; the message names the column.
    """
    name = str(path) if is_address(str(path)) else str(path_of("data.path", path))
    file = place_of(name)
    whole_number("data.length", length)
    whole_number("data.max_categories", max_categories, least=2)
    whole_number("data.hash_buckets", hash_buckets, least=0, most=MOST_BUCKETS)
    choice("data.missing", missing, ("median", "refuse"))
    if day_first is not None:
        true_or_false("data.day_first", day_first)
    settings = {"label": label, "truth": truth, "part": part, "group": group}
    names = {role: str(name) for role, name in settings.items() if name is not None}
    texts = None if text is None else str(text)
    if texts in names.values():
        raise InputError(f"data.text={texts}: is the column of the labels, parts or groups too; name another")
    categories, ignored = _names(categorical), _names(ignore)
    dialect = Dialect(delimiter, decimal, encoding, header, skip_rows, tuple(_names(missing_values)), infinite)
    words = [*names.values(), *categories, *_names(texts)]
    if rows is not None:
        whole_number("data.rows", rows, least=100)

    meaning = {"known_anomaly": known_anomaly, "known_normal": known_normal, "unlabeled": unlabeled}

    def is_labeled(part: DataPart, values: Values) -> NDArray[np.bool_]:
        return semi_of(part.place, values, **meaning).astype(bool)

    if true_or_false("data.renew", renew):
        _check_renewal(rows, part=part, group=group, text=text)
    many = is_many([name])
    if many:
        check_data([name])
    renewal = None
    if many or rows is not None:
        files = find_parts([name]) if many else [DataPart(file, file.name)]
        columns, which = read_parts(
            name, files, words, ignored, dialect, label=names.get("label"), is_labeled=is_labeled, rows=rows
        )
        if renew:
            renewal = FileRows(files, names.get("label"), is_labeled)
            which += "; networks train on others of them in each epoch (data.renew)"
        if which:
            warnings.warn(ReadRows(which), stacklevel=2)
    else:
        columns = read_table(file, words, ignored, dialect)
    for key, name in [
        *names.items(),
        *(("text", n) for n in _names(texts)),
        *(("ignore", n) for n in ignored),
        *(("categorical", n) for n in categories),
    ]:
        if name not in columns:
            raise InputError(f"data.{key}={name}: {file} has no such column; it has {listed(list(columns))}")
    roles = {role: columns[name].as_words() for role, name in names.items()}
    n = len(next(iter(columns.values())).numbers)
    target, classes, labels = own_labels(file, n, roles, normal=normal, **meaning)
    if texts is not None:
        x, schema = _texts(file, columns, texts, length, {*names.values(), *ignored}, dialect)
        return Arrays(x, target.astype(np.int64), classes, labels=labels, schema=schema)
    features = {name: values for name, values in columns.items() if name not in {*names.values(), *ignored}}
    if not features:
        raise InputError(f"{file}: must hold a column beside {listed([*names.values(), *ignored])}; there is none")
    aside = tuple(name for name in columns if name not in features)
    of_table = fit_schema(file, features, categories, max_categories, hash_buckets, missing, day_first)
    of_table = replace(of_table, aside=aside, dialect=dialect)
    raw, _ = raw_rows(file, features, of_table, first=1)
    x = of_table.expand(raw)
    _warn(file, x, of_table)
    _warn_of_leaks(file, {name: features[name] for name in of_table.names}, labels.semi)
    return Arrays(x, target.astype(np.int64), classes, labels=labels, schema=of_table, renewal=renewal)


def _texts(
    path: Place, columns: Table, name: str, length: int, known: Collection[str], dialect: Dialect
) -> tuple[NDArray[np.float32], TextSchema]:
    """The raw rows of a column of texts, ``(N, length + 2)``, with all words of the file as their vocabulary.

    Raises:
        InputError: no text holds a word.
    """
    values = columns[name]
    words = sorted({word for text in values.words for word in words_of(text)})
    if not words:
        raise InputError(f"{path}: column {name} must hold texts, no value has a word; name another with data.text")
    others = [other for other in columns if other not in {name, *known}]
    if others:
        warnings.warn(f"{path.name}: the texts of {name} train alone, without {listed(others)}", stacklevel=3)
    aside = tuple(other for other in columns if other != name)
    schema = TextSchema(name, tuple(words), length, aside=aside, dialect=dialect)
    return text_rows(values, schema), schema


def _check_renewal(rows: int | None, **others: str | None) -> None:
    """Refuse what rows that come and go can not heed."""
    if rows is None:
        raise InputError("data.renew=true takes other rows in each epoch, and data.rows says how many; set it")
    for key, value in others.items():
        if value is not None:
            raise InputError(
                f"data.{key}={value}: rows that are renewed have no parts, groups or texts; leave it out, or set "
                f"data.renew=false"
            )


def _names(value: Any) -> list[str]:
    """A setting that is a column, a list of columns or None, as a list of names."""
    values = [] if value is None else value if isinstance(value, list | tuple) else [value]
    return [str(each) for each in values]


def fit_schema(
    path: Place,
    features: Table,
    categorical: Sequence[str],
    max_categories: int,
    hash_buckets: int,
    missing: str,
    day_first: bool | None = None,
) -> TableSchema:
    """The schema of the columns.

    Raises:
        InputError: a column holds no value, another word in nearly every row, time stamps in which nothing comes back,
            or values that are neither numbers, words nor time stamps.
    """
    columns = []
    for name, values in features.items():
        if name in categorical:
            columns.append(_column(path, name, values.as_words(), max_categories, hash_buckets))
        elif values.kind == "category" and are_times(values.words):
            columns.append(time_column(str(path), name, values.words, day_first))
        else:
            columns.append(_column(path, name, _of_one_kind(path, name, values), max_categories, hash_buckets))
            _warn_of_odd_numbers(path, name, values)
    return TableSchema(tuple(columns), missing)


def _of_one_kind(path: Place, name: str, values: Values) -> Values:
    """The values, checked: numbers with a few words among them are refused."""
    others = [text for text in values.words if not LIKE_A_NUMBER.fullmatch(text)]
    if values.kind == "category" and 2 * len(others) < len(values.words):
        odd = others or [text for text in values.words if "," in text]
        if not odd:
            raise InputError(
                f"{path}: column {name} must hold numbers in the digits 0 to 9, it holds {values.words[0]!r}; write "
                f"them so, or {setting('data.categorical', [name])} if they are names"
            )
        plain = [repr(text) for text in values.words if text not in odd]
        among = (
            f"such as {plain[0]}, and {listed(list(map(repr, odd)))}"
            if plain
            else f"all with commas, such as {odd[0]!r}"
        )
        meant = setting("data.missing_values", others[:3]) if others else setting("data.decimal", ",")
        names = setting("data.categorical", [name])
        mend = f"mend it, {meant} if that is what they mean, or {names} if they are names"
        if path == FRAME:
            numbers = f"pandas.to_numeric(X[{name!r}], errors='coerce')"
            mend = f"mend it with {numbers}, or leave it out with {ignoring(path, [name])}"
        raise InputError(f"{path}: column {name} must hold numbers or words, it holds numbers, {among}; {mend}")
    return values


def _warn_of_odd_numbers(path: Place, name: str, values: Values) -> None:
    """Warn of numbers that are words because of their unit, or of how they are spelt."""
    odd = odd_numbers(values.words) if values.kind == "category" else None
    if odd is not None:
        warnings.warn(
            f"{path.name}: {name} holds numbers such as {odd}, which train as words; write them as -1.5, or say "
            f"{setting('data.categorical', [name])} if they are names",
            stacklevel=4,
        )


def _column(path: Place, name: str, values: Values, max_categories: int, hash_buckets: int) -> Column:
    out = f"leave it out with {ignoring(path, [name])}"
    if values.kind not in ("number", "boolean", "category") or np.isnan(values.numbers).all():
        what = "no value" if values.kind in ("number", "boolean", "category") else values.kind
        raise InputError(f"{path}: column {name} must hold numbers or words, it holds {what}; {out}")
    if values.kind == "boolean":
        return Column(name, "boolean")
    if values.kind == "number":
        return Column(name, center=centers_of(values.numbers).item())
    if len(values.words) > max_categories:
        rows = int((~np.isnan(values.numbers)).sum())
        if hash_buckets and len(values.words) <= ALL_DIFFER * rows:
            return Column(name, "hash", buckets=hash_buckets)
        if (odd := odd_numbers(values.words)) is not None:
            raise InputError(
                f"{path}: column {name} must hold numbers or words, it holds numbers such as {odd}; write them as "
                f"-1.5, or {out}"
            )
        raise InputError(
            f"{path}: column {name} must hold at most {max_categories} words (data.max_categories), or words that come "
            f"back, which are hashed (data.hash_buckets), it holds {len(values.words)} in {rows} rows, such as "
            f"{listed([repr(text) for text in values.words[:3]])}; if they are names or identifiers, {out}; if they "
            f"are texts, which then train alone, {setting('data.text', name)} network=sentence method=dp_vae"
        )
    return Column(name, "category", tuple(sorted(values.words)))


def _warn_of_leaks(path: Place, columns: Table, semi: NDArray[np.int8]) -> None:
    """Warn of names that tell the label; a measurement that does so is a good one."""
    known = semi < 0
    other = semi > 0 if (semi > 0).any() else ~known
    leaks = [name for name, values in columns.items() if _are_names(values) and tells_label(values, known, other)]
    if leaks:
        warnings.warn(
            f"{path.name}: {listed(leaks)} tells the label by itself; if it is known only once the label is, leave it "
            f"out with {ignoring(path, leaks)}",
            stacklevel=3,
        )


def _are_names(values: Values) -> bool:
    """Whether the values are words, or two numbers."""
    if values.kind != "number":
        return values.kind in ("boolean", "category")
    numbers = values.numbers[~np.isnan(values.numbers)]
    low, high = numbers.min(), numbers.max()
    return bool(low < high and ((numbers == low) | (numbers == high)).all())


def _warn(path: Place, x: np.ndarray, schema: TableSchema) -> None:
    source = schema.sources()[0]
    own_scale = np.array([column.kind not in ("hash", "time") for column in schema.columns])[source]
    x, source = x[:, own_scale], source[own_scale]
    if not x.size:
        return
    low, high = np.nanmin(x, axis=0), np.nanmax(x, axis=0)
    constant = int((low == high).sum())
    if constant:
        warnings.warn(f"{path.name}: {constant} of {x.shape[1]} columns are constant", stacklevel=3)
    counting = [schema.columns[source[k]].name for k in np.flatnonzero((np.diff(x[:1000], axis=0) == 1).all(axis=0))]
    if counting and len(x) > 20:
        warnings.warn(
            f"{path.name}: {listed(counting)} counts the rows; where these are sorted it tells their labels, leave it "
            f"out with {ignoring(path, counting)}",
            stacklevel=3,
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column may have no value in these rows
        first, third = np.nanpercentile(x[:: max(1, len(x) // 1000)], (25, 75), axis=0)
    crowded = (third > first) & (third - first < 1e-6 * (high - low))
    names = sorted({schema.columns[k].name for k in source[crowded]})
    if names:
        warnings.warn(
            f"{path.name}: {listed(names)} hold values so far from the others that these become one value; mend them, "
            f"or take logarithms",
            stacklevel=3,
        )
    tiny = (high > low) & (high - low < np.finfo(np.float32).tiny)
    names = sorted({schema.columns[k].name for k in source[tiny]})
    if names:
        warnings.warn(
            f"{path.name}: {listed(names)} differ by less than single precision holds and map to 0; multiply them",
            stacklevel=3,
        )
