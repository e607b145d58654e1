"""Several models of one cell, each with its own weights, order of rows and noise; the score is their mean."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor, nn

from sad_lightning.checks import choice
from sad_lightning.data.module import Batch
from sad_lightning.errors import InputError
from sad_lightning.exports import subclasses
from sad_lightning.methods.method import Method

MEANS = ("arithmetic", "geometric")


class Ensemble(LightningModule):
    """The mean of its members' scores (daniel2021 section 4.3).

    Args:
        members: trained methods, or the plain data that a checkpoint holds.
        mean: ``arithmetic``, or ``geometric``, for scores that are distances: a member whose distances are larger then
            does not outweigh the others.

    Raises:
        InputError: a recipe names a method that is not imported.
    """

    def __init__(self, members: Iterable[Method | Mapping[str, Any]], mean: str = "arithmetic") -> None:
        super().__init__()
        self.mean = choice("ensemble_mean", mean, MEANS)
        methods = [method_of(member) for member in members]
        self.members = nn.ModuleList(methods)
        recipes = [{"type": type(method).__name__, **dict(method.hparams)} for method in methods]
        self.save_hyperparameters({"members": recipes, "mean": mean}, logger=False)

    def score(self, x: Tensor) -> Tensor:
        """The mean anomaly score of each row of ``x``, ``(B,)`` float32."""
        scores = torch.stack([member.score(x) for member in self.members])  # type: ignore[operator]
        return scores.mean(dim=0) if self.mean == "arithmetic" else scores.clamp(min=1e-12).log().mean(dim=0).exp()

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The scores of one batch."""
        return self.score(batch.x)


def method_of(member: Method | Mapping[str, Any]) -> Method:
    """A method from its plain data; a method is returned as it is.

    Raises:
        InputError: no method of that name is imported.
    """
    if isinstance(member, Method):
        return member
    recipe = dict(member)
    name = recipe.pop("type", None)
    known: dict[str, type[Method]] = subclasses(Method)
    if name not in known:
        raise InputError(
            f"members: the checkpoint names {name!r}, there are {', '.join(sorted(known))}; import the module that "
            f"defines it before loading"
        )
    return known[name](**recipe)
