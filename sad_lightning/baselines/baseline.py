"""The contract of a baseline: a scikit-learn estimator with an anomaly score, saved as plain arrays.

Every baseline is final: baselines share functions, never a base beyond this one.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import ParameterGrid
from sklearn.utils.validation import check_is_fitted, column_or_1d

from sad_lightning.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]
Grid = Mapping[str, Sequence[Any]]


class Baseline(BaseEstimator, ABC):
    """What every baseline is. Its parameters stay as they are given; what it learns ends in an underscore.

    Attributes:
        rows: the values of ``semi`` that it is fitted on; a label-free baseline leaves out -1.
        needs_anomalies: whether it is not defined without known anomalies.
        learned: the names of what ``fit`` leaves behind.
    """

    rows: ClassVar[frozenset[int]]
    needs_anomalies: ClassVar[bool] = False
    learned: ClassVar[tuple[str, ...]]

    @abstractmethod
    def fit(self, X: ArrayLike, semi: ArrayLike | None = None) -> Self:
        """Fit to the rows ``X``, ``(n, D)``, and their labels ``semi``, ``(n,)``; without labels all are unlabeled."""

    @abstractmethod
    def anomaly_score(self, X: ArrayLike) -> Floats:
        """The anomaly score of each row of ``X``, ``(B,)`` float64, higher = more anomalous."""

    def contributions(self, X: ArrayLike) -> Floats | None:
        """What each column adds to the score of each row of ``X``, ``(B, D)``; None where a score is no sum of columns.

        Summed over columns it is the score, less a number that is equal for all rows.
        """
        return None

    def out_of_bag(self) -> Floats | None:
        """The score of each row of ``fit`` by those parts that have not seen it, ``(n,)``, nan where all have.

        None where a baseline has no such parts.
        """
        return None

    def torch_score(self, x: "Tensor", learned: Mapping[str, "Tensor"]) -> "Tensor":
        """The anomaly score by torch operations, ``(B,)`` float64, which can become a graph.

        Args:
            x: ``(B, D)`` float64.
            learned: what ``fit`` left behind, as tensors by name.

        Raises:
            InputError: the baseline has none.
        """
        raise InputError(f"{type(self).__name__} has no torch_score to become a graph; keep its model file")

    def score_samples(self, X: ArrayLike) -> Floats:
        """The score in scikit-learn's sign, ``(B,)``, lower = more anomalous."""
        return -self.anomaly_score(X)

    def candidates(self, X: ArrayLike, semi: ArrayLike | None, grid: Grid) -> Iterator[Self]:
        """A fitted copy for each point of a grid of parameters, one after the other."""
        for point in ParameterGrid(grid):
            yield clone(self).set_params(**point).fit(X, semi)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The fitted estimator as plain arrays, for ``np.savez``: no pickle."""
        check_is_fitted(self)
        parameters = np.array(json.dumps(self.get_params()))
        return {"parameters": parameters, **{name: np.asarray(getattr(self, name)) for name in self._kept()}}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The estimator that ``to_arrays`` wrote.

        Raises:
            InputError: an array is missing.
        """
        missing = sorted({"parameters", *cls._kept()} - set(arrays))
        if missing:
            raise InputError(
                f"arrays of {cls.__name__}: must hold all that it learnt, {', '.join(missing)} is missing; fit it again"
            )
        estimator = cls(**json.loads(str(arrays["parameters"])))
        for name in cls._kept():
            setattr(estimator, name, arrays[name][()])  # a number was an array of no dimension
        return estimator

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.needs_anomalies
        return tags

    @classmethod
    def _kept(cls) -> tuple[str, ...]:
        return ("n_features_in_", *cls.learned)


def labels_of(semi: ArrayLike | None, count: int) -> NDArray[np.int8]:
    """The labels of ``count`` rows, ``(n,)``; all unlabeled where there are none.

    Raises:
        InputError: they are not one of -1, 0 and 1 a row.
    """
    if semi is None:
        return np.zeros(count, dtype=np.int8)
    labels = column_or_1d(semi)
    if len(labels) != count or not np.isin(labels, (-1, 0, 1)).all():
        raise InputError(
            f"semi must be {count} labels of -1, 0 and 1, one a row, got {len(labels)}, of "
            f"{np.unique(labels)[:5].tolist()}; -1 is a known anomaly, 0 unlabeled, 1 a known normal"
        )
    whole: NDArray[np.int8] = labels.astype(np.int8)
    return whole


def known_anomalies(semi: ArrayLike | None, count: int) -> NDArray[np.bool_]:
    """Which of ``count`` rows are known anomalies, ``(n,)``, for a baseline that tells them from all others.

    Raises:
        InputError: none is, or all are, or the labels are no labels.
    """
    known: NDArray[np.bool_] = labels_of(semi, count) < 0
    if known.all() or not known.any():
        raise InputError(
            f"semi must hold known anomalies, -1, and other rows beside them, got {known.sum()} of {count}; "
            f"label some, or choose a method that needs none, such as iforest"
        )
    return known
