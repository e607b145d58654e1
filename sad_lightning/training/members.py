"""Trains several methods: as one population where that is faster, else one after the other.

Either way each ends with the weights that it would have if it were trained alone.
"""

import copy
from collections.abc import Callable, Sequence

from lightning import Trainer

from sad_lightning.errors import InputError, first_line
from sad_lightning.methods.method import Method
from sad_lightning.training.population import Population, PopulationData, why_alone
from sad_lightning.training.stacking import stacking_pays
from sad_lightning.training.stage import Stage, Training
from sad_lightning.training.trainer import fit, history_of

NewTrainer = Callable[[Sequence[Stage]], Trainer]
_ONE_BY_ONE = "trained one network after the other, not stacked, since {} processes share each batch"


def fit_members(trainings: Sequence[Training], new_trainer: NewTrainer, *, stack: bool | None = None) -> None:
    """Train every method; if one diverges, its stage has an ``error``, and the others go on.

    Args:
        trainings: methods, their rows and their stages; ``Method.prepare`` was called.
        new_trainer: makes the Trainer of the stages that are trained as one.
        stack: whether methods of equal shape train as one population; None: only where that is faster.
    """
    for group in _groups(trainings):
        trainer = new_trainer([training.stage for training in group])
        if len(group) == 1:
            fit(trainer, group[0].method, group[0].data)
        elif can_stack(group[0].method, trainer) and (stack or (stack is None and _pays(group[0].method, trainer))):
            if not _fit_as_one(group, trainer):
                _fit_alone(group, new_trainer)
        else:
            if trainer.world_size > 1:
                for training in group:
                    training.stage.notes.append(f"{training.stage.name}: {_ONE_BY_ONE.format(trainer.world_size)}")
            _fit_alone(group, new_trainer)
    for training in trainings:
        weights = training.method.state_dict().values()
        if training.stage.error is None and not all(bool(value.isfinite().all()) for value in weights):
            training.stage.error = (
                "optimizer.lr must let the training converge, the weights are not finite in the end; lower it"
            )


def _fit_alone(group: Sequence[Training], new_trainer: NewTrainer) -> None:
    for training in group:
        fit(new_trainer([training.stage]), training.method, training.data)


def _fit_as_one(group: Sequence[Training], trainer: Trainer) -> bool:
    """Train the methods as a population; False where torch can not stack what they do, then they are as before."""
    methods = [training.method for training in group]
    before = [copy.deepcopy(training.stage.state_dict()) for training in group]
    try:
        population = Population(methods)
        fit(trainer, population, PopulationData([training.data for training in group]))
    except (InputError, OSError):
        raise
    except Exception as error:  # vmap refuses .item(), masks, dropout and more, each in its own words
        reason = first_line(error)
        for training, state in zip(group, before, strict=True):
            training.stage.load_state_dict(state)
            training.stage.notes.append(f"{training.stage.name}: trained alone, for it can not be stacked: {reason}")
        return False
    population.unstack(methods)
    return True


def _groups(trainings: Sequence[Training]) -> list[list[Training]]:
    """Groups that could train as one: of equal class, settings, steps an epoch and batches, on rows of one array."""
    groups: dict[object, list[Training]] = {}
    for training in trainings:
        method, data = training.method, training.data
        rows = (id(data.all_rows), data.shape, data.streams, data.balance)
        kind = (type(method), repr(sorted(method.hparams.items())), *rows)
        groups.setdefault(kind, []).append(training)
    return list(groups.values())


def can_stack(method: Method, trainer: Trainer) -> bool:
    """Whether the method can be a member: one process, no float16, which scales all losses as one, nobody watching."""
    watched = bool(history_of(trainer).watchers)
    return not (why_alone(method) or trainer.world_size > 1 or trainer.precision == "16-mixed" or watched)


def _pays(method: Method, trainer: Trainer) -> bool:
    return stacking_pays(method.network.shape, on_cpu=trainer.strategy.root_device.type == "cpu").pays
