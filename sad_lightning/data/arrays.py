"""A data set before any split: what every function in ``data`` returns."""

import hashlib
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.schema import Schema
from sad_lightning.errors import InputError, error_words

OPEN = 3  # a part: trains or validates, as the split draws
UNMARKED = 255  # all pixels of a mask: where the defects of this image are is not known


@dataclass(frozen=True, eq=False)
class Labels:
    """Labels of own data: what its file says of each row beside the row's values.

    Attributes:
        semi: ``(N,)`` int8, the label that training sees: -1 known anomaly, 0 unlabeled, +1 known normal.
        normal_classes: the classes of ``target_class`` that count as normal.
        known_classes: the classes of the known anomalies.
        part: ``(N,)`` int8, 0 train, 1 validation, 2 test, ``OPEN``; None where the split draws the parts.
        group: ``(N,)``, rows of one group stay in one part; None for no groups.
    """

    semi: NDArray[np.int8]
    normal_classes: tuple[int, ...]
    known_classes: tuple[int, ...]
    part: NDArray[np.int8] | None = None
    group: NDArray[np.int64] | None = None

    def rows(self, kept: NDArray[np.bool_]) -> "Labels":
        """The labels of some rows."""
        part = None if self.part is None else self.part[kept]
        group = None if self.group is None else self.group[kept]
        return replace(self, semi=self.semi[kept], part=part, group=group)


class Renewal(Protocol):
    """The files that a data set is a sample of, of which networks see other rows in each epoch."""

    @property
    def content(self) -> str:
        """A digest of the files."""

    def rows(self, epoch: int, n: int, schema: Schema, held_out: NDArray[np.uint64]) -> NDArray[np.float32]:
        """The unlabeled ones among n rows, ``(<= n, D)``, without those whose ``row_hash`` is held out."""


@dataclass(frozen=True, eq=False)
class Arrays:
    """All rows of a data set in one array, so that a split consists of indices only.

    Attributes:
        x: ``(N, H, W, C)`` uint8 pixels, ``(N, D)`` float32 columns or features of images, or ``(N, h, w, D)`` float32
            patches of images.
        target_class: ``(N,)`` original class of each row, an index into ``classes``; -1 where it is not known.
        classes: the names of the classes.
        n_train: number of training rows, where the data set has a test half: the rows after them. None where it has
            none and the split draws one.
        labels: of own data; None for a data set of classes, whose labels the split draws.
        schema: the columns or the size of raw rows of own data, for the model file.
        images: ``(N, H, W, C)`` uint8, the images that the features ``x`` were computed from; else None.
        thumbnails: the same rows as small grey images ``(N, S, S, 1)`` float32 in [0, 1], which a voice may see instead
            of their features; else None.
        masks: ``(N, H, W)`` uint8, 1 where an image has a defect and 0 elsewhere, or all ``UNMARKED``; None where no
            image has a mask.
        patches: whether ``x`` holds patches.
        renewal: the files that ``x`` is a sample of, where networks train on other rows of them in each epoch.
    """

    x: NDArray[np.uint8] | NDArray[np.float32]
    target_class: NDArray[np.int64]
    classes: tuple[str, ...]
    n_train: int | None = None
    labels: Labels | None = None
    schema: Schema | None = None
    images: NDArray[np.uint8] | None = None
    thumbnails: "Arrays | None" = None
    masks: NDArray[np.uint8] | None = None
    patches: bool = False
    renewal: Renewal | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample as the network sees it: ``(C, H, W)`` or ``(D,)``."""
        *space, last = self.x.shape[1:]
        return (last, *space)

    def rows(self, kept: NDArray[np.bool_]) -> "Arrays":
        """The data set with some of its rows alone, before any features are computed."""
        labels = None if self.labels is None else self.labels.rows(kept)
        masks = None if self.masks is None else self.masks[kept]
        return replace(self, x=self.x[kept], target_class=self.target_class[kept], labels=labels, masks=masks)


def data_root(root: str | Path | None) -> Path:
    """The folder of the data sets' files: the setting ``data.root``, else one in the user's cache.

    Raises:
        InputError: it is below the home of a user who has none.
    """
    try:
        return Path(root).expanduser() if root else Path.home() / ".cache" / "sad_lightning"
    except RuntimeError as error:
        raise InputError(f"data.root: {root or '~'} names no folder ({error}); set SAD_DATA_ROOT to one") from error


@contextmanager
def _opened(path: Path, way_out: str) -> Iterator[Any]:
    """An npz file, which never unpickles; what is wrong with it in the block is one line.

    Raises:
        InputError: the file is damaged or something else.
    """
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            yield arrays
    except (InputError, MemoryError):
        raise
    except Exception as error:  # foreign or damaged bytes fail in many ways
        raise InputError(
            f"{path}: must be a whole npz file of plain arrays, but reading it fails ({error_words(error)}); {way_out}"
        ) from error


def read_npz(path: Path, expected: Mapping[str, int]) -> dict[str, NDArray[np.generic]]:
    """The named arrays of an npz file, checked for presence and number of dimensions, 0 for any.

    Raises:
        InputError: the file is damaged or holds something else.
    """
    again = "remove the file to have it fetched again"
    with _opened(path, again) as file:
        if missing := sorted(set(expected) - set(file.files)):
            raise InputError(
                f"{path}: must hold the arrays {', '.join(expected)}; it lacks {', '.join(missing)} and holds "
                f"{', '.join(file.files) or 'none'}; {again}"
            )
        arrays = {name: np.asarray(file[name]) for name in expected}  # any file of a zip comes as its bytes
    for name, dimensions in expected.items():
        if dimensions and arrays[name].ndim != dimensions:
            raise InputError(
                f"{path}: array {name} must have {dimensions} dimensions, it has shape {arrays[name].shape}; {again}"
            )
    return arrays


def read_npz_all(path: Path) -> dict[str, NDArray[Any]]:
    """Every array of an npz file of own data.

    Raises:
        InputError: the file is damaged, or is no npz of plain arrays.
    """
    with _opened(path, "write it again with np.savez") as file:
        arrays = {name: file[name] for name in file.files}
        if others := [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]:
            raise ValueError(f"{others[0]} is no array")  # any file of a zip comes as its bytes
    return arrays


def content_digest(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """The sha256 of the arrays' values, the same however a file stores them (integers or floats, packed or not)."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = arrays[name]
        canonical = values if values.dtype.kind == "U" else values.astype(np.float64 if values.ndim == 2 else np.uint8)
        digest.update(f"{name}{canonical.shape}".encode())
        digest.update(np.ascontiguousarray(canonical).tobytes())
    return digest.hexdigest()


def warn_of_change(path: Path) -> None:
    """Warn that the file of a published data set is not what was published."""
    warnings.warn(
        f"{path.name}: is not what was published, and its numbers compare with no others; remove it to have it fetched "
        f"again",
        stacklevel=3,
    )
