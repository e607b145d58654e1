"""Adam with a two-phase learning rate: "searching", then "fine-tuning" (ruff2020 appendix E)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sad_lightning.checks import fraction, positive, true_or_false, whole_numbers
from sad_lightning.methods.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Adam(Recipe):
    """Settings of Adam.

    Attributes:
        lr: learning rate of the first phase.
        milestones: epochs after which the learning rate is multiplied by ``decay``.
        decay: that factor.
        weight_decay: lambda, the weight of the squared norm of all weights, whose gradient is added to that of the
            loss.
        decoupled: whether each step instead shrinks the weights directly by lr times lambda: AdamW (Loshchilov and
            Hutter, ICLR 2019).
    """

    lr: float
    milestones: Sequence[int]
    decay: float
    weight_decay: float
    decoupled: bool = False

    def __post_init__(self) -> None:
        positive("optimizer.lr", self.lr)
        positive("optimizer.decay", self.decay)
        fraction("optimizer.weight_decay", self.weight_decay)
        true_or_false("optimizer.decoupled", self.decoupled)
        object.__setattr__(self, "milestones", whole_numbers("optimizer.milestones", self.milestones))

    def configure(self, parameters: Iterable[nn.Parameter]) -> dict[str, Any]:
        """What ``configure_optimizers`` returns: the optimiser and its schedule, stepped each epoch."""
        optimizer = torch.optim.Adam(
            parameters, lr=self.lr, weight_decay=self.weight_decay, decoupled_weight_decay=self.decoupled
        )
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(self.milestones), gamma=self.decay)
        return {"optimizer": optimizer, "lr_scheduler": schedule}
