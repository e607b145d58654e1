"""Images and their classes from an npz in the layout of MedMNIST's 2-D sets: a data set of classes, as MNIST is.

``train_images``, ``val_images`` and ``test_images`` hold ``(N, H, W)`` or ``(N, H, W, 3)`` uint8, ``*_labels`` a class
number for each image, ``(N,)`` or ``(N, 1)``. Where an image has several labels, ``(N, L)`` of 0 and 1 as in
ChestMNIST, its class is the first label that is 1, and class 0 stands for none. Validation images train.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sad_lightning.checks import path_of
from sad_lightning.data.arrays import Arrays, read_npz_all
from sad_lightning.data.schema import ImageSchema
from sad_lightning.errors import InputError


def npz(path: str) -> Arrays:
    """The images of a file.

    Raises:
        InputError: the file is not there, damaged, or of another layout.
    """
    file = path_of("data.path", path)
    if not file.is_file():
        raise InputError(f"{file}: there is no such file; give the right one with data.path=FILE")
    raw = read_npz_all(file)
    halves = [half for half in ("train", "val", "test") if f"{half}_images" in raw]
    if "train" not in halves or "test" not in halves:
        raise InputError(
            f"{file}: must hold train_images, train_labels, test_images and test_labels, it holds "
            f"{', '.join(raw) or 'nothing'}; a table in npz is data=table"
        )
    images, labels = zip(*(_half(file, raw, half) for half in halves), strict=True)
    if len({part.shape[1:] for part in images}) > 1:
        raise InputError(
            f"{file}: all images must have one shape, got {[part.shape[1:] for part in images]}; resize them"
        )
    classes = tuple(str(number) for number in range(max(int(part.max()) for part in labels) + 1))
    _, *size = images[0].shape
    return Arrays(
        np.concatenate(images), np.concatenate(labels), classes, n_train=sum(map(len, images[:-1])),
        schema=ImageSchema(*size),
    )  # fmt: skip


def _half(file: Path, raw: dict[str, NDArray[np.generic]], half: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images, labels = raw[f"{half}_images"], raw.get(f"{half}_labels", np.array([]))
    pixels = images[..., None] if images.ndim == 3 else images
    if images.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] not in (1, 3) or not len(images):
        raise InputError(
            f"{file}: {half}_images must be (N, H, W) or (N, H, W, 3) uint8, got {images.shape} {images.dtype}; the "
            f"3-D sets are not served"
        )
    whole = labels.dtype.kind in "iub" and labels.shape[:1] == images.shape[:1] and labels.ndim < 3 and labels.size > 0
    if not whole or int(labels.astype(np.int64).min()) < 0:
        raise InputError(
            f"{file}: {half}_labels must be class numbers from 0, one an image, got {labels.shape} {labels.dtype}; "
            f"mend it"
        )
    if labels.ndim == 2 and labels.shape[1] > 1:
        return pixels.astype(np.uint8), np.where(labels.any(axis=1), 1 + labels.argmax(axis=1), 0).astype(np.int64)
    return pixels.astype(np.uint8), labels.reshape(-1).astype(np.int64)
