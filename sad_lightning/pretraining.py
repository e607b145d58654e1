"""Pretrained weights, cached by the content of what determines them."""

import os
from hashlib import blake2b
from pathlib import Path

import torch
from lightning import Trainer
from torch import Tensor

from sad_lightning import __version__
from sad_lightning.data.module import DataModule
from sad_lightning.errors import InputError
from sad_lightning.methods.method import Method
from sad_lightning.training import fit


def pretrained(method: Method, data: DataModule, trainer: Trainer, *, cache: Path, folder: Path) -> bool:
    """Train ``method`` on ``data``, or read what an equal training left in the cache.

    Returns:
        Whether the weights came from the cache.

    Raises:
        InputError: the cached file is damaged.
    """
    path = cache / f"{content_key(method, data, trainer)}.pt"
    if path.exists():
        try:
            weights: dict[str, Tensor] = torch.load(path, weights_only=True, map_location="cpu")
            method.load_state_dict(weights)
        except Exception as error:  # torch raises whatever the damaged bytes lead it to
            raise InputError(
                f"{path}: must hold pretrained weights, but reading it fails; remove it and run again"
            ) from error
        return True
    fit(trainer, method, data, "pretrain", folder)
    if trainer.is_global_zero:
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        torch.save({name: value.cpu() for name, value in method.state_dict().items()}, part)
        os.replace(part, path)
    return False


def content_key(method: Method, data: DataModule, trainer: Trainer) -> str:
    """Names the rows, the scaling, the network, the optimisation, the seed: equal keys, equal weights."""
    digest = blake2b(digest_size=10)
    for part in (data.x[data.rows], data.scale, data.shift):
        digest.update(part.cpu().contiguous().numpy().tobytes())
    settings = (
        __version__,
        type(method).__name__,
        sorted(method.hparams.items()),
        data.seed,
        data.batch_size,
        trainer.max_epochs,
        trainer.precision,
    )
    digest.update(repr(settings).encode())
    for weight in method.state_dict().values():  # the start, which the seed of the cell decides
        digest.update(weight.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
