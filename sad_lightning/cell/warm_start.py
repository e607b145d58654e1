"""Going on from a model file, with more labels or rows: ``warm_start=model.pt``.

Its networks start from their weights, and train for a fifth of the epochs. What has no weights to start from, such as
trees and neighbours, is fitted anew, and so are calibration and threshold. Columns keep the scaling that the weights
were trained on. The rows that were held out before stay held out, so that no network has seen those that set the
threshold.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch import nn

from sad_lightning.cell.learner import Deep
from sad_lightning.cell.values import Learner
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.preprocess import Scaling
from sad_lightning.data.schema import TableSchema, TextSchema
from sad_lightning.errors import InputError
from sad_lightning.files import model_file
from sad_lightning.methods.method import Method
from sad_lightning.model import Model
from sad_lightning.training.ensemble import Ensemble
from sad_lightning.training.mixture import Mixture

_SHARE = 0.2  # of the epochs of a training from the start


def model_before(cfg: DictConfig, arrays: Arrays) -> Model:
    """The model that a cell goes on from.

    Raises:
        InputError: there is no such file, or it is of other columns.
    """
    path = model_file(Path(str(cfg.warm_start)))
    model = Model.load(path)
    old, new = model.preparation.schema, arrays.schema
    if new is None or isinstance(new, TextSchema):
        what = "texts, whose words have other numbers then" if new is not None else "the papers' data sets"
        raise InputError(f"warm_start is for own tables and images, not for {what}; leave it out")
    if isinstance(old, TableSchema) and isinstance(new, TableSchema):
        if [replace(each, center=0.0) for each in old.columns] == [replace(each, center=0.0) for each in new.columns]:
            return model
        names = [name for name in old.names if name not in new.names], [n for n in new.names if n not in old.names]
        lacks, more = (", ".join(each[:5]) or "none" for each in names)
        raise InputError(
            f"warm_start: the data must have the columns of {path}, in their order and with their words; it lacks "
            f"{lacks} and has {more} more; give the same columns, or leave warm_start out"
        )
    if old != new:
        raise InputError(
            f"warm_start: the data must be of the kind and size that {path} knows, it is another; leave warm_start out"
        )
    return model


def centered_before(model: Model, arrays: Arrays) -> Arrays:
    """The rows less the centers of the model's columns, in place of their own."""
    old, new = model.preparation.schema, arrays.schema
    if not isinstance(old, TableSchema) or not isinstance(new, TableSchema) or old.columns == new.columns:
        return arrays
    moved = (new.centers - old.centers)[new.sources()[0]]
    return replace(arrays, x=(arrays.x + moved).astype(np.float32), schema=replace(new, columns=old.columns))


def scaling_before(model: Model, scaling: Scaling) -> Scaling:
    """The scaling of the model, with the values that replace missing ones of ``scaling``.

    Raises:
        InputError: it has other columns.
    """
    scale, shift = model.preparation.scale.numpy(), model.preparation.shift.numpy()
    if model.preparation.contrast != scaling.contrast:
        raise InputError(
            "warm_start: preprocess.pixels must be that of the model, got another; leave it out or change it"
        )
    if scale.shape != scaling.scale.shape:
        raise InputError(
            f"warm_start: the data must have {scale.shape} columns as the model has, got {scaling.scale.shape}; choose "
            f"the same backbone"
        )
    return scaling._replace(scale=scale, shift=shift)


def networks_before(model: Model | None, voice: str | None = None) -> tuple[Method, ...]:
    """The networks that a method alone, or a voice of a mixture, goes on from; empty where the file has none."""
    scorer: nn.Module | None = None if model is None else model.scorer
    if isinstance(scorer, Mixture):
        scorer = dict(scorer.voices.items()).get(voice or "")
    elif voice is not None:
        return ()
    if isinstance(scorer, Ensemble):
        return tuple(scorer.members)  # type: ignore[arg-type]
    return (scorer,) if isinstance(scorer, Method) else ()


def shortened(cfg: DictConfig) -> DictConfig:
    """The settings of a training that goes on: a fifth of the epochs, one at least."""
    cfg = cfg.copy()
    cfg.trainer.max_epochs = max(1, round(_SHARE * cfg.trainer.max_epochs))
    return cfg


def rows_apart(model: Model) -> Mapping[str, NDArray[np.uint64]]:
    """The ``row_hash`` of the validation and test rows of the model."""
    return {name: hashes.numpy().view(np.uint64) for name, hashes in model.apart.items()}


def what_goes_on(model: Model, learners: Mapping[str, tuple[Learner, DictConfig]]) -> dict[str, Any]:
    """What a result says of a warm start from a model, by the learners of its method or voices, with their settings."""
    on = {
        name: cfg.trainer.max_epochs for name, (one, cfg) in learners.items() if isinstance(one, Deep) and one.goes_on
    }
    return {"from": model.card.get("key"), "epochs": on, "fitted_anew": sorted(set(learners) - set(on))}
