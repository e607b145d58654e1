"""The RBF kernel, its width, and the choice of rows in a training set that is too large for kernel methods."""

import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sad_lightning.checks import positive, whole_number
from sad_lightning.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]
_CHUNK = 2**24  # entries of a kernel that are computed at a time, 128 MB


def squared_distances(a: Floats, b: Floats) -> Floats:
    """``(A, B)`` squared distances of the rows of ``a`` and ``b``, by one matrix product."""
    distances = a @ b.T
    distances *= -2
    distances += (a * a).sum(axis=1)[:, None]
    distances += (b * b).sum(axis=1)
    return np.maximum(distances, 0, out=distances)  # rounding leaves some below zero


def rbf(distances: Floats, gamma: float, out: Floats | None = None) -> Floats:
    """``exp(-gamma d^2)`` of squared distances; written to ``out`` unless it is None."""
    kernel = np.multiply(distances, -gamma, out=out)
    return np.exp(kernel, out=kernel)


def chunks(rows: int, columns: int) -> list[slice]:
    """Slices of rows by which a ``(rows, columns)`` matrix is computed piece by piece, to save memory."""
    step = max(1, _CHUNK // max(columns, 1))
    return [slice(start, start + step) for start in range(0, rows, step)]


def expansion(x: Floats, vectors: Floats, weights: Floats, gamma: float) -> Floats:
    """``sum_i weights_i k(vectors_i, x)`` for each row of ``x``, ``(B,)``."""
    values = np.empty(len(x))
    for part in chunks(len(x), len(vectors)):
        distances = squared_distances(x[part], vectors)
        values[part] = rbf(distances, gamma, out=distances) @ weights
    return values


def torch_squared_distances(a: "Tensor", b: "Tensor") -> "Tensor":
    """``squared_distances`` in torch operations, ``(A, B)``."""
    return ((a * a).sum(dim=1)[:, None] + (b * b).sum(dim=1) - 2 * a @ b.T).clamp(min=0)


def torch_expansion(x: "Tensor", vectors: "Tensor", weights: "Tensor", gamma: "Tensor") -> "Tensor":
    """``expansion`` in torch operations, ``(B,)``."""
    return (-gamma * torch_squared_distances(x, vectors)).exp() @ weights


def width(gamma: float | str, x: Floats) -> float:
    """The kernel's gamma: a number, or ``scale`` for 1 / (columns times variance), as in scikit-learn; else refused."""
    if gamma == "scale":
        variance = float(x.var())
        return 1 / (x.shape[1] * variance) if variance > 0 else 1.0
    if isinstance(gamma, str):
        raise InputError(f"method.gamma must be a positive number or scale, got {gamma!r}; for example scale")
    return positive("method.gamma", gamma)


def choose_rows(semi: NDArray[np.int8], max_rows: int, random_state: int | None) -> NDArray[np.int64]:
    """At most ``max_rows`` rows, ascending: all labeled ones, and unlabeled ones at random; warns if some are left out.

    Raises:
        InputError: so many rows are labeled that no unlabeled one could be chosen.
    """
    whole_number("method.max_rows", max_rows)
    if len(semi) <= max_rows:
        return np.arange(len(semi))
    labeled, unlabeled = np.flatnonzero(semi != 0), np.flatnonzero(semi == 0)
    if len(labeled) >= max_rows:
        raise InputError(
            f"method.max_rows must be above the number of labeled rows, {len(labeled)}, got {max_rows}; raise it"
        )
    count = max_rows - len(labeled)
    warnings.warn(
        f"fitted on {max_rows} of {len(semi)} rows: {len(labeled)} labeled, and {count} of {len(unlabeled)} unlabeled "
        f"by chance (method.max_rows)",
        stacklevel=3,
    )
    sample = np.random.default_rng(random_state).choice(unlabeled, count, replace=False)
    return np.sort(np.concatenate([labeled, sample]))
