"""Other rows of parquet files in each epoch, so that a network trains on more of them than memory holds.

A pass goes over the row groups of all files, in an order of its own, and an epoch takes the next rows of it. So what an
epoch reads depends on its number alone, and a stage that resumes reads what it would have read. Memory holds one row
group beside the rows of an epoch.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.own.arrow import ArrowFile
from sad_lightning.data.own.labeled_split import row_hash
from sad_lightning.data.own.parts import DataPart
from sad_lightning.data.own.reading import raw_rows, read_batches
from sad_lightning.data.own.values import Values
from sad_lightning.data.schema import Schema, TableSchema
from sad_lightning.errors import InputError
from sad_lightning.seeding import derive


class RowGroup(NamedTuple):
    """A row group of a parquet; ``first`` rows of the file come before it."""

    part: DataPart
    number: int
    first: int
    rows: int


class FileRows:
    """The rows of the files that a table is a sample of.

    ``is_labeled`` says of the values of the column ``label``, if there is one, which are labels.

    Raises:
        InputError: a file is no parquet.
    """

    def __init__(
        self,
        parts: Sequence[DataPart],
        label: str | None,
        is_labeled: Callable[[DataPart, Values], NDArray[np.bool_]],
    ) -> None:
        for part in parts:
            if part.place.suffix.lower() != ".parquet":
                raise InputError(
                    f"{part.place}: must be parquet, whose rows are read without those before them (data.renew=true); "
                    f"write it as parquet, or set data.renew=false"
                )
        self.label, self.is_labeled = label, is_labeled
        self.groups = [group for part in parts for group in _groups(part)]
        self.parts = tuple(parts)

    @cached_property
    def content(self) -> str:
        """A digest of the names and the states of the files."""
        states = "".join(f"{part.name} {part.state()}\n" for part in self.parts)
        return blake2b(states.encode(), digest_size=10).hexdigest()

    def rows(self, epoch: int, n: int, schema: Schema, held_out: NDArray[np.uint64]) -> NDArray[np.float32]:
        """The unlabeled ones among the n rows that an epoch takes from a pass, ``(<= n, D)``.

        Rows with a ``row_hash`` in ``held_out`` do not come.

        Raises:
            InputError: a file does not fit the schema.
        """
        assert isinstance(schema, TableSchema)  # others are refused
        parts = [self._read(*stretch, schema) for stretch in self._stretches(epoch * n, n)]
        x = schema.expand(np.concatenate(parts))
        return x[~np.isin(row_hash(x), held_out)]

    def _stretches(self, start: int, n: int) -> Iterator[tuple[RowGroup, int, int]]:
        """The row groups of n rows of the passes, from row ``start`` on, each with where its rows begin and end."""
        number, start = divmod(start, sum(group.rows for group in self.groups))
        while n:
            order = np.random.default_rng(derive(0, "renew", number)).permutation(len(self.groups))
            for group in (self.groups[position] for position in order):
                rows = min(max(group.rows - start, 0), n)
                if rows:
                    yield group, start, start + rows
                start, n = max(start - group.rows, 0), n - rows
            number += 1

    def _read(self, group: RowGroup, start: int, end: int, schema: TableSchema) -> NDArray[np.float32]:
        """Raw rows of a row group without labeled ones, ``(<= end - start, C)``."""
        part, label, read, first = group.part, self.label, list[NDArray[np.float32]](), 0
        keep = [] if label is None else [label]
        for table in read_batches(part.place, schema, keep=keep, constant=part.partitions, group=group.number):
            raw, _ = raw_rows(part.place, table, schema, 1 + group.first + first)
            position = np.arange(first, first + len(raw))
            free = (start <= position) & (position < end)
            if label is not None:
                free &= ~self.is_labeled(part, table[label].as_words())
            read.append(raw[free])
            first += len(raw)
        return np.concatenate(read)


def _groups(part: DataPart) -> Iterator[RowGroup]:
    metadata = ArrowFile(part.place).parquet_file().metadata
    first = 0
    for number in range(metadata.num_row_groups):
        rows = metadata.row_group(number).num_rows
        if rows:
            yield RowGroup(part, number, first, rows)
        first += rows
