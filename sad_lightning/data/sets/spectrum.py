"""Spectrograms of cellular spectrum, laid out for the five classes of Cellular Spectrum Misuse (ye2021 appendix C).

The authors' set is not public. ``spectrograms.npz`` below the root is read, with the arrays

    x   (n, 125, 128) uint8 or float32    n spectrograms of 125 time steps and 128 subcarriers; any scale
    y   (n,) integers                     0 normal, 1 WB-los, 2 WB-nlos, 3 NB-10ms, 4 NB-5ms

and no test half: the split draws one. Bytes take a quarter of the memory of floats: the paper's set has 100,000 rows.
"""

from pathlib import Path

import numpy as np

from sad_lightning.checks import path_of
from sad_lightning.data.arrays import Arrays, data_root, read_npz
from sad_lightning.errors import InputError

CLASSES = ("normal", "WB-los", "WB-nlos", "NB-10ms", "NB-5ms")
SHAPE = (125, 128)


def spectrograms(root: str | None, path: str = "spectrograms.npz") -> Arrays:
    """The spectrograms of a file of your own, as images of one channel.

    Raises:
        InputError: the file is not there, is damaged, or is laid out differently.
    """
    file = data_root(root) / path_of("data.path", path)
    if not file.exists():
        raise InputError(
            f"{file}: is not there, and Cellular Spectrum Misuse is not public; write x (n, 125, 128) and y (n,) "
            f"there, or try data=synthetic_spectrograms"
        )
    return read_spectrograms(file)


def read_spectrograms(path: Path) -> Arrays:
    """The arrays of a file of this layout.

    Raises:
        InputError: it is damaged, or is laid out differently.
    """
    raw = read_npz(path, {"x": 3, "y": 1})
    x, y = raw["x"], raw["y"]
    if x.shape[1:] != SHAPE or len(x) != len(y) or not len(x):
        raise InputError(f"{path}: x must be (n, 125, 128) with one class in y each, got {x.shape} and {y.shape}")
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise InputError(f"{path}: x must be uint8 or floating point, got {x.dtype}; convert it")
    values = x.astype(np.uint8, copy=False) if x.dtype == np.uint8 else x.astype(np.float32)
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise InputError(f"{path}: x must hold finite numbers, {bad} are not; drop these spectrograms")
    if y.dtype.kind not in "iu" or not np.isin(y, np.arange(len(CLASSES))).all():
        raise InputError(
            f"{path}: y must be the numbers 0 to 4 of {', '.join(CLASSES)}, got {np.unique(y)[:8].tolist()}"
        )
    return Arrays(values[..., None], y.astype(np.int64), CLASSES)
