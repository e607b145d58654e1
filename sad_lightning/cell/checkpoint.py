"""The checkpoint of a cell: the weights of its deep method, or of the members of its ensemble."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sad_lightning import methods
from sad_lightning.cell.key import key_of
from sad_lightning.errors import InputError, error_words
from sad_lightning.files import read_archive
from sad_lightning.methods.method import Method
from sad_lightning.training.ensemble import Ensemble

CHECKPOINT = "model.ckpt"


def kind_of(key: str) -> str:
    """The kind of file that the checkpoint of a cell is, see ``files.write_archive``."""
    return f"Lightning checkpoint of cell {key}"


def load_model(path: Path, settings: Mapping[str, Any]) -> Method | Ensemble:
    """The method or ensemble of a finished cell, in eval mode on the CPU.

    Raises:
        InputError: there is no checkpoint, it is not the one of the cell, or its method is not known here.
    """
    if settings.get("voices"):
        raise InputError(
            f"{path.parent}: holds a mixture, which has a checkpoint a voice; choose the folder of a method"
        )
    method = _method_of(str(settings["method"]["_target_"]))  # imports it, so that an ensemble can find it by name
    kind = Ensemble if settings["ensemble"] > 1 else method
    try:
        file = read_archive(path, kind_of(key_of(settings)))
        model = kind.load_from_checkpoint(file, map_location="cpu", weights_only=True).eval()
    except Exception as error:  # code that was changed since fails in many ways
        reason = error_words(error)
        raise InputError(f"{path}: must be the checkpoint of the cell ({reason}); run the cell again") from error
    assert isinstance(model, Method | Ensemble)
    return model


def _method_of(target: str) -> type[Method]:
    """The class that a result names: a method of this package, or of a module that is imported already.

    A stored file must not decide what is imported.
    """
    room, _, name = target.rpartition(".")
    method = getattr(methods if room == methods.__name__ else sys.modules.get(room), name, None)
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise InputError(f"{target}: must be a method that is known here; name its module with --import")
    return method
