"""The settings of the Trainer that a cell supports; others are refused, not dropped. It does not import torch."""

from collections.abc import Mapping, Sequence
from typing import Any

from sad_lightning.checks import true_or_false
from sad_lightning.errors import InputError

_SUPPORTED = {
    "_target_", "_partial_", "accelerator", "benchmark", "callbacks", "detect_anomaly", "deterministic",
    "devices", "enable_progress_bar", "inference_mode", "limit_train_batches", "max_epochs",
    "num_nodes", "plugins", "precision", "profiler", "strategy", "sync_batchnorm",
}  # fmt: skip
_INSTEAD = {
    "logger": "choose one with logger=csv, wandb, tensorboard, mlflow or none",
    "default_root_dir": "runs=FOLDER says where files go",
    "enable_checkpointing": "a resume checkpoint is always kept, and a finished cell keeps its model",
    "enable_model_summary": "print a method to see its layers",
    "fast_dev_run": "trainer.max_epochs=1 is a short run",
    "min_epochs": "training ends after trainer.max_epochs, or by patience",
    "max_steps": "training ends after trainer.max_epochs, or by patience",
    "max_time": "training ends after trainer.max_epochs, or by patience",
    "gradient_clip_val": "a method says how its gradients are clipped",
    "limit_predict_batches": "all rows are scored",
}


def check_processes(settings: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Refuse to be one of several processes where settings ask for one: it would wait, or log nothing."""
    if settings.get("num_nodes", 1) != 1 or settings.get("devices", 1) not in (1, [0]):
        return
    for name in ("LOCAL_RANK", "RANK"):
        if environment.get(name, "0") != "0":
            raise InputError(
                f"{name}={environment[name]} is set in the environment, as for one of several processes, and "
                f"trainer.devices=1 asks for one; unset {name}, or set trainer.devices"
            )
    tasks = environment.get("SLURM_NTASKS", "1")
    if tasks.isdigit() and int(tasks) > 1 and environment.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        raise InputError(
            f"SLURM_NTASKS={tasks} is set in the environment, and trainer.devices=1 asks for one process; unset "
            f"SLURM_NTASKS, or ask Slurm for one task"
        )


def has_one_device(settings: Mapping[str, Any]) -> bool:
    """Whether one process trains on one device, by its settings alone."""
    devices = settings.get("devices", 1)
    return devices == 1 or (isinstance(devices, Sequence) and not isinstance(devices, str) and len(devices) == 1)


def check_trainer(settings: Mapping[str, Any], *, sweep: bool) -> None:
    """Refuse settings of the Trainer that would be dropped, or would change numbers without a record of it."""
    if sweep and not has_one_device(settings):
        raise InputError(
            f"trainer.devices must be 1 within a sweep, got {settings['devices']!r}; a sweep scales by cells"
        )
    for name in settings:
        if name not in _SUPPORTED:
            instead = _INSTEAD.get(str(name), f"leave it out; there are {', '.join(sorted(_SUPPORTED))}")
            raise InputError(f"trainer.{name} is not supported in a cell; {instead}")
    if settings.get("limit_train_batches") == 0:
        raise InputError("trainer.limit_train_batches must be above 0, got 0, which trains nothing; null: whole epochs")
    for name in ("detect_anomaly", "enable_progress_bar", "inference_mode", "sync_batchnorm"):
        true_or_false(f"trainer.{name}", settings.get(name, False))
    for name in ("benchmark", "deterministic"):  # Lightning's rules
        if settings.get(name) is not None and (name, settings[name]) != ("deterministic", "warn"):
            true_or_false(f"trainer.{name}", settings[name])
    if not isinstance(settings.get("profiler"), Mapping | None):
        raise InputError(
            f"trainer.profiler must say which file it writes, got {settings['profiler']!r}; for example "
            "'+trainer.profiler={_target_:lightning.pytorch.profilers.SimpleProfiler,dirpath:.,filename:profile}'"
        )
