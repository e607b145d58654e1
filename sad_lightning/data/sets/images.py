"""Image data sets as arrays: scikit-learn's digits, MNIST, Fashion-MNIST, CIFAR-10.

``<root>/<name>.npz``, with train_images, train_labels, test_images and test_labels in uint8 (MedMNIST's layout), is
read where it exists. Else torchvision downloads the set and checks its md5; then its pixels and labels are checked by
sha256 and written to that file.
"""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.arrays import Arrays, content_digest, data_root, read_npz, warn_of_change
from sad_lightning.data.sets.download import download_folder
from sad_lightning.errors import InputError
from sad_lightning.files import whole_file

LAYOUT = {"train_images": 0, "train_labels": 0, "test_images": 0, "test_labels": 0}
_TORCHVISION = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10"}
_DIGESTS = {
    "mnist": "ee83530b944a724242360e8c64b9f684fb1bb5bcb7d42657fcb9132ca2ac51d0",
    "fashion_mnist": "a7ed2a64021f8c16993a9922ee3592853d8c82a423e66f41e9d78eecb0158311",
    "cifar10": "00f91ac35def33a68bbbb65fb7b8dba8eefed5c4724ab54e3090952a3c3bf931",
}


def digits() -> Arrays:
    """The 1,797 handwritten digits of 8x8 pixels that ship with scikit-learn; they have no test half of their own."""
    from sklearn.datasets import load_digits  # a second of import that no other data set needs

    bundle = load_digits()
    pixels = np.round(bundle.images * (255 / 16)).astype(np.uint8)  # 17 grey levels, spread over a byte
    return Arrays(pixels[..., None], bundle.target.astype(np.int64), tuple("0123456789"))


def mnist(root: str | None) -> Arrays:
    """MNIST, 60,000 + 10,000 digits of 28x28 grey pixels, ten classes.

    Raises:
        InputError: the file is damaged, or is not there and can not be fetched.
    """
    return _images("mnist", root, tuple("0123456789"))


def fashion_mnist(root: str | None) -> Arrays:
    """Fashion-MNIST, 60,000 + 10,000 pictures of clothes of 28x28 grey pixels, ten classes.

    Raises:
        InputError: the file is damaged, or is not there and can not be fetched.
    """
    names = ("top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
    return _images("fashion_mnist", root, names)


def cifar10(root: str | None) -> Arrays:
    """CIFAR-10, 50,000 + 10,000 photographs of 32x32 colour pixels, ten classes.

    Raises:
        InputError: the file is damaged, or is not there and can not be fetched.
    """
    names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    return _images("cifar10", root, names)


Raw = dict[str, NDArray[np.generic]]


def _images(name: str, root: str | None, classes: tuple[str, ...]) -> Arrays:
    path = data_root(root) / f"{name}.npz"
    raw = read_npz(path, LAYOUT) if path.exists() else _download(name, path)
    arrays = as_arrays(path, raw, classes)
    if content_digest(raw) != _DIGESTS[name]:
        warn_of_change(path)
    return arrays


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
    """Whether the file holds exactly the pixels and labels that the authors published.

    Raises:
        InputError: the file is damaged.
    """
    return content_digest(read_npz(data_root(root) / f"{name}.npz", LAYOUT)) == _DIGESTS[name]


def _download(name: str, path: Path) -> Raw:
    raw: Raw = {}
    with download_folder(path) as folder, warnings.catch_warnings():
        # The pickles of CIFAR-10 were written by a numpy that allowed this.
        warnings.filterwarnings("ignore", message=".*align should be passed as Python or NumPy boolean")
        from torchvision import datasets  # imports torch, which reading the file does not need

        for half in ("train", "test"):
            images = getattr(datasets, _TORCHVISION[name])(folder, train=half == "train", download=True)
            raw[f"{half}_images"] = np.ascontiguousarray(images.data, dtype=np.uint8)
            raw[f"{half}_labels"] = np.asarray(images.targets, dtype=np.uint8)
    digest = content_digest(raw)
    if digest != _DIGESTS[name]:
        raise InputError(
            f"{path}: what was downloaded is not the published data (its content has the sha256 {digest}, expected "
            f"{_DIGESTS[name]}); try again later, or put the file there by hand"
        )
    with whole_file(path) as part, open(part, "wb") as file:
        np.savez(file, allow_pickle=False, **raw)
    return raw
