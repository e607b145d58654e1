"""What each column, or each pixel, adds to the score of a row.

With s the score, x a prepared row, t a typical row (``typical_row``):

    occlusion     s(x) - s(x with the column set to t); for an image with a window set to t, and each pixel has the mean
                  over the windows that cover it
    gradient      (x - t) ds/dx, summed over the one-hot columns of a raw column, or over channels
    error         the squared error of the reconstruction, if there is a decoder, summed in the same way; over all
                  columns it is the mean squared error
    contribution  the terms of a baseline whose score is a sum over columns, summed in the same way; over all columns
                  they are the score minus a constant

What is positive adds to the score. Occlusion only calls the model, so that it works for every model, and a mixture has
nothing else; the gradient is its first-order approximation.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sad_lightning.command import progress
from sad_lightning.data.schema import TableSchema
from sad_lightning.methods.autoencoder import Autoencoder
from sad_lightning.methods.variational import Variational
from sad_lightning.model import BaselineScore, Model
from sad_lightning.training.ensemble import Ensemble
from sad_lightning.training.mixture import Mixture

Floats = NDArray[np.float32]


class Attribution(NamedTuple):
    """What adds to the scores ``(n,)`` of some rows.

    Each part (occlusion, gradient, error, contribution) is ``(n, C)`` or ``(n, H, W)``.
    """

    scores: Floats
    parts: dict[str, Floats]


def attribute(model: Model, raw: Tensor, typical: Tensor) -> Attribution:
    """Compute what adds to the scores of raw rows, ``(n, C)`` float32 or ``(n, H, W, C)`` uint8, beside a typical one.

    A baseline has no gradient, and some have contributions. A mixture has only occlusion.
    """
    with torch.no_grad():
        scores = model.score(model.prepare(raw))
    parts = {"occlusion": occlusion(model, raw, typical, scores)}
    if model.preparation.extractor is not None:  # the others would be of features, occlusion is of pixels
        return Attribution(_array(scores), {name: _array(values) for name, values in parts.items()})
    if isinstance(model.scorer, BaselineScore):
        if (terms := contributions(model, model.scorer, raw)) is not None:
            parts["contribution"] = terms
    elif not isinstance(model.scorer, Mixture):  # some of whose voices may have neither
        parts["gradient"] = gradient(model, raw, typical)
        if (errors := reconstruction_errors(model, raw)) is not None:
            parts["error"] = errors
    return Attribution(_array(scores), {name: _array(values) for name, values in parts.items()})


def typical_row(rows: Tensor, schema: Any) -> Tensor:
    """A typical row, ``(C,)`` or ``(H, W, C)``: medians and the most frequent categories, or the mean image."""
    if not isinstance(schema, TableSchema):
        return rows.float().mean(dim=0).round().to(rows.dtype)
    medians = rows.nanmedian(dim=0).values
    for position, column in enumerate(schema.columns):
        if column.kind not in ("number", "time"):
            medians[position] = rows[:, position].mode().values
    return medians


def occlusion(
    model: Model, raw: Tensor, typical: Tensor, scores: Tensor, columns: Sequence[int] | None = None
) -> Tensor:
    """How much the score falls if a column or a window is set to the typical row, ``(n, C)`` or ``(n, H, W)``.

    Rows are as ``attribute`` takes them; ``columns`` are those to try, the others add 0.
    """
    with torch.no_grad():
        if raw.ndim == 2:
            drops = scores.new_zeros(raw.shape)
            for column in progress(range(raw.shape[1]) if columns is None else columns, unit="column"):
                changed = raw.clone()
                changed[:, column] = typical[column]
                drops[:, column] = scores - model.score(model.prepare(changed))
            return drops
        n, height, width, _ = raw.shape
        total, covered = torch.zeros(n, height, width), torch.zeros(height, width)
        side = max(2, height // 7)
        corners = list(product(_starts(height, side), _starts(width, side)))
        for top, left in progress(corners, unit="window"):
            window = (slice(top, top + side), slice(left, left + side))
            changed = raw.clone()
            changed[:, *window] = typical[window]
            total[:, *window] += (scores - model.score(model.prepare(changed)))[:, None, None]
            covered[window] += 1
        return total / covered


def gradient(model: Model, raw: Tensor, typical: Tensor) -> Tensor:
    """(x - t) ds/dx, ``(n, C)`` or ``(n, H, W)``."""
    with torch.no_grad():
        x, t = model.prepare(raw), model.prepare(typical[None])
    x.requires_grad_(True)
    (slope,) = torch.autograd.grad(model.score(x).sum(), x)
    return _by_raw((x.detach() - t) * slope, model)


def contributions(model: Model, scorer: BaselineScore, raw: Tensor) -> Tensor | None:
    """The terms of a baseline's score, ``(n, C)`` or ``(n, H, W)``; None if it is not a sum over raw columns."""
    if scorer.first is not None:
        return None
    with torch.no_grad():
        x = model.prepare(raw)
    terms = scorer.baseline.contributions(x.flatten(start_dim=1).double().numpy())
    return None if terms is None else _by_raw(torch.from_numpy(terms).float().reshape(x.shape), model)


def reconstruction_errors(model: Model, raw: Tensor) -> Tensor | None:
    """Squared errors of the reconstruction by their number, ``(n, C)`` or ``(n, H, W)``; None without a decoder."""
    members = list(model.scorer.members) if isinstance(model.scorer, Ensemble) else [model.scorer]
    with torch.no_grad():
        x = model.prepare(raw)
        reconstructions = [each for member in members if (each := _reconstruction(member, x)) is not None]
        if not reconstructions:
            return None
        errors = torch.stack([(each - x).square() for each in reconstructions]).mean(dim=0)
        return _by_raw(errors / x[0].numel(), model)


def _reconstruction(member: nn.Module, x: Tensor) -> Tensor | None:
    for part in member.children():
        if isinstance(part, Autoencoder | Variational):
            return part.reconstruct(x)
    return None


def _by_raw(values: Tensor, model: Model) -> Tensor:
    """The sums over the one-hot columns of each raw column, or over channels."""
    schema = model.preparation.schema
    if not isinstance(schema, TableSchema):
        return values.sum(dim=1)
    summed = torch.zeros(len(values), len(schema.columns))
    return summed.index_add_(1, torch.from_numpy(schema.sources()[0]), values)


def _starts(length: int, side: int) -> list[int]:
    return sorted({*range(0, length - side + 1, max(1, side // 2)), length - side})


def _array(values: Tensor) -> Floats:
    return values.detach().float().numpy()
