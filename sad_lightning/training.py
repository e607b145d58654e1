"""One stage of training under the Trainer: a bar with an ETA, its history, and a file to go on from after a kill."""

import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
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


# What the last epochs must not end below, and what it means where they do.
_LEAST = {
    "spread": (1e-3, "the representation of the training rows has collapsed to a point"),
    "score_spread": (1e-3, "the scores of the training rows have collapsed to one value"),
}


class History(Callback):
    """Keeps every curve of a stage, epoch by epoch, stops at the first loss that is not finite, and tells a collapse.

    Attributes:
        curves: one value an epoch for each name, None where there was none.
        notes: what a person should know of.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.epochs = 0
        self.curves: dict[str, list[float | None]] = {}
        self.notes: list[str] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add one epoch.

        Raises:
            InputError: a loss is not finite.
        """
        start = f"{self.stage}/"
        found = {k.removeprefix(start): float(v) for k, v in trainer.callback_metrics.items() if k.startswith(start)}
        for name, value in found.items():
            if name.endswith("loss") and not math.isfinite(value):
                raise InputError(
                    f"optimizer.lr must let the training converge, but {self.stage}/{name} is {value} in epoch "
                    f"{self.epochs + 1}; lower it"
                )
            self.curves.setdefault(name, [None] * self.epochs).append(float(f"{value:.5g}"))
            self._check(name, value)
        self.epochs += 1

    def _check(self, name: str, value: float) -> None:
        kind = name.split("/")[0]
        if kind in _LEAST and value < _LEAST[kind][0]:
            self._note(name, f"{_LEAST[kind][1]} ({kind} {value:.2g} in epoch {self.epochs + 1})")
        if kind.endswith("zero_gradient") and value == 1:
            what = kind.removesuffix("zero_gradient").removesuffix("_") or "loss"
            self._note(name, f"the gradient of {what} is exactly zero everywhere since epoch {self.epochs + 1}")

    def _note(self, name: str, text: str) -> None:
        if not any(note.startswith(f"{self.stage}/{name}:") for note in self.notes):
            self.notes.append(f"{self.stage}/{name}: {text}")

    def state_dict(self) -> dict[str, Any]:
        """What a resumed stage goes on from."""
        return {"epochs": self.epochs, "curves": self.curves, "notes": self.notes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state."""
        self.epochs, self.curves, self.notes = (state_dict[name] for name in ("epochs", "curves", "notes"))


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


def new_trainer(
    make: MakeTrainer,
    stage: str,
    tag: str,
    *,
    epochs: int,
    logger: Logger,
    folder: Path,
    more: Sequence[Callback] = (),
) -> Trainer:
    """A Trainer for one stage, which keeps its latest state in ``folder``.

    Args:
        make: makes a Trainer from keywords.
        stage: names its bar, its curves and its state.
        tag: names what determines its numbers, so that no other training goes on from its state.
        epochs: how many.
        logger: where its curves go.
        folder: where its state goes.
        more: further callbacks.

    Raises:
        InputError: the Trainer refuses its settings (no such accelerator, precision, ...).
    """
    try:
        return make(
            max_epochs=epochs,
            logger=logger,
            callbacks=[History(stage), StageBar(stage), GoOn(folder / f"{stage}.{tag}.resume.ckpt"), *more],
            enable_model_summary=False,
            enable_progress_bar=False,
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=folder,
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"trainer: the Trainer refuses its settings: {reason}; change them with trainer.KEY=VALUE"
        ) from error


def fit(trainer: Trainer, module: LightningModule, data: LightningDataModule) -> bool:
    """Train a stage to its end, from its saved state where there is one; the state stays where it is.

    Returns:
        Whether there was one.

    Raises:
        InputError: the Trainer refuses its settings, or the training diverged.
    """
    (state,) = (callback.path for callback in trainer.checkpoint_callbacks if isinstance(callback, GoOn))
    resumed = state.exists()
    try:
        with quiet():
            trainer.fit(module, datamodule=data, ckpt_path=state if resumed else None, weights_only=True)
        if not all(bool(value.isfinite().all()) for value in module.state_dict().values()):
            raise InputError(
                "optimizer.lr must let the training converge, the weights are not finite in the end; lower it"
            )
    except SystemExit as stop:  # how Lightning answers Ctrl-C
        raise KeyboardInterrupt from stop
    except MisconfigurationException as error:
        raise InputError(f"trainer: {' '.join(str(error).split())}; change it with trainer.KEY=VALUE") from error
    except InputError:
        state.unlink(missing_ok=True)
        raise
    except RuntimeError as error:
        if "find_unused_parameters" not in str(error):
            raise
        raise InputError(
            "trainer.strategy must be ddp_find_unused_parameters_true for several processes, as some steps of this "
            "method move a part of its network alone"
        ) from error
    return resumed


def history(trainer: Trainer) -> History:
    """The history of the stage that the Trainer trained."""
    (found,) = (callback for callback in trainer.callbacks if isinstance(callback, History))  # type: ignore[attr-defined]
    return found


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
        warnings.filterwarnings("ignore", message="Found .* module.* in eval mode at the start")  # a frozen part
        yield
