"""Tabular data sets as arrays: six of the ODDS collection (ruff2020 Table 1) and StatLog's landsat."""

import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sad_lightning.checks import choice
from sad_lightning.data.arrays import Arrays, content_digest, data_root, read_npz, warn_of_change
from sad_lightning.data.sets.download import download_folder
from sad_lightning.errors import InputError, error_words
from sad_lightning.files import whole_file

# The addresses in the code of ruff2020, and the digest of the content that they must deliver.
_ODDS = {
    name: (f"https://www.dropbox.com/s/{link}/{name}.mat?dl=1", digest)
    for name, link, digest in (
        ("arrhythmia", "lmlwuspn1sey48r", "35a4339ae80ed4e0fe103d15d941c058bbd6392d221a44883fe985461b117478"),
        ("cardio", "galg3ihvxklf0qi", "8f3451430a64f71c916704d944620dd921cfead515768a17ac9f83f3402a29fd"),
        ("satellite", "dpzxp8jyr9h93k5", "99cd6f17868118f3bcddbb67ba8341d8f3814b6459cbb501a53c1b9f654f29ec"),
        ("satimage-2", "hckgvu9m6fs441p", "385a97072fd6ec0a446b21da0a0bb3785566e3377d3c183f7cb7406936dd74ad"),
        ("shuttle", "mk8ozgisimfn3dw", "97b6b12ab9eee2ab358173f9af24ba2d742e9f950e110c37c074fd9a9b90fefa"),
        ("thyroid", "bih0e15a0fukftb", "41fa8a12ff4a659e9ddc5b1e0efe88f90cbe786f9227ed58cc2a40b60662a899"),
    )
}
_LANDSAT = "https://archive.ics.uci.edu/static/public/146/statlog+landsat+satellite.zip"
_LANDSAT_DIGEST = "06d3cdd3bb610d8ac37a08a50077af66259b423d8517f53802c9ecc78c3ba845"
_LANDSAT_CLASSES = (
    "red soil",
    "cotton crop",
    "grey soil",
    "damp grey soil",
    "vegetation stubble",
    "very damp grey soil",
)

Raw = dict[str, NDArray[np.generic]]


def odds(name: str, root: str | None) -> Arrays:
    """One set of the ODDS collection, class 0 normal and class 1 anomaly, from ``<root>/odds/<name>.mat``.

    Raises:
        InputError: the name is unknown, the file is damaged or holds NaN, or can not be fetched.
    """
    choice("data.name", name, tuple(_ODDS))
    path = data_root(root) / "odds" / f"{name}.mat"
    url, digest = _ODDS[name]
    raw = read_mat(path) if path.exists() else _download_mat(url, path, digest)
    if content_digest(raw) != digest:
        warn_of_change(path)
    return table_arrays(path, raw["X"], raw["y"], ("normal", "anomaly"))


def landsat(root: str | None) -> Arrays:
    """StatLog's landsat satellite image: 6,435 rows, 36 columns, six soils, from ``<root>/landsat.npz``.

    Raises:
        InputError: the file is damaged, or is not there and can not be fetched.
    """
    path = data_root(root) / "landsat.npz"
    raw = read_npz(path, {"X": 2, "y": 1, "classes": 1}) if path.exists() else _download_landsat(path)
    if content_digest(raw) != _LANDSAT_DIGEST:
        warn_of_change(path)
    return table_arrays(path, raw["X"], raw["y"], tuple(str(name) for name in raw["classes"]))


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


def verify(name: str, root: str | None) -> bool:
    """Whether the file holds exactly the numbers that were published.

    Raises:
        InputError: the file is damaged.
    """
    if name == "landsat":
        raw = read_npz(data_root(root) / "landsat.npz", {"X": 2, "y": 1, "classes": 1})
        return content_digest(raw) == _LANDSAT_DIGEST
    return content_digest(read_mat(data_root(root) / "odds" / f"{name}.mat")) == _ODDS[name][1]


def _download_mat(url: str, path: Path, digest: str) -> Raw:
    with download_folder(path) as folder:
        from torchvision.datasets.utils import download_url  # imports torch, which reading the file does not need

        file = folder / path.name
        download_url(url, folder, file.name)
        try:
            raw = read_mat(file)
        except InputError as error:
            raise InputError(f"{path}: what was downloaded is not a whole .mat file; try again later") from error
        if content_digest(raw) != digest:
            raise InputError(
                f"{path}: what was downloaded is not the published data (sha256 differs); try again later, or put the "
                f"file there by hand"
            )
        os.replace(file, path)
    return raw


def _download_landsat(path: Path) -> Raw:
    with download_folder(path) as folder:
        from torchvision.datasets.utils import download_and_extract_archive

        try:
            download_and_extract_archive(_LANDSAT, folder, filename="landsat.zip")
            rows = np.concatenate([np.loadtxt(folder / name, dtype=int, ndmin=2) for name in ("sat.trn", "sat.tst")])
        except (zipfile.BadZipFile, FileNotFoundError, ValueError) as error:
            raise InputError(f"{path}: what was downloaded is not the StatLog archive; try again later") from error
    soil = rows[:, -1]
    raw: Raw = {
        "X": rows[:, :-1].astype(np.uint8),
        "y": np.where(soil == 7, 5, soil - 1).astype(np.uint8),  # no row has soil 6
        "classes": np.array(_LANDSAT_CLASSES),
    }
    if content_digest(raw) != _LANDSAT_DIGEST:
        raise InputError(
            f"{path}: what was downloaded is not the published data (sha256 differs); try again later, or put the file "
            f"there by hand"
        )
    with whole_file(path) as part, open(part, "wb") as file:
        np.savez(file, allow_pickle=False, **raw)
    return raw
