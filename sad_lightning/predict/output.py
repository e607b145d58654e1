"""Writes columns batch by batch as csv, parquet or npz: the whole file, or nothing."""

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sad_lightning.errors import extra
from sad_lightning.files import whole_file
from sad_lightning.predict.rows import Columns

SUFFIXES = (".csv", ".parquet", ".npz")


@contextmanager
def column_writer(
    path: Path, metadata: Callable[[], Mapping[str, str]] = dict[str, str]
) -> Iterator[Callable[[Columns], None]]:
    """A function that writes the columns of one batch; the file gets its name after the block, unless it raised.

    ``metadata`` is called in the end, for a parquet; other files have none.

    Raises:
        InputError: pyarrow is not there, and a table is asked for.
    """
    with (
        whole_file(path) as part,
        _npz(part) if path.suffix.lower() == ".npz" else _table(path, part, metadata) as write,
    ):
        yield write


@contextmanager
def _npz(part: Path) -> Iterator[Callable[[Columns], None]]:
    batches: list[Columns] = []
    yield batches.append
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:  # np.savez takes no array called file
        for name in batches[0]:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, _concatenate([batch[name] for batch in batches]), allow_pickle=False)


def _concatenate(parts: Sequence[Any]) -> Any:
    values = np.concatenate(parts)
    if values.dtype == object:  # words, None where missing
        return np.array(["" if value is None else value for value in values])
    return values


@contextmanager
def _table(path: Path, part: Path, metadata: Callable[[], Mapping[str, str]]) -> Iterator[Callable[[Columns], None]]:
    with extra("table", f"{path}: CSV or parquet", instead="choose --output scores.npz"):
        import pyarrow
        from pyarrow import csv, parquet
    writer: Any = None
    with ExitStack() as stack:

        def write(columns: Columns) -> None:
            nonlocal writer
            table = pyarrow.table(columns)
            if writer is None:  # the types of the columns are those of the first batch
                kind = csv.CSVWriter if path.suffix.lower() == ".csv" else parquet.ParquetWriter
                writer = stack.enter_context(kind(part, table.schema))
            writer.write_table(table)

        yield write
        if path.suffix.lower() == ".parquet" and writer is not None and (entries := dict(metadata())):
            writer.add_key_value_metadata(entries)
