"""Scaling of the columns, fitted on training rows that are not known anomalies, never on ``y``.

Every scaling is one multiplication and one addition a column, ``x * scale + shift``. ruff2020 standardises tables
(appendix B); its code then maps them to [0, 1], which undoes the first step but for rounding, so that both together are
``min_max``. Pixels are divided by 255 whatever is chosen (section 4.2).
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sad_lightning.checks import choice
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.split import Split

Column = NDArray[np.float32]


class Affine(NamedTuple):
    """``x * scale + shift``, both ``(D,)`` for tables and ``(1,)`` for pixels."""

    scale: Column
    shift: Column


def fill_missing(arrays: Arrays, split: Split) -> tuple[Arrays, Column | None]:
    """The rows with missing numbers filled in, and ``(D,)`` what with: the median of unlabeled and known normal rows.

    A column that has no value in these rows is filled with 0. Images, and tables without a schema, have none missing.
    """
    if arrays.x.dtype == np.uint8 or arrays.schema is None:
        return arrays, None
    rows, fill = arrays.x[split.train[split.semi >= 0]], np.zeros(arrays.x.shape[1], dtype=np.float32)
    for column in np.flatnonzero(~np.isnan(rows).all(axis=0)):
        fill[column] = np.nanmedian(rows[:, column])
    return replace(arrays, x=np.where(np.isnan(arrays.x), fill, arrays.x)), fill


def fit_affine(arrays: Arrays, split: Split, *, scaling: str, fit_rows: str) -> Affine:
    """Fit the scaling of one cell.

    Args:
        arrays: the data set.
        split: the rows of the cell.
        scaling: ``min_max`` to [0, 1], ``standardize`` to mean 0 and deviation 1, or ``none``.
        fit_rows: ``training`` fits on the unlabeled and known normal rows; ``split`` on the whole training half,
            anomalies that never train included, as the code of ruff2020 does.

    Raises:
        InputError: a word is unknown.
    """
    choice("preprocess.scaling", scaling, ("min_max", "standardize", "none"))
    choice("preprocess.fit_rows", fit_rows, ("training", "split"))
    if arrays.x.dtype == np.uint8:
        return Affine(np.array([1 / 255], dtype=np.float32), np.zeros(1, dtype=np.float32))
    rows = arrays.x[split.half if fit_rows == "split" else split.train[split.semi >= 0]].astype(np.float64)
    if scaling == "min_max":
        low, width = rows.min(axis=0), np.ptp(rows, axis=0)
    elif scaling == "standardize":
        low, width = rows.mean(axis=0), rows.std(axis=0)
    else:
        low, width = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
    scale = np.divide(1, width, out=np.zeros_like(width), where=width > 0)  # a constant column maps to 0
    return Affine(scale.astype(np.float32), (-low * scale).astype(np.float32))
