"""The representation of the test rows of a cell, in two dimensions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sad_lightning.cell.checkpoint import CHECKPOINT, load_model
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.preparation import to_network
from sad_lightning.data.preprocess import fit_scaling
from sad_lightning.data.split import draw_split
from sad_lightning.methods.method import Method
from sad_lightning.training.ensemble import Ensemble

_BATCH = 500


class Projection(NamedTuple):
    """The representation in two dimensions.

    Attributes:
        points: ``(n, 2)`` the first two principal components.
        target_class: ``(n,)`` original class of each row.
        explained: the share of the variance that the two components hold.
    """

    points: NDArray[np.float64]
    target_class: NDArray[np.int64]
    explained: float


def project(folder: Path, settings: Mapping[str, Any], arrays: Arrays) -> Projection:
    """Encode some test rows of a finished cell and project them on their two principal components.

    Raises:
        InputError: there is no checkpoint, or it can not be read.
    """
    codes, target_class = encode(folder, settings, arrays)
    centered = codes - codes.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centered, full_matrices=False)
    explained = float((sizes[:2] ** 2).sum() / max((sizes**2).sum(), 1e-300))
    return Projection(left[:, :2] * sizes[:2], target_class, explained)


def encode(
    folder: Path, settings: Mapping[str, Any], arrays: Arrays, rows: int = 600
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The codes ``(n, D)`` and the classes ``(n,)`` of some test rows of a finished cell.

    A variational encoder gives means; of an ensemble it is the first member's.

    Raises:
        InputError: there is no checkpoint, or it can not be read.
    """
    split = draw_split(arrays, **settings["split"], seed=settings["seed"])
    scaling = fit_scaling(arrays, split, **settings["preprocess"])
    test = split.test[:: max(len(split.test) // rows, 1)]
    scale, shift = torch.from_numpy(scaling.scale), torch.from_numpy(scaling.shift)
    raw, image = torch.from_numpy(arrays.x[test]), arrays.x.ndim == 4
    x = to_network(raw, scale, shift, None, image=image, contrast=scaling.contrast)
    member = _member(folder / CHECKPOINT, settings)
    encoder, means = member.get_encoder(), member.network.rep_dim
    with torch.inference_mode():
        codes = torch.cat([encoder(batch)[:, :means] for batch in torch.split(x, _BATCH)])
    return codes.double().numpy(), arrays.target_class[test]


def _member(path: Path, settings: Mapping[str, Any]) -> Method:
    model = load_model(path, settings)
    member = model.members[0] if isinstance(model, Ensemble) else model
    assert isinstance(member, Method)
    return member
