"""The Trainer of stages that are trained as one: how it is made, and how it trains and scores."""

import os
import re
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy
from torch.distributed import DistError

from sad_lightning.config.mistakes import one_line
from sad_lightning.errors import InputError, first_line, words_of
from sad_lightning.files import write_archive
from sad_lightning.methods.steps import Steps
from sad_lightning.training.callbacks import History, OwnMetrics, ProgressBar, ResumeCheckpoint
from sad_lightning.training.stage import Stage

MakeTrainer = Callable[..., Trainer]
_LOST = re.compile(
    "by peer|Broken pipe|Connection refused|Application timeout"
)  # what gloo says when a process is gone

# Lightning asks torch to look for a GPU through NVML, and an optimiser looks in every step: where there is none, NVML's
# library is searched for each time, which takes half a millisecond. CUDA answers at once that there is none.
if not torch.cuda.is_available():
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


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
        history, resume = History(stages), _resume_checkpoint(stages, folder)
        bar = [ProgressBar(history)] if given.get("enable_progress_bar", True) else []
        own = [history, *bar, *([OwnMetrics(wanted)] if wanted else []), resume]
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
            f"trainer: the Trainer refuses its settings: {words_of(error)}; change them with trainer.KEY=VALUE"
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


def own_callbacks(trainer: Trainer) -> bool:
    """Whether callbacks of one's own watch the training."""
    return any(isinstance(callback, OwnMetrics) for callback in trainer.callbacks)  # type: ignore[attr-defined]


def fit(trainer: Trainer, module: Steps, data: LightningDataModule) -> None:
    """Train stages to their end, from their resume checkpoint if there is one, which is not removed.

    The results are written to the stages; one that diverges has an ``error``.

    Raises:
        InputError: the Trainer refuses its settings, or training fails with callbacks of one's own.
    """
    try:
        _fit(trainer, module, data)
    except Exception as error:
        watching = [each for each in trainer.callbacks if isinstance(each, OwnMetrics)]  # type: ignore[attr-defined]
        if not watching or one_line(error) is not None:
            raise
        raise InputError(_with_callbacks(error, watching[0].callbacks)) from error


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
    (history,) = (callback for callback in trainer.callbacks if isinstance(callback, History))  # type: ignore[attr-defined]
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
        raise InputError(f"trainer: {words_of(error)}; change it with trainer.KEY=VALUE") from error
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
