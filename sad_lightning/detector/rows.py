"""What a caller gives a detector: ``X`` as raw rows, and labels, or the truth."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import column_or_1d

from sad_lightning.baselines.baseline import check_labels
from sad_lightning.data.own.frames import frame_of
from sad_lightning.data.own.values import FRAME, check_names_once
from sad_lightning.data.schema import TableSchema
from sad_lightning.errors import InputError, first_line


def as_frame(X: Any) -> Any:
    """Rows with named columns that are no data frame yet, as one; anything else as it is.

    These are a lazy frame, which is collected, a structured array, a dictionary of columns, and a list of dictionaries,
    each of which is a row.

    Raises:
        InputError: pyarrow is not installed, or a column can not be read.
    """
    if type(X).__name__ == "LazyFrame":
        return X.collect()
    if isinstance(X, np.ndarray) and X.dtype.names:
        return frame_of({name: X[name].astype(X[name].dtype.newbyteorder("=")) for name in X.dtype.names})
    if isinstance(X, Mapping) and not hasattr(X, "shape"):  # which one of SciPy's sparse matrices has
        return frame_of(X)
    if isinstance(X, list | tuple) and X and all(isinstance(row, Mapping) for row in X):
        names = dict.fromkeys(name for row in X for name in row)
        return frame_of({name: [row.get(name) for row in X] for name in names})
    return X


def as_array(X: Any) -> Any:
    """A tensor and sparse columns of pandas as dense ones, a masked value as a missing one; anything else as it is.

    Raises:
        InputError: it is a tensor without numbers, or holds times.
    """
    if isinstance(X, torch.Tensor):
        try:
            X = (X.float() if X.dtype is torch.bfloat16 else X).detach().cpu().numpy()  # numpy has no bfloat16
        except (TypeError, RuntimeError) as error:
            raise InputError(f"X: a tensor must be dense and hold numbers ({first_line(error)}); mend it") from error
    if isinstance(X, np.ma.MaskedArray):
        X = np.ma.filled(X.astype(np.float64), np.nan)
    if hasattr(X, "sparse"):  # of a frame whose columns all are
        X = X.sparse.to_dense()
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        check_names_once(FRAME, [str(name) for name in X.columns])
    if isinstance(X, np.ndarray) and X.dtype.kind in "mM":
        raise InputError(f"X must hold numbers, it holds {X.dtype}; give times as columns of a data frame")
    return X


def centered_rows(rows: NDArray[Any], schema: TableSchema) -> NDArray[np.float32]:
    """Raw rows of numbers, ``(N, C)``, less the centers of their columns.

    Raises:
        InputError: a number is too large.
    """
    raw = schema.centered(rows)
    if np.isinf(raw).any():
        row, column = np.argwhere(np.isinf(raw))[0]
        raise InputError(
            f"X must hold numbers below 3e38, it holds {rows[row, column]:g} in row {row}, column "
            f"{schema.names[column]}; mend it"
        )
    return np.require(raw, requirements=["C", "W"])


def default_names(count: int) -> list[str]:
    """The names of columns that have none."""
    return [f"x{k}" for k in range(count)]


def semi_of_labels(labels: ArrayLike | None, count: int, meaning: Mapping[Any, int] | None) -> NDArray[np.int8]:
    """Labels as -1, 0 and 1, ``(n,)``; a missing one is 0.

    Each has a meaning, unless they are -1, 0 and 1 themselves; there must be ``count`` of them, or none at all.

    Raises:
        InputError: ``meaning`` does not say what one means, or 0 and 1 stand alone and nothing says what they mean.
    """
    if labels is None:
        return check_labels(None, count)
    if isinstance(labels, np.ma.MaskedArray):
        labels = np.array(labels.tolist(), dtype=object)  # None where masked
    given: NDArray[Any] = column_or_1d(labels)
    kinds = {kind: plain(kind) for kind in dict.fromkeys(given.tolist()) if not _is_missing(kind)}
    if meaning is None:
        if set(kinds) == {0, 1} or set(kinds) == {1}:
            raise InputError(
                "semi holds no labels but 0 and 1, which may mean two things: Detector(labels={1: -1, 0: 0}) if 1 is "
                "an anomaly, Detector(labels={1: 1, 0: 0}) if 1 is known to be normal; or label with -1, 0 and 1"
            )
        if any(isinstance(kind, str) for kind in kinds):
            raise InputError(
                f"semi must be labels of -1, 0 and 1, it holds {', '.join(map(repr, list(kinds)[:5]))}; say what they "
                f"mean with Detector(labels={{{next(iter(kinds))!r}: -1, ...}}): -1 is a known anomaly, 0 unlabeled, 1 "
                f"a known normal"
            )
        meaning = {kind: kind for kind in kinds}
    elif not isinstance(meaning, Mapping) or not set(meaning.values()) <= {-1, 0, 1}:
        raise InputError(f"labels must say -1, 0 or 1 of each label, got {meaning!r}; for example {{'attack': -1}}")
    elif unknown := [kind for kind in kinds if kind not in meaning]:
        raise InputError(
            f"labels must say -1, 0 or 1 of each label, it says nothing of {', '.join(map(repr, unknown[:5]))}; add "
            f"{unknown[0]!r}: 0 if such rows are unlabeled"
        )
    return check_labels([0 if _is_missing(kind) else meaning[kind] for kind in given.tolist()], count)


def truth_of(y: ArrayLike) -> NDArray[Any]:
    """Whether each row is an anomaly, 0 or 1, ``(B,)``.

    Raises:
        InputError: ``y`` holds something else.
    """
    truth: NDArray[Any] = column_or_1d(y)
    if not np.isin(truth, (0, 1)).all():
        raise InputError(
            f"y must be the truth, 0 normal and 1 anomaly, got {np.unique(truth)[:5].tolist()}; for labels in a "
            f"search over parameters give scoring=label_auroc"
        )
    return truth


def plain(value: Any) -> Any:
    """A scalar of numpy as one of Python."""
    return value.item() if isinstance(value, np.generic) else value


def _is_missing(label: Any) -> bool:
    """Whether this is None, NaN or the missing value of pandas."""
    return label is None or type(label).__name__ in ("NAType", "NaTType") or label != label
