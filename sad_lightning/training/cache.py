"""Trained weights, cached by the content of what determines them: cells share what trains alike."""

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer

from sad_lightning.data.module import DataModule
from sad_lightning.errors import InputError
from sad_lightning.files import whole_file
from sad_lightning.methods.method import Method
from sad_lightning.training.members import fit_members
from sad_lightning.training.stage import Stage
from sad_lightning.version import __version__


def fit_cached(
    methods: Sequence[Method],
    data: Sequence[DataModule],
    stages: Sequence[Stage],
    new_trainer: Callable[[Sequence[Stage]], Trainer],
    *,
    settings: Mapping[str, Any],
    processes: int,
    cache: Path,
    writes: bool = True,
    stack: bool | None = None,
) -> None:
    """Train every method on its data, or read what an equal training left in the cache; equal ones are trained once.

    Args:
        methods: what is trained.
        data: the rows of each.
        stages: where each tells how it went.
        new_trainer: makes the Trainer of stages that are trained as one.
        settings: the settings of the Trainer that determine numbers.
        processes: how many share a batch.
        cache: the folder of the weights.
        writes: whether this process is the one that writes there.
        stack: as of ``fit_members``.

    Raises:
        InputError: a cached file is damaged.
    """
    keys = [content_key(*each, settings, processes) for each in zip(methods, data, strict=True)]
    first: dict[str, int] = {}  # the one of each content that is trained
    for k, key in enumerate(keys):
        stages[k].key = key
        if not _read(cache / f"{key}.pt", methods[k], stages[k]):
            first.setdefault(key, k)
    left = list(first.values())
    if not left:
        return

    fit_members(
        [methods[k] for k in left], [data[k] for k in left], [stages[k] for k in left], new_trainer, stack=stack
    )  # fmt: skip
    for k, key in enumerate(keys):
        if (k0 := first.get(key)) is None:
            continue
        if k0 != k:
            methods[k].load_state_dict(methods[k0].state_dict())
            stages[k].load_state_dict(stages[k0].state_dict())
            stages[k].cached = True
        elif stages[k].error is None and writes:
            weights = {name: value.cpu() for name, value in methods[k].state_dict().items()}
            with whole_file(cache / f"{key}.pt") as part:
                torch.save({"weights": weights, "stage": stages[k].state_dict()}, part)


def _read(path: Path, method: Method, stage: Stage) -> bool:
    if not path.exists():
        return False
    try:
        left = torch.load(path, weights_only=True, map_location="cpu")
        method.load_state_dict(left["weights"])
        stage.load_state_dict(left["stage"])
    except Exception as error:  # torch raises whatever the damaged bytes lead it to
        raise InputError(f"{path}: must hold trained weights, but reading it fails; remove it and run again") from error
    stage.cached = True
    return True


def content_key(method: Method, data: DataModule, settings: Mapping[str, Any], processes: int) -> str:
    """Names the rows, the scaling, the network and its start, the optimisation: equal keys, equal weights."""
    digest = blake2b(digest_size=10)
    for part in (data.x[data.rows], data.semi, data.scale, data.shift, *method.state_dict().values()):
        digest.update(part.cpu().contiguous().numpy().tobytes())
    recipe = {
        "format": 2,
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
