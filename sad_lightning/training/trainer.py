"""How a method trains: the record of a training, the Trainer that writes it, and how that trains and scores."""

import math
import os
import re
import sys
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy
from torch.distributed import DistError
from tqdm import tqdm

from sad_lightning.config.mistakes import one_line
from sad_lightning.data.module import DataModule
from sad_lightning.errors import InputError, error_words, first_line
from sad_lightning.methods.method import Method
from sad_lightning.methods.steps import Steps
from sad_lightning.seeding import derive
from sad_lightning.training.resume import Checkpoints, ResumeCheckpoint

_LOST = re.compile("by peer|Broken pipe|Connection refused|Application timeout")  # gloo's words: a process is gone

# Curve -> a bound, and what it means when the curve falls below it.
_COLLAPSE = {
    "spread": (1e-3, "the representation of the training rows has collapsed to a point"),
    "score_spread": (1e-3, "the scores of the training rows have collapsed to one value"),
}

# Lightning asks torch to look for a GPU through NVML, and an optimiser looks in every step: where there is none, NVML's
# library is searched for each time, which takes half a millisecond. CUDA answers at once that there is none.
if not torch.cuda.is_available():
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


class MetricLog(Protocol):
    """A log of the metrics of each epoch."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log numbers by name."""


@dataclass
class Stage:
    """The record of one training of one method, to which callbacks write while it trains.

    Attributes:
        name: ``pretrain``, ``train``, ``train1``, ...
        key: of what determines its numbers, so that no other training resumes from its checkpoint.
        log: where its curves are logged.
        curves: by name one value an epoch, None where there was none.
        notes: warnings for a person.
        seconds: wall time; for a member of a population, its share of it.
        resumed: whether it was resumed from a checkpoint.
        cached: whether its weights come from an equal training.
        error: why its weights can not be used; None if they can.
    """

    name: str
    key: str
    log: MetricLog
    curves: dict[str, list[float | None]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    resumed: bool = False
    cached: bool = False
    error: str | None = None

    def add(self, epoch: int, values: Mapping[str, float]) -> None:
        """Add the metrics of an epoch; a loss that is not finite is an error."""
        for name, value in values.items():
            if name.endswith("loss") and not math.isfinite(value) and self.error is None:
                self.error = (
                    f"optimizer.lr must let the training converge, but {self.name}/{name} is {value} in epoch "
                    f"{epoch + 1}; lower it"
                )
            curve = self.curves.setdefault(name, [])
            curve += [None] * (epoch - len(curve))
            curve.append(float(f"{value:.5g}"))
            kind = name.split("/")[0]
            if kind in _COLLAPSE and value < _COLLAPSE[kind][0]:
                self._note(name, f"{_COLLAPSE[kind][1]} ({kind} {value:.2g} in epoch {epoch + 1})")
            if kind.endswith("zero_gradient") and value == 1:
                what = kind.removesuffix("zero_gradient").removesuffix("_") or "loss"
                self._note(name, f"the gradient of {what} is exactly zero everywhere since epoch {epoch + 1}")
        self.log.log_metrics({f"{self.name}/{name}": value for name, value in values.items()}, step=epoch)

    def log_curves(self) -> None:
        """Log all curves, of a training that did not log while it ran."""
        for epoch in range(max(map(len, self.curves.values()), default=0)):
            metrics = {name: values[epoch] for name, values in self.curves.items() if len(values) > epoch}
            self.log.log_metrics({f"{self.name}/{name}": v for name, v in metrics.items() if v is not None}, step=epoch)

    def _note(self, name: str, text: str) -> None:
        if not any(note.startswith(f"{self.name}/{name}:") for note in self.notes):
            self.notes.append(f"{self.name}/{name}: {text}")

    def state_dict(self) -> dict[str, Any]:
        """The state for a resume checkpoint and for the cache, as plain data."""
        return {"name": self.name, "curves": self.curves, "notes": self.notes, "error": self.error}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a copy of a state, that of another stage too: what it says then names this one."""
        name = state_dict.get("name", self.name)
        self.curves = {metric: list(values) for metric, values in state_dict["curves"].items()}
        own = (f"{name}/", f"{name}:")
        self.notes = [self.name + note.removeprefix(name) if note.startswith(own) else note
                      for note in state_dict["notes"]]  # fmt: skip
        error = state_dict["error"]
        self.error = None if error is None else error.replace(f" {name}/", f" {self.name}/")


@dataclass(frozen=True)
class Training:
    """A method, whose weights training changes, its rows in the batches of its steps, and the record of training."""

    method: Method
    data: DataModule
    stage: Stage


class History(Callback):
    """Writes the metrics of every epoch to the stages that are trained as one, and stops when all have diverged.

    Args:
        stages: what is trained.
        watchers: callbacks of one's own, which find the metrics of a training alone in ``trainer.callback_metrics``.
    """

    def __init__(self, stages: Sequence[Stage], watchers: Sequence[Callback] = ()) -> None:
        self.stages, self.watchers = list(stages), list(watchers)
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
        curve = pl_module.updates[0].curve
        losses = [values[curve] for values in means if curve in values]
        self.loss = sum(losses) / len(losses) if losses else math.nan
        if all(stage.error is not None for stage in self.stages):
            raise InputError(str(self.stages[0].error))
        if self.watchers and len(self.stages) == 1:
            last = {name: values[-1] for name, values in self.stages[0].curves.items()}
            pl_module.log_dict({name: value for name, value in last.items() if value is not None})

    def state_dict(self) -> dict[str, Any]:
        """The state for a resume checkpoint."""
        return {"stages": [stage.state_dict() for stage in self.stages]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of a resume checkpoint."""
        for stage, state in zip(self.stages, state_dict["stages"], strict=True):
            stage.load_state_dict(state)


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


def new_trainer(
    make: partial[Trainer], stages: Sequence[Stage], *, epochs: int, folder: Path, callbacks: Sequence[Callback] = ()
) -> Trainer:
    """The Trainer of the settings, for stages that are trained as one, with a resume checkpoint.

    ``make`` is what Hydra makes of ``trainer``: the class with its keywords. The first stage names the progress bar and
    the checkpoint; without stages it only scores. The callbacks come before those of ``trainer.callbacks``.

    Raises:
        InputError: the Trainer refuses its settings (no such accelerator, precision, ...), or a callback is none.
    """
    wanted = make.keywords.get("callbacks") or ()
    wanted = wanted.values() if isinstance(wanted, Mapping) else wanted
    wanted = list(wanted) if isinstance(wanted, Iterable) and not isinstance(wanted, str) else [wanted]
    for callback in wanted:
        if not isinstance(callback, Callback):
            raise InputError(
                f"trainer.callbacks must be a list of Lightning's callbacks, it holds a {type(callback).__name__}; for "
                f"example '+trainer.callbacks=[{{_target_:lightning.pytorch.callbacks.LambdaCallback}}]'"
            )
    own: list[Callback] = []
    if stages:
        history = History(stages, wanted)
        bar = [ProgressBar(history)] if make.keywords.get("enable_progress_bar", True) else []
        own = [history, *bar, _resume_checkpoint(stages, folder)]
    try:
        with quiet():
            trainer = make(
                max_epochs=epochs,
                logger=False,  # each stage has its own log, and several may train as one
                callbacks=[*own, *callbacks, *wanted],
                enable_checkpointing=bool(stages),
                enable_model_summary=False,
                enable_progress_bar=False,
                num_sanity_val_steps=0,
                use_distributed_sampler=False,
                default_root_dir=folder,
            )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError) as error:
        raise InputError(
            f"trainer: the Trainer refuses its settings: {error_words(error)}; change them with trainer.KEY=VALUE"
        ) from error
    if make.keywords.get("precision") == "16-mixed" and trainer.precision != "16-mixed":  # Lightning takes bfloat16
        raise InputError("trainer.precision must be 32-true or bf16-mixed on this device, 16-mixed needs a GPU")
    most = max(2, os.cpu_count() or 1)  # a process each; two, so that one core can try it
    if isinstance(trainer.accelerator, CPUAccelerator) and trainer.num_devices > most:
        raise InputError(
            f"trainer.devices must be at most {most} on this CPU, a process each, got {trainer.num_devices}; lower it"
        )
    trainer.strategy.checkpoint_io = Checkpoints()
    return trainer


def _resume_checkpoint(stages: Sequence[Stage], folder: Path) -> ResumeCheckpoint:
    names = "".join(f"{stage.name} {stage.key} " for stage in stages)
    tag = stages[0].key if len(stages) == 1 else blake2b(names.encode(), digest_size=5).hexdigest()
    return ResumeCheckpoint(folder / f"{stages[0].name}.{tag}.resume.ckpt", tag)


def history_of(trainer: Trainer) -> History:
    """The callback that every Trainer of stages has."""
    (history,) = (each for each in trainer.callbacks if isinstance(each, History))  # type: ignore[attr-defined]
    return history


def fit(trainer: Trainer, module: Steps, data: LightningDataModule) -> None:
    """Train stages to their end, from their resume checkpoint if there is one, which is not removed.

    The results are written to the stages; one that diverges has an ``error``.

    Raises:
        InputError: the Trainer refuses its settings, or training fails with callbacks of one's own.
    """
    try:
        _fit(trainer, module, data)
    except Exception as error:
        watchers = history_of(trainer).watchers
        if not watchers or one_line(error) is not None:
            raise
        raise InputError(_with_callbacks(error, watchers)) from error


def _with_callbacks(error: Exception, callbacks: Sequence[Callback]) -> str:
    """What failed with callbacks of one's own, and in which line of them, or else of anything."""
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [each for each in frames if any(each[0].f_locals.get("self") is callback for callback in callbacks)]
    frame, line = (own or frames)[-1]
    names = ", ".join(type(callback).__name__ for callback in callbacks)
    return (
        f"trainer.callbacks: training fails with {names}: {type(error).__name__}: {first_line(error)} "
        f"({frame.f_code.co_filename}, line {line}); mend it, or leave it out"
    )


def _fit(trainer: Trainer, module: Steps, data: LightningDataModule) -> None:
    (resume,) = (callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ResumeCheckpoint))
    history = history_of(trainer)
    state, start = resume.read(module), time.perf_counter()
    assert isinstance(trainer.strategy.checkpoint_io, Checkpoints)  # ``new_trainer`` made it
    trainer.strategy.checkpoint_io.state = state  # read and checked; the path below only tells Lightning to resume
    if isinstance(trainer.strategy, DDPStrategy) and any(update.unmoved(module) for update in module.updates):
        trainer.strategy._ddp_kwargs.setdefault("find_unused_parameters", True)  # no step moves all of the network
    try:
        device = trainer.strategy.root_device
        with quiet(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            trainer.fit(module, datamodule=data, ckpt_path=None if state is None else resume.path, weights_only=True)
    except SystemExit as stop:  # how Lightning answers Ctrl-C
        raise KeyboardInterrupt from stop
    except MisconfigurationException as error:
        raise InputError(f"trainer: {error_words(error)}; change it with trainer.KEY=VALUE") from error
    except InputError:
        if any(stage.error is None for stage in history.stages):
            raise  # a file that rows come from may be gone: the same command goes on
        resume.path.unlink(missing_ok=True)
    except RuntimeError as error:
        if trainer.world_size > 1 and (isinstance(error, DistError) or _LOST.search(str(error))):
            raise InputError(
                f"trainer: another process of this training has ended ({first_line(error)}), so that none goes on; "
                f"the same command goes on from the resume checkpoint"
            ) from error
        if "find_unused_parameters" not in str(error):
            raise
        raise InputError(
            "trainer.strategy must be ddp_find_unused_parameters_true for several processes, as some steps of this "
            "method move a part of its network alone"
        ) from error
    for stage in history.stages:
        stage.resumed = state is not None
        stage.seconds += (time.perf_counter() - start) / len(history.stages)


def score_rows(trainer: Trainer, module: LightningModule, data: LightningDataModule) -> torch.Tensor:
    """The scores of the rows in ``data.scored``, ``(N,)`` float64 on the CPU."""
    with quiet():
        batches = trainer.predict(module, datamodule=data)
    assert batches is not None  # None only with return_predictions=False
    return torch.cat([scores.cpu().double() for scores in batches])  # type: ignore[union-attr]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings of Lightning 2.6 about which a user can do nothing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*LeafSpec.*deprecated")  # its own use of torch's pytree
        warnings.filterwarnings("ignore", message="The `srun` command is available")  # Slurm is installed but not used
        warnings.filterwarnings("ignore", message=".*AMP with fp16 is not supported on CPU")  # which we refuse
        warnings.filterwarnings("ignore", message="Found .* module.* in eval mode at the start")  # frozen modules are
        yield
