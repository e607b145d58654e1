"""A model as a folder that model hubs know: ``config.json``, ``model.safetensors`` and a ``README.md``.

All tensors are in the safetensors file and all else is JSON, in which ``{"$tensor": name}`` stands where a tensor
stood, and ``{"$number": "nan"}`` for a number that JSON lacks. So nothing is unpickled; ``config.json`` holds the
SHA-256 of the tensors and a checksum of itself.
"""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor

from sad_lightning.errors import DamagedError, extra, first_line
from sad_lightning.files import HUB_FILE, read_json, whole_file, write_json

CONFIG, README = "config.json", "README.md"
_WAY_OUT = "download it again, or export the model again"


def write_hub(folder: Path, document: Mapping[str, Any], readme: str) -> None:
    """Write the folder; ``config.json`` comes last, and without it the folder is no model. Other files in it stay.

    Raises:
        InputError: safetensors is not installed.
        OSError: a file can not be written.
    """
    tensors: dict[str, Tensor] = {}
    plain = _plain(document, "", tensors)
    content = _safetensors(folder).save(tensors, metadata={"format": "pt"})
    for name, data in ((HUB_FILE, content), (README, readme.encode())):
        with whole_file(folder / name) as part:
            part.write_bytes(data)
    write_json(folder / CONFIG, {"tensors_sha256": hashlib.sha256(content).hexdigest(), **plain})


def read_hub(folder: Path) -> dict[str, Any]:
    """The document of a model that ``write_hub`` wrote.

    Raises:
        InputError: safetensors is not installed.
        DamagedError: a file is missing, damaged, or of another model.
    """
    try:
        plain = read_json(folder / CONFIG, as_written=True)
        content = (folder / HUB_FILE).read_bytes()
    except FileNotFoundError as error:
        raise DamagedError(folder, f"must hold {CONFIG} and {HUB_FILE}, it lacks one", _WAY_OUT) from error
    if plain.pop("tensors_sha256", None) != hashlib.sha256(content).hexdigest():
        raise DamagedError(folder / HUB_FILE, f"is not the file that {CONFIG} names by its SHA-256", _WAY_OUT)
    tensors = _safetensors(folder).load(content)
    try:
        document: dict[str, Any] = _joined(plain, tensors)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise DamagedError(folder / CONFIG, f"names what is not there ({first_line(error)})", _WAY_OUT) from error
    return document


def _safetensors(folder: Path) -> ModuleType:
    with extra("hub", f"{folder}: model.safetensors"):
        import safetensors.torch
    module: ModuleType = safetensors.torch
    return module


def _plain(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON has it; its tensors are added to ``tensors``, by where they stand."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().contiguous().clone()  # none shares memory with another
        return {"$tensor": name}
    if isinstance(value, Mapping):
        return {key: _plain(item, f"{name}.{key}" if name else key, tensors) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{name}.{number}", tensors) for number, item in enumerate(value)]
    return {"$number": str(value)} if isinstance(value, float) and not math.isfinite(value) else value


def _joined(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_joined(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$tensor"}:
        return tensors[value["$tensor"]]
    if value.keys() == {"$number"}:
        return float(value["$number"])
    return {key: _joined(item, tensors) for key, item in value.items()}
