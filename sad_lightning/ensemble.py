"""Several models of one cell, each with its own weights, order of rows and noise; their mean score counts.

They are trained as one population where that is faster, and else one after the other: either way each ends in the
weights it would have alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn

from sad_lightning.data.module import Batch, DataModule
from sad_lightning.errors import InputError
from sad_lightning.grid.pack import stacking_pays
from sad_lightning.grid.population import Population, PopulationData, stackable
from sad_lightning.methods.method import Method
from sad_lightning.training import Stage, fit


class Ensemble(LightningModule):
    """The mean of its members' scores (daniel2021 section 4.3).

    Args:
        members: trained methods, or the plain recipes that a checkpoint holds.

    Raises:
        InputError: a recipe names a method that is not imported.
    """

    def __init__(self, members: Iterable[Method | Mapping[str, Any]]) -> None:
        super().__init__()
        methods = [method_of(member) for member in members]
        self.members = nn.ModuleList(methods)
        recipes = [{"type": type(method).__name__, **dict(method.hparams)} for method in methods]
        self.save_hyperparameters({"members": recipes}, logger=False)

    def score(self, x: Tensor) -> Tensor:
        """The mean anomaly score of each row of ``x``, ``(B,)`` float32."""
        return torch.stack([member.score(x) for member in self.members]).mean(dim=0)  # type: ignore[operator]

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The scores of one batch."""
        return self.score(batch.x)


def method_of(member: Method | Mapping[str, Any]) -> Method:
    """A method from its plain recipe; a method passes through.

    Raises:
        InputError: no method of that name is imported.
    """
    if isinstance(member, Method):
        return member
    recipe = dict(member)
    name = recipe.pop("type", None)
    known = {method.__name__: method for method in Method.__subclasses__()}
    if name not in known:
        raise InputError(
            f"members: the checkpoint names {name!r}, there are {', '.join(sorted(known))}; import the module that "
            f"defines it before loading"
        )
    return known[name](**recipe)


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
