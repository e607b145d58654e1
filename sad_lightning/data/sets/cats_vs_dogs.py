"""Cats versus dogs (Elson et al. 2007), 64x64 colour pixels, two classes, as daniel2021 section 5.1 has it.

The 25,000 photographs are those of the Kaggle competition "Dogs vs. Cats" and of Microsoft's "Kaggle Cats and Dogs"
download; neither can be fetched by a program. A folder of them is kept as
``<root>/cats_vs_dogs.npz``, in MedMNIST's layout.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.arrays import Arrays, data_root, read_npz
from sad_lightning.data.sets.images import LAYOUT, as_arrays
from sad_lightning.errors import InputError
from sad_lightning.files import whole_file

SOURCE = (
    'the 25,000 photographs of the Kaggle competition "Dogs vs. Cats", or of Microsoft\'s "Kaggle Cats and Dogs" '
    "download"
)
_CLASSES = ("cat", "dog")
_SIDE, _TRAIN = 64, 0.8  # 10,000 of the 12,500 images of a class train, the first by their numbers


def cats_vs_dogs(root: str | None) -> Arrays:
    """The photographs, from ``<root>/cats_vs_dogs.npz`` or from the folder ``<root>/cats_vs_dogs``.

    In the folder a file's name, or that of the folder it is in, begins with cat or dog, whatever the case; what can not
    be read as an image is left out.

    Raises:
        InputError: neither is there, a class has no image, or the file is damaged.
    """
    path = data_root(root) / "cats_vs_dogs.npz"
    folder = path.with_suffix("")
    if path.exists():
        return as_arrays(path, read_npz(path, LAYOUT), _CLASSES)
    if not folder.is_dir():
        raise InputError(f"{path}: is not there; put {SOURCE}, into the folder {folder}")
    raw: dict[str, NDArray[np.generic]] = _from_folder(folder)
    with whole_file(path) as part, open(part, "wb") as file:
        np.savez(file, allow_pickle=False, **raw)
    return as_arrays(path, raw, _CLASSES)


def _from_folder(folder: Path) -> dict[str, NDArray[np.generic]]:
    halves: dict[str, list[NDArray[np.uint8]]] = {"train": [], "test": []}
    labels: dict[str, list[int]] = {"train": [], "test": []}
    for label, name in enumerate(_CLASSES):
        files = [path for path in folder.rglob("*.*") if _kind(path) == name]
        images = [image for path in sorted(files, key=_number) if (image := _read(path)) is not None]
        if len(images) < 2:
            raise InputError(
                f"{folder}: must hold images whose name or folder begins with {name}, it holds {len(images)}; put "
                f"{SOURCE}, there"
            )
        cut = min(max(round(_TRAIN * len(images)), 1), len(images) - 1)
        for half, some in (("train", images[:cut]), ("test", images[cut:])):
            halves[half] += some
            labels[half] += [label] * len(some)
    return {
        **{f"{half}_images": np.stack(images) for half, images in halves.items()},
        **{f"{half}_labels": np.array(each, dtype=np.uint8) for half, each in labels.items()},
    }


def _kind(path: Path) -> str | None:
    for word in (path.name.lower(), path.parent.name.lower()):
        if word.startswith(_CLASSES):
            return word[:3]
    return None


def _number(path: Path) -> tuple[int, str]:
    digits = re.findall(r"\d+", path.stem)
    return int(digits[-1]) if digits else 0, str(path)


def _read(path: Path) -> NDArray[np.uint8] | None:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR))
    except (UnidentifiedImageError, OSError):
        return None
