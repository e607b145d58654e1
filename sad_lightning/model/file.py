"""Reading a model file: plain data and tensors, with ``weights_only=True``; nothing is unpickled."""

from pathlib import Path
from typing import Any

import torch

from sad_lightning.errors import DamagedError, InputError
from sad_lightning.files import MODEL_FILE, read_archive
from sad_lightning.model.hub import read_hub
from sad_lightning.version import __version__

FORMAT = "sad_lightning model"
VERSION = 1
ARCHIVE = "model file"  # what its checksum names it


def read_document(path: Path) -> dict[str, Any]:
    """The document of a model file, or of the folder of a hub whose tensors ``path`` names.

    Raises:
        InputError: it does not exist, is damaged or something else, or is of another version.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such model file; a training on own data leaves one, {MODEL_FILE}")
    if path.suffix == ".safetensors":
        return _checked(path, read_hub(path.parent))
    try:
        document = torch.load(read_archive(path, ARCHIVE), weights_only=True, map_location="cpu")
    except DamagedError as error:
        raise InputError(f"{path}: {error.reason}; copy it again, or train it again") from error
    except Exception as error:  # a checksum that fits and bytes that do not make torch raise many types of error
        raise InputError(f"{path}: must be a {ARCHIVE}, it is something else; train it again") from error
    return _checked(path, document)


def _checked(path: Path, document: Any) -> dict[str, Any]:
    """The document of a model file, if it is one of this version."""
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(f"{path}: must be a {ARCHIVE}, it is something else; a training leaves {MODEL_FILE}")
    if document.get("version") != VERSION:
        raise InputError(
            f"{path}: has format {document.get('version')}, of sad_lightning {document.get('package')}; this version "
            f"({__version__}) reads {VERSION}; install that one, or train again"
        )
    return document
