"""Early stopping on own data: the epoch whose scores rank held-out labels best is the one that is kept."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import Tensor

from sad_lightning.stats.ranking import auroc


class EarlyStopping(Callback):
    """Scores rows that do not train after each epoch, keeps the best weights, and stops where none better come.

    Args:
        batches: the held-out rows, ``(B, ...)`` at a time, on a device.
        y: ``(n,)`` 1 for their known anomalies, 0 for the others; both must be there.
        patience: epochs without a better AUROC until training stops.

    Attributes:
        curve: the AUROC of every epoch.
    """

    def __init__(
        self, batches: Callable[[torch.device], Iterator[Tensor]], y: NDArray[np.int64], patience: int
    ) -> None:
        self.batches, self.y, self.patience = batches, y, patience
        self.curve: list[float] = []
        self.best: dict[str, Tensor] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Train no further where what is resumed had come to its end."""
        if self._over():
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score, keep, or stop."""
        training = pl_module.training
        pl_module.eval()
        with torch.no_grad():
            scores = [pl_module.score(x).cpu().double() for x in self.batches(pl_module.device)]  # type: ignore[operator]
        pl_module.train(training)
        area = auroc(self.y, torch.cat(scores).numpy())
        if area > max(self.curve, default=-1.0):
            self.best = {name: value.detach().cpu().clone() for name, value in pl_module.state_dict().items()}
        self.curve.append(area)
        if self._over():
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go back to the best epoch."""
        if self.best:
            pl_module.load_state_dict(self.best)

    def _over(self) -> bool:
        """Whether the last epochs, as many as the patience, were none of them better."""
        return bool(self.curve) and len(self.curve) - 1 - int(np.argmax(self.curve)) >= self.patience

    def note(self) -> str:
        """What a person should know of the choice."""
        best = int(np.argmax(self.curve))
        return (
            f"epoch {best + 1} of {len(self.curve)} was kept: validation AUROC {self.curve[best]:.4f} on "
            f"{int(self.y.sum())} known anomalies and {int((1 - self.y).sum())} other rows"
        )

    def state_dict(self) -> dict[str, Any]:
        """What a resumed stage goes on from."""
        return {"curve": self.curve, "best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.curve, self.best = state_dict["curve"], state_dict["best"]
