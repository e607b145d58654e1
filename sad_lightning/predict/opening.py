"""What a command needs to open a model file: the modules that define its methods, and a device."""

import argparse
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from sad_lightning.errors import InputError
from sad_lightning.files import MODEL_FILE, model_file

if TYPE_CHECKING:
    import torch


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the argument MODEL and the option --import."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model file, or the folder of a run or of a hub")
    parser.add_argument("--import", dest="modules", nargs="+", default=[], help="modules that define your own methods")


def check_there(*files: Path) -> None:
    """Refuse a model or data that does not exist, before torch is imported."""
    model, *data = model_file(files[0]), *files[1:]
    if not model.is_file():
        raise InputError(f"{model}: there is no such model file; a training on own data leaves one, {MODEL_FILE}")
    for path in data:
        if not path.exists():
            raise InputError(f"{path}: there is no such file; give the path of one that is there")


def check_output(option: str, output: Path, *read: Path) -> None:
    """Refuse an output that would replace a file that the command reads, if there is one, or a file of the run."""
    if any(path.exists() and path.resolve() == output.resolve() for path in read):
        raise InputError(f"{option}={output}: must be another file than what is read or the run left; choose another")


def import_all(modules: Sequence[str]) -> None:
    """Import the modules that define the user's own methods."""
    for name in modules:
        try:
            import_module(name)
        except ImportError as error:
            raise InputError(f"--import {name}: {error}; run from the folder that holds it") from error
        except (Exception, SystemExit) as error:  # the module may raise anything
            raise InputError(f"--import {name}: {type(error).__name__}: {error}; mend it") from error


def device_of(name: str) -> "torch.device":
    """The device of a name; ``auto`` is cuda if there is one, else cpu."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        zero = torch.zeros(1, device=name)
        zero.cpu()  # fails on the device meta
        return zero.device
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device must be one that is there, got {name!r}; cpu always is") from error
