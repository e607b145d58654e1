"""Scaling of the columns, fitted on training rows that are not known anomalies, never on ``y``.

Every scaling is one multiplication and one addition a column, ``x * scale + shift``. ruff2020 standardises tables
(appendix B); its code then maps them to [0, 1], which undoes the first step up to rounding, so that both together are
``min_max``. Pixels are divided by 255 (section 4.2), or all images get one contrast first; the numbers of words stay as
they are.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sad_lightning.checks import choice
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.schema import TableSchema, TextSchema
from sad_lightning.data.split import Split
from sad_lightning.errors import InputError

Floats = NDArray[np.float32]
_PATCHES = 100_000
_IMAGES = 1000  # at a time


class Scaling(NamedTuple):
    """How raw rows are scaled: missing values are imputed with ``fill``, then ``x * scale + shift``.

    Attributes:
        scale: ``(D,)`` for tables, ``(1,)`` for pixels and words.
        shift: of the same shape.
        fill: ``(D,)``; None where no value can be missing: images, and the papers' tables.
        contrast: whether the contrast of each image is normalised before.
    """

    scale: Floats
    shift: Floats
    fill: Floats | None = None
    contrast: bool = False


UNSCALED = Scaling(np.ones(1, dtype=np.float32), np.zeros(1, dtype=np.float32))


def impute(x: NDArray[Any], fill: Floats | None) -> NDArray[Any]:
    """The rows ``(N, D)`` with missing values replaced by ``fill``; unchanged where that is None."""
    return x if fill is None else np.where(np.isnan(x), fill, x)


def fit_scaling(arrays: Arrays, split: Split, *, scaling: str, fit_rows: str, pixels: str = "divide") -> Scaling:
    """Fit the scaling of one cell, and for own tables the medians that replace missing values.

    Args:
        arrays: the data set.
        split: the rows of the cell.
        scaling: ``min_max`` to [0, 1], ``standardize`` to mean 0 and deviation 1, ``common`` to mean 0 and over one
            deviation for all columns, which keeps ratios of distances, or ``none``.
        fit_rows: ``training`` fits on the unlabeled and known normal rows; ``split`` on the whole training half,
            anomalies that never train included, as the code of ruff2020 does.
        pixels: of images, ``divide`` by 255, or ``contrast``: each image has the same contrast, and all are brought
            to [0, 1] by one minimum and one maximum, as in the public code of Deep SVDD, which ruff2019 refers to.

    Raises:
        InputError: a setting has an unknown value, or ``contrast`` meets rows that are no images.
    """
    choice("preprocess.scaling", scaling, ("min_max", "standardize", "common", "none"))
    choice("preprocess.fit_rows", fit_rows, ("training", "split"))
    contrast = choice("preprocess.pixels", pixels, ("divide", "contrast")) == "contrast"
    if contrast and arrays.x.dtype != np.uint8:
        raise InputError("preprocess.pixels=contrast is for images, and the rows are columns or features; leave it out")
    if contrast:
        rows = split.half if fit_rows == "split" else split.train[split.semi >= 0]
        least, most = _extremes(arrays.x[rows])
        factor = np.float32(1 / max(most - least, float(np.finfo(np.float32).tiny)))
        return Scaling(np.array([factor]), np.array([-least * factor], dtype=np.float32), contrast=True)
    if arrays.x.dtype == np.uint8:
        return Scaling(np.array([1 / 255], dtype=np.float32), np.zeros(1, dtype=np.float32))
    if isinstance(arrays.schema, TextSchema):
        return UNSCALED
    unlabeled_or_normal = arrays.x[split.train[split.semi >= 0]]
    fill = medians(unlabeled_or_normal) if isinstance(arrays.schema, TableSchema) else None
    raw = arrays.x[split.half] if fit_rows == "split" else unlabeled_or_normal
    if raw.ndim == 4:  # patches, of which some suffice
        patches = raw.shape[1] * raw.shape[2]
        raw = raw.reshape(-1, raw.shape[3])
        step = max(1, len(raw) // _PATCHES)
        while math.gcd(step, patches) > 1:  # else it would meet the same places in all images
            step += 1
        raw = raw[::step]
    rows = impute(raw, fill).astype(np.float64)
    if scaling == "min_max":
        low, width = rows.min(axis=0), np.ptp(rows, axis=0)
    elif scaling == "standardize":
        low, width = rows.mean(axis=0), rows.std(axis=0)
    elif scaling == "common":
        low, width = rows.mean(axis=0), np.full(rows.shape[1], np.sqrt(rows.var(axis=0).mean()))
    else:
        low, width = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
    if isinstance(arrays.schema, TableSchema) and scaling in ("min_max", "standardize"):
        constant = np.ptp(rows, axis=0) == 0
        events = arrays.x[split.train[split.semi < 0]][:, constant] - rows[0, constant]
        width[constant] = _event_widths(events, is_word=~np.isnan(arrays.schema.sources()[1][constant]))
        if scaling == "standardize":
            width[constant] /= np.sqrt(len(rows))
    differs = width > np.finfo(np.float32).tiny  # else a column maps to 0: it is constant, or its scale has no number
    scale = np.divide(1, width, out=np.zeros_like(width), where=differs)
    return Scaling(scale.astype(np.float32), (-low * scale).astype(np.float32), fill)


def with_equal_contrast(images: Tensor) -> Tensor:
    """Images ``(..., H, W, C)`` less their means, over their mean absolute deviations, float32; of one grey they are 0.

    This is global contrast normalisation by the L1 norm, as in the public code of Deep SVDD.
    """
    pixels = (-3, -2, -1)
    x = images.float()
    x = x - x.mean(dim=pixels, keepdim=True)
    return x / x.abs().mean(dim=pixels, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)


def _extremes(images: NDArray[Any]) -> tuple[float, float]:
    """The least and the largest pixel of images ``(N, H, W, C)`` of equal contrast."""
    parts = [with_equal_contrast(part) for part in torch.split(torch.from_numpy(images), _IMAGES)]
    return min(float(part.min()) for part in parts), max(float(part.max()) for part in parts)


def _event_widths(deviations: NDArray[Any], *, is_word: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far a column that is constant in all other training rows goes where it is not, ``(D,)``; 1 if it never does.

    What normal rows never show is evidence: the column is scaled as if one of them had gone as far as the known
    anomalies, which deviate by ``(n, D)``. A word that training never saw says nothing: width 0.
    """
    away = np.abs(np.nan_to_num(deviations.astype(np.float64)))
    count = (away > 0).sum(axis=0)
    return np.where(count > 0, away.sum(axis=0) / np.maximum(count, 1), np.where(is_word, 0.0, 1.0))


def medians(rows: NDArray[Any]) -> Floats:
    """The median of each column of ``(N, D)`` rows without its missing values, ``(D,)``; 0 where all are missing."""
    fill = np.zeros(rows.shape[1], dtype=np.float32)
    for column in np.flatnonzero(~np.isnan(rows).all(axis=0)):
        fill[column] = np.nanmedian(rows[:, column])
    return fill
