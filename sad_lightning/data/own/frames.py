"""Data frames of pandas, polars and others that Arrow reads, on the road that files take."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.own.arrow import arrow_values
from sad_lightning.data.own.reading import check_columns, raw_rows
from sad_lightning.data.own.values import FRAME, Table, check_names_once
from sad_lightning.data.schema import TableSchema
from sad_lightning.errors import InputError, error_words, extra


def is_mixed(frame: Any) -> bool:
    """Whether this is a data frame with a column that is not of numbers or booleans."""
    if not hasattr(frame, "__arrow_c_stream__") or not (hasattr(frame, "columns") or hasattr(frame, "schema")):
        return False  # it has no columns with names
    return not hasattr(frame, "dtypes") or not all(map(_is_number, frame.dtypes))  # a table of pyarrow has none


def frame_table(frame: Any) -> Table:
    """The columns of a data frame.

    Raises:
        InputError: pyarrow is not installed, a name stands twice, or a column can not be read.
    """
    names = [str(name) for name in (frame.columns if hasattr(frame, "dtypes") else frame.schema.names)]
    check_names_once(FRAME, names)
    table = frame_of(frame)
    columns = zip(names, table.columns, strict=False)  # the index of pandas comes after the columns
    return {name: arrow_values(FRAME, name, column.combine_chunks(), as_words=False) for name, column in columns}


def frame_of(columns: Any) -> Any:
    """A data frame, or a dictionary of columns, as a table of pyarrow.

    Raises:
        InputError: pyarrow is not installed, or a column can not be read.
    """
    with extra("table", "X: a frame of names, words or time stamps", instead="give numbers alone"):
        import pyarrow
    try:
        return pyarrow.table(columns)
    except (pyarrow.ArrowException, TypeError, AttributeError) as error:
        raise InputError(f"X: a column must hold values of one kind ({error_words(error)}); mend it") from error


def frame_rows(frame: Any, schema: TableSchema) -> NDArray[np.float32]:
    """The raw rows of a data frame, ``(N, C)``, by the columns of the training.

    Raises:
        InputError: it is no data frame, or its columns are not those of the training.
    """
    if not hasattr(frame, "__arrow_c_stream__"):
        name = next(column.name for column in schema.columns if column.is_text)
        raise InputError(
            f"X must be a data frame with the columns of the training, of which {name} is not of numbers, got "
            f"{type(frame).__name__}"
        )
    table = frame_table(frame)
    check_columns(FRAME, list(table), schema)
    return raw_rows(FRAME, table, schema)[0]


def _is_number(dtype: Any) -> bool:
    """Whether this type of numpy, pandas or polars is of numbers or booleans."""
    kind = getattr(dtype, "kind", None)  # numpy's and pandas'
    return bool(dtype.is_numeric() or str(dtype) == "Boolean") if kind is None else kind in "iufb"
