"""Tabular data sets as arrays: six of the ODDS collection (ruff2020 Table 1) and StatLog's landsat."""

import warnings
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sad_lightning.checks import choice
from sad_lightning.data.arrays import Arrays, read_npz
from sad_lightning.data.sets.download import Published, Raw
from sad_lightning.errors import InputError, error_words

_LANDSAT = "https://archive.ics.uci.edu/static/public/146/statlog+landsat+satellite.zip"
_LANDSAT_CLASSES = (
    "red soil",
    "cotton crop",
    "grey soil",
    "damp grey soil",
    "vegetation stubble",
    "very damp grey soil",
)


def odds(name: str, root: str | None) -> Arrays:
    """One set of the ODDS collection, class 0 normal and class 1 anomaly, from ``<root>/odds/<name>.mat``.

    Raises:
        InputError: the name is unknown, the file is damaged or holds NaN, or can not be fetched.
    """
    choice("data.name", name, tuple(_ODDS))
    return _ODDS[name].load(root, lambda path, raw: table_arrays(path, raw["X"], raw["y"], ("normal", "anomaly")))


def landsat(root: str | None) -> Arrays:
    """StatLog's landsat satellite image: 6,435 rows, 36 columns, six soils, from ``<root>/landsat.npz``.

    Raises:
        InputError: the file is damaged, or is not there and can not be fetched.
    """
    return PUBLISHED["landsat"].load(
        root, lambda path, raw: table_arrays(path, raw["X"], raw["y"], tuple(str(name) for name in raw["classes"]))
    )


def table_arrays(path: Path, x: NDArray[np.generic], y: NDArray[np.generic], classes: tuple[str, ...]) -> Arrays:
    """Rows and their classes, checked: one class a row, no value missing or infinite; a constant column only warns.

    Raises:
        InputError: shapes do not fit, a class is unknown, or a value is not finite.
    """
    labels = y.reshape(-1)
    if x.ndim != 2 or len(x) != len(labels) or len(x) == 0:
        raise InputError(f"{path}: X must be (N, D) with one label each, got {x.shape} and {len(labels)} labels")
    if x.dtype.kind not in "iuf":
        raise InputError(f"{path}: X must hold numbers, got {x.dtype}")
    values = x.astype(np.float32)
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InputError(
            f"{path}: X must hold finite numbers, but {int(bad.sum())} are NaN or infinite (first: row {row}, column "
            f"{column}); drop or fill these rows before training"
        )
    if not np.isin(labels, np.arange(len(classes))).all():
        raise InputError(
            f"{path}: y must be class numbers 0 to {len(classes) - 1}, got {np.unique(labels)[:8].tolist()}"
        )
    constant = int((values == values[0]).all(axis=0).sum())
    if constant:
        warnings.warn(f"{path.name}: {constant} of {values.shape[1]} columns are constant and map to 0", stacklevel=2)
    return Arrays(values, labels.astype(np.int64), classes)


def read_mat(path: Path) -> Raw:
    """``X`` and ``y`` of a MATLAB file.

    Raises:
        InputError: the file is damaged or lacks one of them.
    """
    from scipy.io import loadmat  # scipy's readers take a while to import

    try:
        arrays = loadmat(path, variable_names=["X", "y"])
    except Exception as error:  # damaged bytes make scipy raise many types of error
        reason = error_words(error)
        raise InputError(
            f"{path}: must be a whole .mat file, but reading it fails ({reason}); fetch it again"
        ) from error
    if "X" not in arrays or "y" not in arrays:
        raise InputError(f"{path}: must hold X and y; it does not; remove the file to have it fetched again")
    return {"X": arrays["X"], "y": arrays["y"]}


def _fetch_mat(url: str, file: Path) -> None:
    from torchvision.datasets.utils import download_url  # imports torch, which reading the file does not need

    download_url(url, file.parent, file.name)


def _read_landsat(path: Path) -> Raw:
    return read_npz(path, {"X": 2, "y": 1, "classes": 1})


def _fetch_landsat(file: Path) -> None:
    from torchvision.datasets.utils import download_and_extract_archive

    try:
        download_and_extract_archive(_LANDSAT, file.parent, filename="landsat.zip")
        rows = np.concatenate([np.loadtxt(file.parent / name, dtype=int, ndmin=2) for name in ("sat.trn", "sat.tst")])
    except (zipfile.BadZipFile, FileNotFoundError, ValueError) as error:
        raise InputError(f"{file.name}: what was downloaded is not the StatLog archive; try again later") from error
    soil = rows[:, -1]
    y = np.where(soil == 7, 5, soil - 1).astype(np.uint8)  # no row has soil 6
    np.savez(file, allow_pickle=False, X=rows[:, :-1].astype(np.uint8), y=y, classes=np.array(_LANDSAT_CLASSES))


# The addresses in the code of ruff2020, and the digest of the content that they must deliver.
_ODDS = {
    name: Published(
        f"odds/{name}.mat", digest, read_mat, partial(_fetch_mat, f"https://www.dropbox.com/s/{link}/{name}.mat?dl=1")
    )
    for name, link, digest in (
        ("arrhythmia", "lmlwuspn1sey48r", "35a4339ae80ed4e0fe103d15d941c058bbd6392d221a44883fe985461b117478"),
        ("cardio", "galg3ihvxklf0qi", "8f3451430a64f71c916704d944620dd921cfead515768a17ac9f83f3402a29fd"),
        ("satellite", "dpzxp8jyr9h93k5", "99cd6f17868118f3bcddbb67ba8341d8f3814b6459cbb501a53c1b9f654f29ec"),
        ("satimage-2", "hckgvu9m6fs441p", "385a97072fd6ec0a446b21da0a0bb3785566e3377d3c183f7cb7406936dd74ad"),
        ("shuttle", "mk8ozgisimfn3dw", "97b6b12ab9eee2ab358173f9af24ba2d742e9f950e110c37c074fd9a9b90fefa"),
        ("thyroid", "bih0e15a0fukftb", "41fa8a12ff4a659e9ddc5b1e0efe88f90cbe786f9227ed58cc2a40b60662a899"),
    )
}
PUBLISHED = {
    **_ODDS,
    "landsat": Published(
        "landsat.npz",
        "06d3cdd3bb610d8ac37a08a50077af66259b423d8517f53802c9ecc78c3ba845",
        _read_landsat,
        _fetch_landsat,
    ),
}
