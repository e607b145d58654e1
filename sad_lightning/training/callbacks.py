"""The callbacks of every training: its curves, its progress bar, and its resume checkpoint."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint
from tqdm import tqdm

from sad_lightning.errors import DamagedError, InputError
from sad_lightning.files import read_archive, set_aside
from sad_lightning.methods.steps import Steps
from sad_lightning.seeding import derive
from sad_lightning.training.stage import Stage

_SECONDS_BETWEEN_CHECKPOINTS = 30.0


class History(Callback):
    """Writes the metrics of every epoch to the stages that are trained as one, and stops when all have diverged."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self.stages = list(stages)
        self.loss = math.nan

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Seed the global generator, from which dropout draws: an epoch draws what it drew before a kill."""
        seed = trainer.datamodule.seed  # type: ignore[attr-defined]
        torch.manual_seed(derive(seed, "dropout", trainer.current_epoch, trainer.global_rank))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add one epoch.

        Raises:
            InputError: no stage has a finite loss.
        """
        assert isinstance(pl_module, Steps)  # for mypy: fit() trains nothing else
        means = pl_module.epoch_means() or [{} for _ in self.stages]  # an epoch may have no step
        for stage, values in zip(self.stages, means, strict=True):
            stage.add(trainer.current_epoch, values)
        losses = [values["loss"] for values in means if "loss" in values]
        self.loss = sum(losses) / len(losses) if losses else math.nan
        if all(stage.error is not None for stage in self.stages):
            raise InputError(str(self.stages[0].error))

    def state_dict(self) -> dict[str, Any]:
        """The state for a resume checkpoint."""
        return {"stages": [stage.state_dict() for stage in self.stages]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of a resume checkpoint."""
        for stage, state in zip(self.stages, state_dict["stages"], strict=True):
            stage.load_state_dict(state)


class OwnMetrics(Callback):
    """Hands the metrics of an epoch to callbacks of one's own, as ``trainer.callback_metrics``; a training alone.

    Args:
        callbacks: of one's own.
    """

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self.callbacks = list(callbacks)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log what the stage has of this epoch."""
        (history,) = (each for each in trainer.callbacks if isinstance(each, History))  # type: ignore[attr-defined]
        if len(history.stages) == 1:
            last = {name: values[-1] for name, values in history.stages[0].curves.items()}
            pl_module.log_dict({name: value for name, value in last.items() if value is not None})


class ProgressBar(Callback):
    """A bar over the epochs of a training; silent if stderr is no terminal."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.bar: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar, at the epoch that training resumes from."""
        stages = self.history.stages
        self.bar = tqdm(
            total=trainer.max_epochs,
            initial=trainer.current_epoch,
            desc=f"{stages[0].name:>8}" + (f" x {len(stages)}" if len(stages) > 1 else ""),
            unit="epoch",
            disable=None if trainer.is_global_zero else True,
            file=sys.stderr,
        )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Advance by one epoch."""
        self.bar.update()
        self.bar.set_postfix_str(f"loss {self.history.loss:.4g}", refresh=False)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Close the bar, also after an exception."""
        if self.bar is not None:
            self.bar.close()


class ResumeCheckpoint(Checkpoint):
    """Saves the state of a stage to one file, at most every 30 seconds, so that little is lost if it is killed.

    Args:
        path: of the file.
        tag: names the stages; a checkpoint with another tag is not read.
    """

    def __init__(self, path: Path, tag: str) -> None:
        self.path, self.seconds = path, _SECONDS_BETWEEN_CHECKPOINTS
        self.kind = f"resume checkpoint {tag} of torch {torch.__version__} and lightning {lightning.__version__}"
        self.last = time.monotonic()

    def read(self, module: LightningModule) -> dict[str, Any] | None:
        """The state to resume from, or None; a checkpoint that is damaged or does not fit is set aside."""
        try:
            state: dict[str, Any] = torch.load(
                read_archive(self.path, self.kind), weights_only=True, map_location="cpu"
            )
            if _shapes(state["state_dict"]) != _shapes(module.state_dict()):  # the code of the method has changed
                raise DamagedError(self.path, "is of a network of other shapes")
        except FileNotFoundError:
            return None
        except DamagedError as error:
            set_aside(self.path, error)
            return None
        return state

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save if enough time has passed."""
        due = time.monotonic() - self.last >= self.seconds
        if trainer.strategy.broadcast(due):  # all processes must save together, so that one decides for all
            trainer.save_checkpoint(self.path, storage_options=self.kind)
            self.last = time.monotonic()


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in tensors.items()}
