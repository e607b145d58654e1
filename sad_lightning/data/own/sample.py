"""The files of a data set as one table: all rows, or a sample that keeps every labeled row, if not all fit in memory.

Two passes over the files. The first reads the column of the labels alone and counts. The second reads the columns that
are needed. Of every stretch of rows it keeps the labeled ones, and of the others their share, drawn without replacement
by a generator of a fixed seed. So memory holds one stretch and the sample. A stretch is 65,536 rows of a parquet; a CSV
is read whole, since only all its rows tell the types of its columns.
"""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.own.arrow import ArrowFile, arrow_values
from sad_lightning.data.own.parts import DataPart
from sad_lightning.data.own.reading import suffix_of, without_missing
from sad_lightning.data.own.values import Table, Values, check_names_once, listed
from sad_lightning.data.schema import Dialect
from sad_lightning.errors import InputError, error_words
from sad_lightning.seeding import derive

IsLabeled = Callable[[DataPart, Values], NDArray[np.bool_]]
_BYTES = 50  # that a value takes while a detector is fitted, by benchmarks/fit.py
_SHARE = 0.5  # of the memory that a table may take


class ReadRows(UserWarning):
    """Which rows of a data set are read."""


def read_parts(
    name: str,
    parts: Sequence[DataPart],
    words: Collection[str],
    ignore: Collection[str],
    dialect: Dialect,
    *,
    label: str | None,
    is_labeled: IsLabeled,
    rows: int | None,
) -> tuple[Table, str]:
    """The rows of several files, in their order, or a sample of them; and a line that says which.

    Args:
        name: of the data set.
        parts: its files, with equal columns; those that their folders name are read where ``words`` has them.
        words: columns whose values are words.
        ignore: other columns, which are not read.
        dialect: of the files.
        label: the column of the labels, or None.
        is_labeled: says of the values of that column which are labels.
        rows: how many rows there are at most; None for all.

    Raises:
        InputError: a file is wrong or unlike the others, more than ``rows`` are labeled, or memory does not hold all.
    """
    files = [_open(part, dialect, set(ignore) - set(words)) for part in parts]
    names = [n for n in files[0].names if n in words or n not in ignore]
    given = [n for n in words if n not in names and all(n in part.partitions for part in parts)]
    for part, file in zip(parts, files, strict=True):
        unlike = set(names) ^ {n for n in file.names if n in words or n not in ignore}
        if unlike:
            raise InputError(
                f"{part.place}: must have the columns of {parts[0].place}, only one of both has "
                f"{listed(sorted(unlike))}; mend it, or leave them out with data.ignore"
            )
    if rows is None:
        check_memory(name, sum(map(_rows_of, files)), len(names))
        total = labeled = keep = 0
    else:
        total, labeled = _count(parts, files, label, is_labeled)
        keep = max(0, min(rows, total) - labeled)
        if labeled > rows:
            raise InputError(
                f"data.rows={rows}: must hold every labeled row, and {name} has {labeled} of {total}; raise it, or "
                f"name the word of known normals in data.unlabeled, so that they are sampled"
            )
    others, generator, batches, seen = total - labeled, np.random.default_rng(derive(0, "sample")), [], 0
    for part, batch in _stretches(parts, files, names, given, words):
        if keep < others:
            kept = _labels(files[0], part, batch, label, is_labeled)
            free = np.flatnonzero(~kept)
            share = keep * (seen + len(free)) // others - keep * seen // others
            kept[generator.choice(free, share, replace=False)] = True
            batch, seen = batch.filter(files[0].pa.array(kept)), seen + len(free)
        batches.append(batch)
    table = _joined(name, files[0], batches)
    place = parts[0].place
    columns = {
        n: arrow_values(place, n, table.column(n).combine_chunks(), as_words=n in words) for n in (*names, *given)
    }
    columns |= {n: Values("values that are not read", np.full(table.num_rows, np.nan)) for n in ignore
                if n in files[0].names and n not in columns}  # fmt: skip
    files_read = f"{len(parts)} file{'s' * (len(parts) > 1)}"
    count = f"{name}: {table.num_rows:,} rows of {files_read}, numbered in their order"
    if keep < others:
        count = (
            f"{name}: a sample of {table.num_rows:,} of {total:,} rows (data.rows), numbered as they are read: all "
            f"{labeled:,} labeled ones, and {keep:,} of the others, the same share of every stretch of rows"
        )
    return without_missing(columns, dialect), count


def check_memory(name: str, rows: int, columns: int) -> None:
    """Refuse a table that does not fit into memory."""
    memory, value = _memory(), columns * _BYTES
    if memory is not None and rows * value > _SHARE * memory:
        most = int(_SHARE * memory / value)
        raise InputError(
            f"{name}: {rows} rows of {columns} columns take about {rows * value / 2**30:.1f} GiB to train on, of "
            f"{memory / 2**30:.1f}; set data.rows={10 ** int(np.log10(max(most, 10)))}, all labeled ones among them; "
            f"up to {most} fit"
        )


def _memory() -> int | None:
    """Bytes of memory that this process may use: of the machine, or of its container; None if not known."""
    memory = []
    with suppress(AttributeError, ValueError, OSError):
        memory.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            memory.append(int(Path(limit).read_text()))
    return min(memory, default=None)


def _open(part: DataPart, dialect: Dialect, out: Collection[str]) -> ArrowFile:
    if suffix_of(part.place) == ".npz":
        raise InputError(f"{part.place}: an npz is read whole and alone; write parquet, or give its path alone")
    file = ArrowFile(part.place, dialect)
    file.number(out)
    check_names_once(part.place, file.names, out)
    return file


def _rows_of(file: ArrowFile) -> int:
    """The rows of a parquet; 0 of a CSV, which does not say."""
    return 0 if file.is_csv else int(file.parquet_file().metadata.num_rows)


def _count(
    parts: Sequence[DataPart], files: Sequence[ArrowFile], label: str | None, is_labeled: IsLabeled
) -> tuple[int, int]:
    """How many rows there are, and how many of them are labeled."""
    if label is None and not any(file.is_csv for file in files):
        return sum(map(_rows_of, files)), 0
    total = labeled = 0
    own = label is not None and label in files[0].names
    column = str(label) if own else files[0].names[0]
    given = [str(label)] if label is not None and not own else []
    for part, batch in _stretches(parts, files, [column], given, [column]):
        total += batch.num_rows
        labeled += int(_labels(files[0], part, batch, label, is_labeled).sum())
    return total, labeled


def _labels(file: ArrowFile, part: DataPart, batch: Any, label: str | None, is_labeled: IsLabeled) -> NDArray[np.bool_]:
    """Which rows of a batch are labeled, ``(n,)``."""
    if label is None or label not in batch.schema.names:
        return np.zeros(batch.num_rows, dtype=bool)
    values = arrow_values(part.place, label, batch.column(label), as_words=True)
    return is_labeled(part, without_missing({label: values}, file.dialect)[label])


def _stretches(
    parts: Sequence[DataPart],
    files: Sequence[ArrowFile],
    names: Sequence[str],
    given: Sequence[str],
    words: Collection[str],
) -> Iterator[tuple[DataPart, Any]]:
    """Some columns of all files, stretch by stretch; ``given`` are those that the folders name."""
    for part, file in zip(parts, files, strict=True):
        for batch in file.stretches(names, [n for n in words if n in names]):
            for n in given:
                batch = batch.append_column(n, file.pa.array([part.partitions[n]] * batch.num_rows))
            yield part, batch


def _joined(name: str, file: ArrowFile, batches: Sequence[Any]) -> Any:
    """The batches as one Arrow table."""
    try:
        table = file.pa.concat_tables(map(file.pa.table, batches), promote_options="permissive")
    except file.pa.ArrowException as error:
        raise InputError(
            f"{name}: a column must hold values of one kind in all files ({error_words(error)[:300]}); mend "
            f"them, or leave it out with data.ignore"
        ) from error
    if not table.num_rows:
        raise InputError(f"{name}: must hold at least one row, it holds none")
    return table
