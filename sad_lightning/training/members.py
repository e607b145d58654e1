"""Trains several methods: as one population where that is faster, else one after the other.

Either way each ends with the weights that it would have if it were trained alone.
"""

from collections.abc import Callable, Sequence

from lightning import Trainer

from sad_lightning.methods.method import Method
from sad_lightning.training.population import Population, PopulationData, stackable
from sad_lightning.training.stacking import stacking_pays
from sad_lightning.training.stage import Stage, Training, fit

NewTrainer = Callable[[Sequence[Stage]], Trainer]


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
            methods = [training.method for training in group]
            population = Population(methods)
            fit(trainer, population, PopulationData([training.data for training in group]))
            population.unstack(methods)
        else:
            for training in group:
                fit(new_trainer([training.stage]), training.method, training.data)
    for training in trainings:
        weights = training.method.state_dict().values()
        if training.stage.error is None and not all(bool(value.isfinite().all()) for value in weights):
            training.stage.error = (
                "optimizer.lr must let the training converge, the weights are not finite in the end; lower it"
            )


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
    """Whether the method can be a member: not in several processes, nor in float16, which scales all losses as one."""
    return stackable(method) and trainer.world_size == 1 and trainer.precision != "16-mixed"


def _pays(method: Method, trainer: Trainer) -> bool:
    return stacking_pays(method.network.shape, on_cpu=trainer.strategy.root_device.type == "cpu").pays
