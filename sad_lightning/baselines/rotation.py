"""Rotated columns, by which trees whose splits are parallel to the columns split in oblique directions too."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sad_lightning.baselines.baseline import Floats

if TYPE_CHECKING:
    from torch import Tensor

_ROUNDING = 1e-12  # an axis with less than this share of the largest variance holds only rounding errors of float32


def rotated_axes(x: NDArray[np.float32], rotations: int, generator: np.random.Generator) -> Floats:
    """The axes of the rotated columns, ``(R, D)``: the principal axes, then random rotations (Blaser, Fryzlewicz 2016).

    The principal axes of rows ``(n, D)`` depend on the scales of the columns. No blocks of axes are none.
    """
    columns = x.shape[1]
    if not rotations:
        return np.empty((0, columns))
    centred = x - x.mean(axis=0, dtype=np.float64)
    spread, vectors = np.linalg.eigh(centred.T @ centred)
    principal = vectors.T[spread > _ROUNDING * spread.max()]
    random = [np.linalg.qr(generator.normal(size=(columns, columns)))[0] for _ in range(rotations - 1)]
    return np.concatenate([principal, *random])


def with_rotated(x: NDArray[np.float32], axes: Floats) -> NDArray[np.float32]:
    """The rows' own columns and the rotated ones, ``(B, D)`` to ``(B, D + R)``."""
    return np.hstack([x, (x.astype(np.float64) @ axes.T).astype(np.float32)])


def torch_with_rotated(x: "Tensor", axes: "Tensor") -> "Tensor":
    """``with_rotated`` in torch operations."""
    import torch

    return torch.hstack([x.float(), (x.double() @ axes.T).float()])


def by_own_columns(added: Floats, axes: Floats) -> Floats:
    """What own and rotated columns add to a score, ``(B, D + R)``, as what own columns do, ``(B, D)``.

    The part of a rotated column is divided among the columns by their squared loadings, which sum to one.
    """
    own, rotated = np.split(added, [axes.shape[1]], axis=1)
    return np.asarray(own + rotated @ axes**2)
