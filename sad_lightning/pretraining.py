"""Pretrained weights, cached by the content of what determines them."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor

from sad_lightning import __version__
from sad_lightning.data.module import DataModule
from sad_lightning.ensemble import fit_members
from sad_lightning.errors import InputError
from sad_lightning.files import whole_file
from sad_lightning.methods.method import Method


def pretrain_members(
    methods: Sequence[Method],
    data: Sequence[DataModule],
    new_trainer: Callable[..., Trainer],
    *,
    settings: Mapping[str, Any],
    processes: int,
    cache: Path,
) -> tuple[list[Trainer], bool]:
    """Train every method on its data, or read what an equal training left in the cache.

    Args:
        methods: what pretrains.
        data: the rows of each.
        new_trainer: makes the Trainer of a stage, by the stage's name and a tag that names its content.
        settings: the settings of the Trainer that determine numbers.
        processes: how many share a batch.
        cache: the folder of the weights.

    Returns:
        The trainers there were, none where all weights came from the cache, and whether one resumed.

    Raises:
        InputError: a cached file is damaged, or a training diverged.
    """
    keys = [content_key(*each, settings, processes) for each in zip(methods, data, strict=True)]
    paths = [cache / f"{key}.pt" for key in keys]
    left = [k for k, (path, method) in enumerate(zip(paths, methods, strict=True)) if not _read(path, method)]
    if not left:
        return [], False
    tag = blake2b("".join(keys[k] for k in left).encode(), digest_size=5).hexdigest()
    trainers, resumed = fit_members([methods[k] for k in left], [data[k] for k in left], partial(new_trainer, tag=tag))
    if trainers[0].is_global_zero:
        for k in left:
            with whole_file(paths[k]) as part:
                torch.save({name: value.cpu() for name, value in methods[k].state_dict().items()}, part)
    return trainers, resumed


def _read(path: Path, method: Method) -> bool:
    if not path.exists():
        return False
    try:
        weights: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")
        method.load_state_dict(weights)
    except Exception as error:  # torch raises whatever the damaged bytes lead it to
        raise InputError(
            f"{path}: must hold pretrained weights, but reading it fails; remove it and run again"
        ) from error
    return True


def content_key(method: Method, data: DataModule, settings: Mapping[str, Any], processes: int) -> str:
    """Names the rows, the scaling, the network and its start, the optimisation: equal keys, equal weights."""
    digest = blake2b(digest_size=10)
    for part in (data.x[data.rows], data.semi, data.scale, data.shift, *method.state_dict().values()):
        digest.update(part.cpu().contiguous().numpy().tobytes())
    recipe = {
        "version": __version__,
        "method": type(method).__name__,
        "hyperparameters": dict(method.hparams),
        "seed": data.seed,
        "batch_size": data.batch_size,
        "processes": processes,
        "trainer": dict(settings),
    }
    digest.update(json.dumps(recipe, sort_keys=True, default=repr).encode())
    return digest.hexdigest()
