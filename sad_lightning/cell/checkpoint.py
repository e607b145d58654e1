"""The trained model of a cell, read from its checkpoint."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from sad_lightning.errors import InputError
from sad_lightning.methods.method import Method
from sad_lightning.training.ensemble import Ensemble


def load_model(path: Path, settings: Mapping[str, Any]) -> Method | Ensemble:
    """The method or ensemble of a finished cell, in eval mode on the CPU.

    Args:
        path: its checkpoint.
        settings: those of its result.

    Raises:
        InputError: there is no checkpoint, or it can not be read.
    """
    module, _, name = str(settings["method"]["_target_"]).rpartition(".")
    method: type[Method] = getattr(import_module(module), name)  # an ensemble finds it among what is imported
    kind = Ensemble if settings["ensemble"] > 1 else method
    try:
        model = kind.load_from_checkpoint(path, map_location="cpu", weights_only=True).eval()
    except Exception as error:  # a damaged checkpoint fails in many ways
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: must be the checkpoint of the cell ({reason}); run the cell again") from error
    assert isinstance(model, Method | Ensemble)
    return model
