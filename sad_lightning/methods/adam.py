"""Adam with a two-phase learning rate: "searching", then "fine-tuning" (ruff2020 appendix E)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sad_lightning.checks import fraction, positive, true_or_false, whole_numbers
from sad_lightning.errors import InputError
from sad_lightning.methods.part import Recipe

_MOST_LR = 1e30  # in single precision a step is still finite


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
        fused: whether a CPU moves all weights in one call a step, which takes half the time of a small network's step
            and rounds otherwise.
    """

    lr: float
    milestones: Sequence[int]
    decay: float
    weight_decay: float
    decoupled: bool = False
    fused: bool = False

    def __post_init__(self) -> None:
        if positive("optimizer.lr", self.lr) > _MOST_LR:
            raise InputError(
                f"optimizer.lr must be at most {_MOST_LR:g}, got {self.lr!r}; for example optimizer.lr=0.001"
            )
        positive("optimizer.decay", self.decay)
        fraction("optimizer.weight_decay", self.weight_decay)
        true_or_false("optimizer.decoupled", self.decoupled)
        true_or_false("optimizer.fused", self.fused)
        object.__setattr__(self, "milestones", whole_numbers("optimizer.milestones", self.milestones))

    def configure(self, parameters: Iterable[nn.Parameter]) -> dict[str, Any]:
        """What ``configure_optimizers`` returns: the optimiser and its schedule, stepped each epoch."""
        moved = list(parameters)
        fused = self.fused and all(one.device.type == "cpu" for one in moved)
        optimizer = torch.optim.Adam(
            moved, lr=self.lr, weight_decay=self.weight_decay, decoupled_weight_decay=self.decoupled, fused=fused
        )
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(self.milestones), gamma=self.decay)
        return {"optimizer": optimizer, "lr_scheduler": schedule}
