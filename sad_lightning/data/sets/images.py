"""Image data sets as arrays: scikit-learn's digits, MNIST, Fashion-MNIST, CIFAR-10.

A file in place, ``<root>/<name>.npz`` with train_images, train_labels, test_images, test_labels in uint8 (MedMNIST's
layout), is read without touching the network. Else the authors' own binary files are fetched, checked by content
and kept in that same layout.
"""

import gzip
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.arrays import Arrays, content_digest, data_root, read_npz
from sad_lightning.data.sets.download import fetch
from sad_lightning.errors import InputError
from sad_lightning.files import whole_file

_LAYOUT = {"train_images": 0, "train_labels": 0, "test_images": 0, "test_labels": 0}
_MNIST = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_FASHION = ("https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",)
_CIFAR = ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",)
_DIGESTS = {
    "mnist": "ee83530b944a724242360e8c64b9f684fb1bb5bcb7d42657fcb9132ca2ac51d0",
    "fashion_mnist": "a7ed2a64021f8c16993a9922ee3592853d8c82a423e66f41e9d78eecb0158311",
    "cifar10": "00f91ac35def33a68bbbb65fb7b8dba8eefed5c4724ab54e3090952a3c3bf931",
}


def digits(root: str | None) -> Arrays:
    """The 1,797 handwritten digits of 8x8 pixels that ship with scikit-learn, so ``root`` is not looked at.

    They have no test half of their own.
    """
    from sklearn.datasets import load_digits  # a second of import that no other data set needs

    bundle = load_digits()
    pixels = np.round(bundle.images * (255 / 16)).astype(np.uint8)  # 17 grey levels, spread over a byte
    return Arrays(pixels[..., None], bundle.target.astype(np.int64), tuple("0123456789"))


def mnist(root: str | None) -> Arrays:
    """MNIST, 60,000 + 10,000 digits of 28x28 grey pixels, ten classes.

    Raises:
        InputError: the file is damaged, or is not there and can not be fetched.
    """
    return _images("mnist", root, lambda folder: _idx(folder, _MNIST), tuple("0123456789"))


def fashion_mnist(root: str | None) -> Arrays:
    """Fashion-MNIST, 60,000 + 10,000 pictures of clothes of 28x28 grey pixels, ten classes.

    Raises:
        InputError: the file is damaged, or is not there and can not be fetched.
    """
    names = ("top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
    return _images("fashion_mnist", root, lambda folder: _idx(folder, _FASHION), names)


def cifar10(root: str | None) -> Arrays:
    """CIFAR-10, 50,000 + 10,000 photographs of 32x32 colour pixels, ten classes.

    Raises:
        InputError: the file is damaged, or is not there and can not be fetched.
    """
    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    return _images("cifar10", root, _cifar_binary, names)


Raw = dict[str, NDArray[np.generic]]


def _images(name: str, root: str | None, download: Callable[[Path], Raw], classes: tuple[str, ...]) -> Arrays:
    path = data_root(root) / f"{name}.npz"
    raw = read_npz(path, _LAYOUT) if path.exists() else _keep(path, download(path.parent / "downloads" / name), name)
    return as_arrays(path, raw, classes)


def as_arrays(path: Path, raw: Raw, classes: tuple[str, ...]) -> Arrays:
    """The arrays of an npz in MedMNIST's layout, train rows first.

    Raises:
        InputError: shapes or types do not fit together.
    """
    halves = []
    for half in ("train", "test"):
        images, labels = raw[f"{half}_images"], raw[f"{half}_labels"].reshape(-1)
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or len(images) != len(labels):
            raise InputError(
                f"{path}: {half}_images must be (N, H, W) or (N, H, W, C) uint8 with one label each, got "
                f"{images.shape} {images.dtype} and {len(labels)} labels; remove the file to have it fetched again"
            )
        if len(labels) == 0 or int(labels.min()) < 0 or int(labels.max()) >= len(classes):
            raise InputError(
                f"{path}: {half}_labels must be class numbers 0 to {len(classes) - 1}; fetch the file again"
            )
        halves.append((images.astype(np.uint8, copy=False), labels.astype(np.int64)))
    (train, train_labels), (test, test_labels) = halves
    if train.shape[1:] != test.shape[1:]:
        raise InputError(
            f"{path}: train images are {train.shape[1:]} but test images {test.shape[1:]}; fetch the file again"
        )
    x = np.concatenate([train, test])
    x = x[..., None] if x.ndim == 3 else x
    return Arrays(x, np.concatenate([train_labels, test_labels]), classes, n_train=len(train))


def verify(name: str, root: str | None) -> bool:
    """Whether the file in place says, to the last pixel, what the authors published.

    Raises:
        InputError: the file is damaged.
    """
    return content_digest(read_npz(data_root(root) / f"{name}.npz", _LAYOUT)) == _DIGESTS[name]


def _keep(path: Path, raw: Raw, name: str) -> Raw:
    got = content_digest(raw)
    if got != _DIGESTS[name]:
        raise InputError(
            f"{name}: what was downloaded has the content sha256 {got}, expected {_DIGESTS[name]}; "
            f"remove {path.parent / 'downloads' / name} and fetch it again"
        )
    with whole_file(path) as part, open(part, "wb") as file:
        np.savez(file, allow_pickle=False, **raw)
    return raw


def _idx(folder: Path, mirrors: tuple[str, ...]) -> Raw:
    raw: Raw = {}
    for half, stem in (("train", "train"), ("test", "t10k")):
        for part, kind, header in (("images", "images-idx3", 16), ("labels", "labels-idx1", 8)):
            name = f"{stem}-{kind}-ubyte.gz"
            path = fetch([mirror + name for mirror in mirrors], folder / name)
            try:
                with gzip.open(path) as file:
                    values = np.frombuffer(file.read()[header:], dtype=np.uint8)
            except (OSError, EOFError, zlib.error) as error:
                path.unlink()
                raise InputError(f"{path}: what was downloaded is not a whole gzip file; fetch it again") from error
            raw[f"{half}_{part}"] = (
                values.reshape(-1, 28, 28) if part == "images" and len(values) % 784 == 0 else values
            )
    return raw


def _cifar_binary(folder: Path) -> Raw:
    """A row of the archive is a label, then 1,024 bytes of each colour."""
    path = fetch(_CIFAR, folder / "cifar-10-binary.tar.gz")
    halves = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}
    raw: Raw = {}
    try:
        with tarfile.open(path) as archive:
            for half, names in halves.items():
                files = (archive.extractfile(f"cifar-10-batches-bin/{name}.bin") for name in names)
                content = b"".join(file.read() for file in files if file is not None)
                rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, 3073)
                images = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
                raw |= {f"{half}_images": np.ascontiguousarray(images), f"{half}_labels": rows[:, 0]}
    except (tarfile.TarError, KeyError, EOFError, OSError, ValueError, zlib.error) as error:
        path.unlink()
        raise InputError(f"{path}: what was downloaded is not the CIFAR-10 archive; fetch it again") from error
    return raw
