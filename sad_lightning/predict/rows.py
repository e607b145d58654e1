"""Reads raw rows of tables, texts and images batch by batch, with the row number or the file name of each.

Only an npz is read as a whole; otherwise memory does not grow with the number of rows.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.arrays import read_npz_all
from sad_lightning.data.own.address import Place
from sad_lightning.data.own.image_folder import image_files, read_images
from sad_lightning.data.own.reading import SUFFIXES, count_rows, raw_rows, read_batches, text_rows
from sad_lightning.data.own.values import listed
from sad_lightning.data.schema import ImageSchema, Schema, TableSchema, TextSchema
from sad_lightning.errors import InputError

Columns = dict[str, NDArray[Any]]
IMAGE_ARRAYS = ("images", "test_images")  # of an npz the first of these arrays is read
_NONE: Mapping[str, str] = {}
_BATCH = 1 << 13  # images of an npz that are read at a time


def raw_batches(
    data: Place,
    schema: Schema,
    unknown: dict[str, int],
    *,
    keep: Sequence[str] = (),
    ignore: Sequence[str] = (),
    array: str | None = None,
    constant: Mapping[str, str] = _NONE,
) -> tuple[int | None, Iterator[tuple[Columns, NDArray[Any]]]]:
    """The number of rows, or None, and batches of raw rows with a column ``row``, numbered from 1, or ``file``.

    The rows are of a table, a folder of images, an image, or an npz; of a table further columns are kept, or ignored,
    or constant as its folders name them. Adds to ``unknown`` by column how many values are unknown categories.

    Raises:
        InputError: the data can not be read, or does not fit.
    """
    if isinstance(schema, TableSchema | TextSchema):
        return count_rows(data), _table_batches(data, schema, keep, ignore, unknown, constant)
    if not isinstance(data, Path):
        raise InputError(f"{data}: images are read from this machine alone; copy them here")
    return _image_batches(data, schema, keep, ignore, array)


def check_finite(data: Place, kind: str, names: NDArray[Any], scores: NDArray[np.float64]) -> None:
    """Refuse scores that are not finite, and name the row, or the file, as ``kind`` says."""
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise InputError(
            f"{data}: {kind} {names[bad[0]]}{more}: must hold values that the network can take, the score is not "
            f"finite; mend it or leave it out"
        )


def _table_batches(
    data: Place,
    schema: TableSchema | TextSchema,
    keep: Sequence[str],
    ignore: Sequence[str],
    unknown: dict[str, int],
    constant: Mapping[str, str],
) -> Iterator[tuple[Columns, NDArray[np.float32]]]:
    """Of texts, a word that training did not know is one of the vocabulary's numbers, and no surprise."""
    start = 1
    for table in read_batches(data, schema, keep=keep, ignore=ignore, constant=constant):
        if isinstance(schema, TextSchema):
            raw = text_rows(table[schema.name].as_words(), schema)
        else:
            raw, counts = raw_rows(data, table, schema, start)
            for name, count in counts.items():
                unknown[name] = unknown.get(name, 0) + count
        columns: Columns = {"row": np.arange(start, start + len(raw))}
        yield columns | {name: table[name].as_words().texts() for name in keep}, raw
        start += len(raw)


def _image_batches(
    data: Path, schema: ImageSchema, keep: Sequence[str], ignore: Sequence[str], array: str | None
) -> tuple[int, Iterator[tuple[Columns, NDArray[np.uint8]]]]:
    if keep or ignore:
        raise InputError(f"--keep and --ignore name columns, and {data} holds images; leave them out")
    if data.suffix.lower() != ".npz":
        if data.suffix.lower() in SUFFIXES:
            raise InputError(
                f"{data}: must be images, as in training, it is a table; give a folder, an image or an npz"
            )
        files = image_files(data) if not data.is_file() else [data]
        names = np.array([_spell(file.relative_to(data) if data.is_dir() else file) for file in files])
        return len(files), _with_names("file", names, read_images(files, schema))
    arrays = read_npz_all(data)
    name = array if array is not None else next((each for each in IMAGE_ARRAYS if each in arrays), "")
    if name not in arrays:
        raise InputError(f"{data}: must hold an array of images, it holds {listed(list(arrays))}; name it with --array")
    images = arrays[name][..., None] if arrays[name].ndim == 3 else arrays[name]
    shape = (schema.height, schema.width, schema.channels)
    if images.shape[1:] != shape or images.dtype != np.uint8:
        raise InputError(
            f"{data}: {name} must be (N, {', '.join(map(str, shape))}) uint8, as in training, got {images.shape} "
            f"{images.dtype}; resize it"
        )
    parts = (images[start : start + _BATCH].astype(np.uint8) for start in range(0, len(images), _BATCH))
    return len(images), _with_names("row", np.arange(1, len(images) + 1), parts)


def _spell(path: Path) -> str:
    """The path as text, with bytes that are not UTF-8 as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _with_names(
    kind: str, names: NDArray[Any], parts: Iterator[NDArray[np.uint8]]
) -> Iterator[tuple[Columns, NDArray[np.uint8]]]:
    start = 0
    for part in parts:
        yield {kind: names[start : start + len(part)]}, part
        start += len(part)
