"""Trains several methods: as one population where that is faster, else one after the other.

Either way each ends with the weights that it would have if it were trained alone. A cache holds trained weights, by the
content of everything that determines them: cells share equal trainings.
"""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer

from sad_lightning.config.mistakes import is_no_memory
from sad_lightning.config.own_code import code_digest
from sad_lightning.data.module import NO_BALANCE, DataModule
from sad_lightning.errors import InputError, first_line
from sad_lightning.files import read_archive, unless_damaged, write_archive
from sad_lightning.methods.method import Method
from sad_lightning.training.population import Population, PopulationData, why_alone
from sad_lightning.training.stacking import stacking_pays
from sad_lightning.training.trainer import Stage, Training, fit, history_of
from sad_lightning.version import NUMBERS_VERSION

MakeTrainer = Callable[[Sequence[Stage]], Trainer]
_TOGETHER = ".entries"
_ONE_BY_ONE = "trained one network after the other, not stacked, since {} processes share each batch"


def fit_members(trainings: Sequence[Training], make_trainer: MakeTrainer, *, stack: bool | None = None) -> None:
    """Train every method after its ``prepare``; if one diverges, its stage has an ``error``, and the others go on.

    With ``stack`` methods of equal shape train as one population; None: only where that is faster.
    """
    for group in _groups(trainings):
        trainer = make_trainer([training.stage for training in group])
        if len(group) == 1:
            fit(trainer, group[0].method, group[0].data)
        elif can_stack(group[0].method, trainer) and (stack or (stack is None and _pays(group[0].method, trainer))):
            if not _fit_as_one(group, trainer):
                _fit_alone(group, make_trainer)
        else:
            if trainer.world_size > 1:
                for training in group:
                    training.stage.notes.append(f"{training.stage.name}: {_ONE_BY_ONE.format(trainer.world_size)}")
            _fit_alone(group, make_trainer)
    for training in trainings:
        weights = training.method.state_dict().values()
        if training.stage.error is None and not all(bool(value.isfinite().all()) for value in weights):
            training.stage.error = (
                "optimizer.lr must let the training converge, the weights are not finite in the end; lower it"
            )


def _fit_alone(group: Sequence[Training], make_trainer: MakeTrainer) -> None:
    for training in group:
        fit(make_trainer([training.stage]), training.method, training.data)


def _fit_as_one(group: Sequence[Training], trainer: Trainer) -> bool:
    """Train the methods as a population; False, with the methods as before, where torch or memory can not."""
    methods = [training.method for training in group]
    before = [copy.deepcopy(training.stage.state_dict()) for training in group]
    try:
        population = Population(methods)
        fit(trainer, population, PopulationData([training.data for training in group]))
    except (InputError, OSError):
        raise
    except Exception as error:  # vmap refuses .item(), masks, dropout and more, each in its own words
        reason = f"it can not be stacked: {first_line(error)}"
        if is_no_memory(error):
            reason = f"memory does not hold {len(group)} that train as one; set pack={max(1, len(group) // 2)}"
        for training, state in zip(group, before, strict=True):
            training.stage.load_state_dict(state)
            training.stage.notes.append(f"{training.stage.name}: trained alone, for {reason}")
        return False
    population.unstack(methods)
    return True


def _groups(trainings: Sequence[Training]) -> list[list[Training]]:
    """Groups that could train as one: of equal class, settings, steps an epoch and batches, on rows of one array."""
    groups: dict[object, list[Training]] = {}
    for training in trainings:
        method, data = training.method, training.data
        rows = (id(data.all_rows), data.step_sizes, data.streams, data.balance)
        kind = (type(method), repr(sorted(method.hparams.items())), *rows)
        groups.setdefault(kind, []).append(training)
    return list(groups.values())


def can_stack(method: Method, trainer: Trainer) -> bool:
    """Whether the method can be a member: one process, no float16, which scales all losses as one, nobody watching."""
    watched = bool(history_of(trainer).watchers)
    return not (why_alone(method) or trainer.world_size > 1 or trainer.precision == "16-mixed" or watched)


def _pays(method: Method, trainer: Trainer) -> bool:
    return stacking_pays(method.network.shape, on_cpu=trainer.strategy.root_device.type == "cpu").pays


def fit_cached(
    trainings: Sequence[Training],
    make_trainer: MakeTrainer,
    *,
    settings: Mapping[str, Any],
    processes: int,
    cache: Path,
    writes: bool,
    stack: bool | None = None,
) -> None:
    """Train every method on its data, or read its weights from the cache; of equal trainings only one is run.

    Weights count as equal by the settings of the Trainer that determine numbers, and by how many processes share a
    batch; one of these writes. For ``stack`` see ``fit_members``.

    What trained as one is written as a whole first: if a kill left some entries without the others, these would train
    in a smaller population, which rounds otherwise.
    """
    originals: dict[str, Training] = {}  # key -> the training that is run
    copies: list[Training] = []  # those equal to one of them
    if writes:
        _write_left_over(cache)
    for training in trainings:
        key = training.stage.key = content_key(training.method, training.data, settings, processes)
        if _read(cache / f"{key}.pt", training):
            continue
        if key in originals:
            copies.append(training)
        else:
            originals[key] = training
    fit_members(list(originals.values()), make_trainer, stack=stack)
    for training in copies:
        original = originals[training.stage.key]
        training.method.load_state_dict(original.method.state_dict())
        training.stage.load_state_dict(original.stage.state_dict())
        training.stage.cached = True
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
        if (entries := _load(together)) is None:  # another process has written them
            continue
        for key, entry in entries.items():
            if not (cache / f"{key}.pt").exists():
                _write(cache / f"{key}.pt", entry)
        together.unlink(missing_ok=True)


def _write(path: Path, document: Mapping[str, Any]) -> None:
    write_archive(path, _kind(path), lambda file: torch.save(document, file))


def _load(path: Path) -> dict[str, Any] | None:
    """What the file holds; None where it is not there, or damaged and set aside."""
    return unless_damaged(
        path, lambda: torch.load(read_archive(path, _kind(path)), weights_only=True, map_location="cpu")
    )


def _read(path: Path, training: Training) -> bool:
    if (stored := _load(path)) is None:
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
    if (balance := data.train_dataloader().balance) != NO_BALANCE:
        recipe["balance"] = list(balance)
    if data.contrast:
        recipe["contrast"] = True
    if data.all_rows.content:
        recipe["renewed_rows"] = data.all_rows.content
    classes = {kind for module in method.modules() for kind in type(module).__mro__}
    if code := code_digest(kind.__module__ for kind in {*classes, type(method.optimizer)}):
        recipe["code"] = code
    digest.update(json.dumps(recipe, sort_keys=True, default=repr).encode())
    return digest.hexdigest()
