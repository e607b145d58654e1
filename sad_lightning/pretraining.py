"""Pretrained weights, cached by the content of what determines them."""

import json
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor

from sad_lightning import __version__
from sad_lightning.data.module import DataModule
from sad_lightning.errors import InputError
from sad_lightning.files import whole_file
from sad_lightning.methods.method import Method
from sad_lightning.training import fit


def pretrained(
    method: Method, data: DataModule, trainer: Trainer, *, settings: Mapping[str, Any], cache: Path
) -> tuple[bool, bool]:
    """Train ``method`` on ``data``, or read what an equal training left in the cache.

    Args:
        method: what pretrains.
        data: its rows.
        trainer: what would train it.
        settings: the settings of the trainer that determine numbers.
        cache: the folder of the weights.

    Returns:
        Whether the weights came from the cache, and whether the training was resumed.

    Raises:
        InputError: the cached file is damaged, or the training diverged.
    """
    path = cache / f"{content_key(method, data, trainer, settings)}.pt"
    if path.exists():
        try:
            weights: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")
            method.load_state_dict(weights)
        except Exception as error:  # torch raises whatever the damaged bytes lead it to
            raise InputError(
                f"{path}: must hold pretrained weights, but reading it fails; remove it and run again"
            ) from error
        return True, False
    resumed = fit(trainer, method, data)
    if trainer.is_global_zero:
        with whole_file(path) as part:
            torch.save({name: value.cpu() for name, value in method.state_dict().items()}, part)
    return False, resumed


def content_key(method: Method, data: DataModule, trainer: Trainer, settings: Mapping[str, Any]) -> str:
    """Names the rows, the scaling, the network and its start, the optimisation: equal keys, equal weights.

    ``settings`` of the trainer count, but for max_epochs, which ``trainer`` knows for this stage.
    """
    digest = blake2b(digest_size=10)
    for part in (data.x[data.rows], data.semi, data.scale, data.shift, *method.state_dict().values()):
        digest.update(part.cpu().contiguous().numpy().tobytes())
    recipe = {
        "version": __version__,
        "method": type(method).__name__,
        "hyperparameters": dict(method.hparams),
        "seed": data.seed,
        "batch_size": data.batch_size,
        "epochs": trainer.max_epochs,
        "processes": trainer.world_size,
        "trainer": {key: value for key, value in settings.items() if key != "max_epochs"},
    }
    digest.update(json.dumps(recipe, sort_keys=True, default=repr).encode())
    return digest.hexdigest()
