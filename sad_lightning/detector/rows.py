"""What a caller gives a detector as ``X``, as raw rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sad_lightning.data.own.frames import frame_of
from sad_lightning.data.own.values import FRAME, check_names_once
from sad_lightning.data.schema import TableSchema
from sad_lightning.errors import InputError, first_line


def as_frame(X: Any) -> Any:
    """Rows with named columns that are no data frame yet, as one; anything else as it is.

    These are a lazy frame, which is collected, a structured array, a dictionary of columns, and a list of dictionaries,
    each of which is a row.

    Raises:
        InputError: pyarrow is not installed, or a column can not be read.
    """
    if type(X).__name__ == "LazyFrame":
        return X.collect()
    if isinstance(X, np.ndarray) and X.dtype.names:
        return frame_of({name: X[name].astype(X[name].dtype.newbyteorder("=")) for name in X.dtype.names})
    if isinstance(X, Mapping) and not hasattr(X, "shape"):  # which one of SciPy's sparse matrices has
        return frame_of(X)
    if isinstance(X, list | tuple) and X and all(isinstance(row, Mapping) for row in X):
        names = dict.fromkeys(name for row in X for name in row)
        return frame_of({name: [row.get(name) for row in X] for name in names})
    return X


def as_array(X: Any) -> Any:
    """A tensor and sparse columns of pandas as dense ones, a masked value as a missing one; anything else as it is.

    Raises:
        InputError: it is a tensor without numbers, or holds times.
    """
    if isinstance(X, torch.Tensor):
        try:
            X = (X.float() if X.dtype is torch.bfloat16 else X).detach().cpu().numpy()  # numpy has no bfloat16
        except (TypeError, RuntimeError) as error:
            raise InputError(f"X: a tensor must be dense and hold numbers ({first_line(error)}); mend it") from error
    if isinstance(X, np.ma.MaskedArray):
        X = np.ma.filled(X.astype(np.float64), np.nan)
    if hasattr(X, "sparse"):  # of a frame whose columns all are
        X = X.sparse.to_dense()
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        check_names_once(FRAME, [str(name) for name in X.columns])
    if isinstance(X, np.ndarray) and X.dtype.kind in "mM":
        raise InputError(f"X must hold numbers, it holds {X.dtype}; give times as columns of a data frame")
    return X


def centered_rows(rows: NDArray[Any], schema: TableSchema) -> NDArray[np.float32]:
    """Raw rows of numbers, ``(N, C)``, less the centers of their columns.

    Raises:
        InputError: a number is too large.
    """
    raw = schema.centered(rows)
    if np.isinf(raw).any():
        row, column = np.argwhere(np.isinf(raw))[0]
        raise InputError(
            f"X must hold numbers below 3e38, it holds {rows[row, column]:g} in row {row}, column "
            f"{schema.names[column]}; mend it"
        )
    return np.require(raw, requirements=["C", "W"])


def numbered(count: int) -> list[str]:
    """The names of columns that have none."""
    return [f"x{k}" for k in range(count)]
