"""One stage of training under the Trainer: a bar with an ETA, and a file to go on from after a kill."""

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.loggers import Logger
from tqdm import tqdm

from sad_lightning.errors import InputError

MakeTrainer = Callable[..., Trainer]
_SECONDS_BETWEEN_CHECKPOINTS = 30.0


class StageBar(Callback):
    """One bar a stage, over its epochs; silent where nobody looks."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.bar: Any = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar, at the epoch that training resumes from."""
        self.bar = tqdm(
            total=trainer.max_epochs,
            initial=trainer.current_epoch,
            desc=f"{self.stage:>8}",
            unit="epoch",
            disable=None if trainer.is_global_zero else True,
            file=sys.stderr,
        )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Advance by one epoch."""
        self.bar.update()
        if not self.bar.disable:
            self.bar.set_postfix_str(f"loss {float(trainer.callback_metrics[f'{self.stage}/loss']):.4g}", refresh=False)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Close the bar, also where training broke off."""
        if self.bar is not None:
            self.bar.close()


class GoOn(Checkpoint):
    """Keeps the latest state of a stage in one file, at most every 30 seconds, so that a kill loses little."""

    def __init__(self, path: Path) -> None:
        self.path, self.seconds = path, _SECONDS_BETWEEN_CHECKPOINTS
        self.last = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save where enough time has passed."""
        due = time.monotonic() - self.last >= self.seconds
        if trainer.strategy.broadcast(due):  # saving is a meeting of all processes: one of them decides
            trainer.save_checkpoint(self.path)
            self.last = time.monotonic()


def new_trainer(make: MakeTrainer, stage: str, *, epochs: int, logger: Logger, state: Path) -> Trainer:
    """A Trainer for one stage, which keeps its latest state in the file ``state``.

    Raises:
        InputError: the Trainer refuses its settings (no such accelerator, precision, ...).
    """
    try:
        return make(
            max_epochs=epochs,
            logger=logger,
            callbacks=[StageBar(stage), GoOn(state)],
            enable_model_summary=False,
            enable_progress_bar=False,
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=state.parent,
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"trainer: the Trainer refuses its settings: {reason}; change them with trainer.KEY=VALUE"
        ) from error


def fit(trainer: Trainer, module: LightningModule, data: LightningDataModule) -> bool:
    """Train a stage to its end, from its saved state where there is one.

    Returns:
        Whether there was one.

    Raises:
        InputError: the weights are not finite in the end.
    """
    (state,) = (callback.path for callback in trainer.checkpoint_callbacks if isinstance(callback, GoOn))
    resumed = state.exists()
    with quiet():
        try:
            trainer.fit(module, datamodule=data, ckpt_path=state if resumed else None, weights_only=True)
        except SystemExit as stop:  # how Lightning answers Ctrl-C
            raise KeyboardInterrupt from stop
    state.unlink(missing_ok=True)
    if not all(bool(value.isfinite().all()) for value in module.state_dict().values()):
        raise InputError("optimizer.lr must let the training converge, the weights are not finite in the end; lower it")
    return resumed


def predict(trainer: Trainer, module: LightningModule, data: LightningDataModule) -> torch.Tensor:
    """The scores of the rows that ``data`` scores, ``(N,)`` float64 on the CPU."""
    with quiet():
        batches = trainer.predict(module, datamodule=data)
    assert batches is not None  # None only with return_predictions=False
    return torch.cat([scores.cpu().double() for scores in batches])  # type: ignore[union-attr]


@contextmanager
def quiet() -> Iterator[None]:
    """Without what Lightning 2.6 warns of that a user can do nothing about."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*LeafSpec.*deprecated")  # its own use of torch's pytree
        yield
