"""Trains several methods: as one population where that is faster, else one after the other.

Either way each ends in the weights it would have alone.
"""

from collections.abc import Callable, Sequence

from lightning import Trainer

from sad_lightning.data.module import DataModule
from sad_lightning.methods.method import Method
from sad_lightning.training.population import Population, PopulationData, stackable
from sad_lightning.training.stacking import stacking_pays
from sad_lightning.training.stage import Stage, fit


def fit_members(
    members: Sequence[Method],
    data: Sequence[DataModule],
    stages: Sequence[Stage],
    new_trainer: Callable[[Sequence[Stage]], Trainer],
    *,
    stack: bool | None = None,
) -> None:
    """Train every member to its end; those that diverge end with an ``error`` in their stage, and the others go on.

    Args:
        members: methods, prepared.
        data: the rows of each.
        stages: where each tells how it went.
        new_trainer: makes the Trainer of the stages that are trained as one.
        stack: whether members of equal shape train as one population; None where that is faster.
    """
    for group in _alike(members, data):
        several = len(group) > 1
        trainer = new_trainer([stages[k] for k in group])
        if several and can_stack(members[group[0]], trainer) and (stack or (stack is None and _pays(members, trainer))):
            population = Population([members[k] for k in group])
            fit(trainer, population, PopulationData([data[k] for k in group]))
            population.unstack([members[k] for k in group])
        else:
            for k in group:
                fit(new_trainer([stages[k]]) if several else trainer, members[k], data[k])
    for member, stage in zip(members, stages, strict=True):
        if stage.error is None and not all(bool(value.isfinite().all()) for value in member.state_dict().values()):
            stage.error = "optimizer.lr must let the training converge, the weights are not finite in the end; lower it"


def _alike(members: Sequence[Method], data: Sequence[DataModule]) -> list[list[int]]:
    """Which members could train as one: equal class, settings, steps an epoch and batches, on rows of one array."""
    groups: dict[object, list[int]] = {}
    for number, (member, rows) in enumerate(zip(members, data, strict=True)):
        kind = (type(member), repr(sorted(member.hparams.items())), id(rows.all_rows), rows.shape, rows.streams)
        groups.setdefault(kind, []).append(number)
    return list(groups.values())


def can_stack(method: Method, trainer: Trainer) -> bool:
    """Whether the method can be a member: one process, and no float16, which scales all losses as one."""
    return stackable(method) and trainer.world_size == 1 and trainer.precision != "16-mixed"


def _pays(members: Sequence[Method], trainer: Trainer) -> bool:
    return stacking_pays(members[0].network.shape, on_cpu=trainer.strategy.root_device.type == "cpu").pays
