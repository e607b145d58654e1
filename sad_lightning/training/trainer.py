"""The Trainer of stages that are trained as one: its callbacks, how it is made, and how it trains and scores."""

import math
import os
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback, Checkpoint
from lightning.pytorch.strategies import DDPStrategy
from torch.distributed import DistError
from tqdm import tqdm

from sad_lightning.config.mistakes import one_line
from sad_lightning.errors import DamagedError, InputError, error_words, first_line
from sad_lightning.files import read_archive, unless_damaged, write_archive
from sad_lightning.methods.steps import Steps
from sad_lightning.seeding import derive
from sad_lightning.training.stage import Stage

MakeTrainer = Callable[..., Trainer]
_SECONDS_BETWEEN_CHECKPOINTS = 30.0
_LOST = re.compile("by peer|Broken pipe|Connection refused|Application timeout")  # gloo's words: a process is gone

# Lightning asks torch to look for a GPU through NVML, and an optimiser looks in every step: where there is none, NVML's
# library is searched for each time, which takes half a millisecond. CUDA answers at once that there is none.
if not torch.cuda.is_available():
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


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
        losses = [values["loss"] for values in means if "loss" in values]
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


def new_trainer(
    make: MakeTrainer, stages: Sequence[Stage], *, epochs: int, folder: Path, callbacks: Sequence[Callback] = ()
) -> Trainer:
    """A Trainer for stages that are trained as one, with its resume checkpoint in ``folder``.

    Args:
        make: makes a Trainer from keywords.
        stages: what it trains; the first names the progress bar and the checkpoint. Empty if it only scores.
        epochs: how many.
        folder: of the resume checkpoint.
        callbacks: further callbacks; those of ``trainer.callbacks`` follow them.

    Raises:
        InputError: the Trainer refuses its settings (no such accelerator, precision, ...), or a callback is none.
    """
    given: Mapping[str, Any] = getattr(make, "keywords", {})
    wanted = given.get("callbacks") or ()
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
        bar = [ProgressBar(history)] if given.get("enable_progress_bar", True) else []
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
    if str(given.get("precision")) == "16-mixed" != trainer.precision:  # Lightning would go on with bfloat16
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
    trainer.strategy.checkpoint_io.state = state
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
