"""The resume checkpoint of a training: the state from which it goes on after it was killed."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning import LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Checkpoint

from sad_lightning.errors import DamagedError
from sad_lightning.files import read_archive, unless_damaged, write_archive

_SECONDS_BETWEEN_CHECKPOINTS = 30.0


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

        def read() -> dict[str, Any]:
            archive = read_archive(self.path, self.kind)
            state: dict[str, Any] = torch.load(archive, weights_only=True, map_location="cpu")
            if _shapes(state["state_dict"]) != _shapes(module.state_dict()):  # the code of the method has changed
                raise DamagedError(self.path, "is of a network of other shapes")
            return state

        return unless_damaged(self.path, read)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save if enough time has passed."""
        due = time.monotonic() - self.last >= self.seconds
        if trainer.strategy.broadcast(due):  # all processes must save together, so that one decides for all
            trainer.save_checkpoint(self.path, storage_options=self.kind)
            self.last = time.monotonic()


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in tensors.items()}


class Checkpoints(TorchCheckpointIO):
    """Writes the checkpoints of the Trainer, whole and with a checksum.

    Attributes:
        state: the state to resume from, which ``ResumeCheckpoint.read`` has read; None if there is none.
    """

    state: dict[str, Any] | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: str | None = None) -> None:
        """Write a checkpoint; ``storage_options`` is its kind, see ``files.write_archive``."""
        write_archive(Path(path), storage_options or "Lightning checkpoint", lambda file: torch.save(checkpoint, file))

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The state to resume from."""
        assert self.state is not None  # for mypy: the Trainer only calls this if there is one
        return self.state
