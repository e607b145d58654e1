"""A cache of trained weights, by the content of everything that determines them: cells share equal trainings."""

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch

from sad_lightning.config.own_code import code_digest
from sad_lightning.data.module import DataModule
from sad_lightning.errors import DamagedError
from sad_lightning.files import read_archive, set_aside, write_archive
from sad_lightning.methods.method import Method
from sad_lightning.training.members import NewTrainer, fit_members
from sad_lightning.training.stage import Training
from sad_lightning.version import NUMBERS_VERSION

_TOGETHER = ".entries"


def fit_cached(
    trainings: Sequence[Training],
    new_trainer: NewTrainer,
    *,
    settings: Mapping[str, Any],
    processes: int,
    cache: Path,
    writes: bool,
    stack: bool | None = None,
) -> None:
    """Train every method on its data, or read its weights from the cache; of equal trainings only one is run.

    What trained as one is written as a whole first: if a kill left some entries without the others, these would train
    in a smaller population, which rounds otherwise.

    Args:
        trainings: methods, their rows and their stages.
        new_trainer: makes the Trainer of stages that are trained as one.
        settings: the settings of the Trainer that determine numbers.
        processes: how many processes share a batch.
        cache: the folder of the weights.
        writes: whether this process writes there.
        stack: see ``fit_members``.
    """
    originals: dict[str, Training] = {}  # key -> the training that is run
    copies: list[Training] = []  # those equal to one of them
    if writes:
        _write_left_over(cache)
    for training in trainings:
        key = training.stage.key = content_key(training.method, training.data, settings, processes)
        if not _read(cache / f"{key}.pt", training) and originals.setdefault(key, training) is not training:
            copies.append(training)
    fit_members(list(originals.values()), new_trainer, stack=stack)
    for copy in copies:
        original = originals[copy.stage.key]
        copy.method.load_state_dict(original.method.state_dict())
        copy.stage.load_state_dict(original.stage.state_dict())
        copy.stage.cached = True
    if writes:
        _write_all(cache, {key: training for key, training in originals.items() if training.stage.error is None})


def _write_all(cache: Path, trainings: Mapping[str, Training]) -> None:
    """Write an entry for each; whoever comes after a kill writes those that are missing."""
    entries = {}
    for key, training in trainings.items():
        weights = {name: value.cpu() for name, value in training.method.state_dict().items()}
        entries[key] = {"weights": weights, "stage": training.stage.state_dict()}
    together = cache / f"{blake2b(''.join(entries).encode(), digest_size=10).hexdigest()}{_TOGETHER}"
    if len(entries) > 1:
        _write(together, entries)
    for key, entry in entries.items():
        _write(cache / f"{key}.pt", entry)
    together.unlink(missing_ok=True)


def _write_left_over(cache: Path) -> None:
    """Write the entries that a killed process has written together, but not each."""
    for together in cache.glob(f"*{_TOGETHER}"):
        try:
            entries = _load(together)
        except FileNotFoundError:  # another process has written them
            continue
        except DamagedError as error:
            set_aside(together, error)
            continue
        for key, entry in entries.items():
            if not (cache / f"{key}.pt").exists():
                _write(cache / f"{key}.pt", entry)
        together.unlink(missing_ok=True)


def _write(path: Path, document: Mapping[str, Any]) -> None:
    write_archive(path, _kind(path), lambda file: torch.save(document, file))


def _load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = torch.load(read_archive(path, _kind(path)), weights_only=True, map_location="cpu")
    return document


def _read(path: Path, training: Training) -> bool:
    try:
        stored = _load(path)
    except FileNotFoundError:
        return False
    except DamagedError as error:
        set_aside(path, error)
        return False
    training.method.load_state_dict(stored["weights"])
    training.stage.load_state_dict(stored["stage"])
    training.stage.cached = True
    return True


def _kind(path: Path) -> str:
    return f"cache entry {path.stem}"


def content_key(method: Method, data: DataModule, settings: Mapping[str, Any], processes: int) -> str:
    """A key of the rows, the scaling, the network, its initial weights, the optimisation and code that is not ours."""
    digest = blake2b(digest_size=10)
    fill = () if data.fill is None else (data.fill,)
    for part in (data.x[data.rows], data.semi, data.scale, data.shift, *fill, *method.state_dict().values()):
        digest.update(part.cpu().contiguous().numpy().tobytes())
    recipe = {
        "format": 3,
        "numbers": NUMBERS_VERSION,
        "method": type(method).__name__,
        "tensors": [(name, list(value.shape)) for name, value in method.state_dict().items()],
        "hyperparameters": dict(method.hparams),
        "seed": data.seed,
        "batch_size": data.batch_size,
        "processes": processes,
        "trainer": dict(settings),
    }
    if data.all_rows.content:
        recipe["renewed_rows"] = data.all_rows.content
    classes = {kind for module in method.modules() for kind in type(module).__mro__}
    if code := code_digest(kind.__module__ for kind in {*classes, type(method.optimizer)}):
        recipe["code"] = code
    digest.update(json.dumps(recipe, sort_keys=True, default=repr).encode())
    return digest.hexdigest()
