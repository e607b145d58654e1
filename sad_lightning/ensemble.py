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
from sad_lightning.grid.population import Population, PopulationData, stackable
from sad_lightning.methods.method import Method
from sad_lightning.training import fit


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
    members: Sequence[Method], data: Sequence[DataModule], new_trainer: Callable[[str], Trainer]
) -> tuple[list[Trainer], bool]:
    """Train every member to its end.

    Args:
        members: methods of one class with equal settings, prepared.
        data: the rows of each, on the same array.
        new_trainer: makes the Trainer of a stage, by its name.

    Returns:
        The trainers there were, and whether one resumed from a saved state.

    Raises:
        InputError: a training diverged.
    """
    trainers = [new_trainer(members[0].stage)]
    if len(members) > 1 and stacking_pays(members[0], trainers[0]):
        population = Population(members)
        resumed = fit(trainers[0], population, PopulationData(data))
        population.unstack(members)
        return trainers, resumed
    trainers += [new_trainer(member.stage) for member in members[1:]]
    return trainers, any([fit(*each) for each in zip(trainers, members, data, strict=True)])


def stacking_pays(method: Method, trainer: Trainer) -> bool:
    """Whether a population is faster than its members one after the other.

    On two CPU cores a table's step costs half as much stacked, an image's more (grouped convolutions); on an
    accelerator networks as small as these are bound by launches.
    """
    if not stackable(method) or trainer.world_size > 1 or trainer.precision == "16-mixed":
        return False
    return len(method.network.shape) == 1 or trainer.strategy.root_device.type != "cpu"
