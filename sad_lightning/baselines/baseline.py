"""The contract of a baseline: a scikit-learn estimator with an anomaly score, saved as plain arrays.

Baselines share functions, ``TreesMixin`` and ``KernelMixin``, and inherit from no other class of this package.
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
ParameterLists = Mapping[str, Sequence[Any]]


class Baseline(BaseEstimator, ABC):
    """A shallow detector. ``fit`` does not change its parameters; attributes that it sets end in an underscore.

    Attributes:
        learned: the names of the attributes that ``fit`` sets.
    """

    learned: ClassVar[tuple[str, ...]]

    @property
    @abstractmethod
    def trains_on(self) -> frozenset[int]:
        """The values of ``semi`` that it is fitted on; a baseline without labels leaves out -1."""

    @property
    def needs_anomalies(self) -> bool:
        """Whether it is not defined without known anomalies."""
        return False

    @abstractmethod
    def fit(self, X: ArrayLike, semi: ArrayLike | None = None) -> Self:
        """Fit to the rows ``X``, ``(n, D)``, and their labels ``semi``, ``(n,)``; without labels all are unlabeled."""

    def fit_patches(
        self, X: ArrayLike, semi: ArrayLike | None, shape: Sequence[int], masks: NDArray[np.uint8] | None
    ) -> Self:
        """Fit to rows that are patches of images; a baseline that looks at no patch fits to them as to any rows.

        Rows are ``(n, D * h * w)``, of ``shape`` ``(D, h, w)``; masks ``(n, H, W)`` are as ``Arrays.masks``, None where
        nobody has marked any defect.
        """
        return self.fit(X, semi)

    def patch_scores(self, X: ArrayLike) -> Floats | None:
        """The score of each patch, ``(B, h, w)``; None where a baseline looks at no patch."""
        return None

    @abstractmethod
    def anomaly_score(self, X: ArrayLike) -> Floats:
        """The anomaly score of each row of ``X``, ``(B,)`` float64, higher = more anomalous."""

    def contributions(self, X: ArrayLike) -> Floats | None:
        """What each column adds to the score of each row of ``X``, ``(B, D)``; None where a score is not such a sum.

        The sum over columns is the score minus a constant that is the same for all rows.
        """
        return None

    def out_of_bag(self) -> Floats | None:
        """The score of each row of ``fit`` by those parts that have not seen it, ``(n,)``, nan where all have.

        None where a baseline has no such parts.
        """
        return None

    def torch_score(self, x: "Tensor", learned: Mapping[str, "Tensor"]) -> "Tensor":
        """The anomaly score in torch operations, ``(B, D)`` to ``(B,)``, both float64, for the export to a graph.

        ``learned`` holds the attributes that ``fit`` sets, as tensors by name.

        Raises:
            InputError: the baseline does not define this function.
        """
        raise InputError(f"{type(self).__name__} has no torch_score to become a graph; keep its model file")

    def torch_patch_scores(self, x: "Tensor", learned: Mapping[str, "Tensor"]) -> "Tensor | None":
        """``patch_scores`` in torch operations, with the arguments of ``torch_score``."""
        return None

    def score_samples(self, X: ArrayLike) -> Floats:
        """The score in scikit-learn's sign, ``(B,)``, lower = more anomalous."""
        return -self.anomaly_score(X)

    def candidates(self, X: ArrayLike, semi: ArrayLike | None, grid: ParameterLists) -> Iterator[Self]:
        """A fitted copy for each point of a grid of parameters, one after the other."""
        for point in ParameterGrid(grid):
            yield clone(self).set_params(**point).fit(X, semi)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The fitted estimator as plain arrays, for ``np.savez``: no pickle."""
        check_is_fitted(self)
        parameters = np.array(json.dumps(self.get_params()))
        return {"parameters": parameters, **{name: np.asarray(getattr(self, name)) for name in self._array_names()}}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The estimator that ``to_arrays`` wrote.

        Raises:
            InputError: an array is missing.
        """
        missing = sorted({"parameters", *cls._array_names()} - set(arrays))
        if missing:
            raise InputError(
                f"arrays of {cls.__name__}: must hold all that it learnt, {', '.join(missing)} is missing; fit it again"
            )
        estimator = cls(**json.loads(str(arrays["parameters"])))
        for name in cls._array_names():
            setattr(estimator, name, arrays[name][()])  # [()]: a number is stored as an array without dimensions
        return estimator

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.needs_anomalies
        return tags

    @classmethod
    def _array_names(cls) -> tuple[str, ...]:
        return ("n_features_in_", *cls.learned)


def check_labels(semi: ArrayLike | None, count: int) -> NDArray[np.int8]:
    """The labels of ``count`` rows, ``(n,)``; without labels all are unlabeled.

    Raises:
        InputError: there is not one label of -1, 0 or 1 for each row.
    """
    if semi is None:
        return np.zeros(count, dtype=np.int8)
    labels = column_or_1d(semi)
    if len(labels) != count or not np.isin(labels, (-1, 0, 1)).all():
        raise InputError(
            f"semi must be {count} labels of -1, 0 and 1, one a row, got {len(labels)}, of "
            f"{list(dict.fromkeys(labels.tolist()))[:5]}; -1 is a known anomaly, 0 unlabeled, 1 a known normal"
        )
    whole: NDArray[np.int8] = labels.astype(np.int8)
    return whole


def known_anomalies(semi: ArrayLike | None, count: int) -> NDArray[np.bool_]:
    """Which of ``count`` rows are known anomalies, ``(n,)``, for a baseline that separates them from all others.

    Raises:
        InputError: none is, or all are, or a label is not one of -1, 0 and 1.
    """
    known: NDArray[np.bool_] = check_labels(semi, count) < 0
    if known.all() or not known.any():
        raise InputError(
            f"semi must hold known anomalies, -1, and other rows beside them, got {known.sum()} of {count}; "
            f"label some, or choose a method that needs none, such as iforest"
        )
    return known


def bounded_rows(anomaly: NDArray[np.bool_], most: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """The rows that trees grow from, ascending: all known anomalies, and at most ``most`` others, drawn at random."""
    others = np.flatnonzero(~anomaly)
    if len(others) <= most:
        return np.arange(len(anomaly))
    return np.sort(np.concatenate([np.flatnonzero(anomaly), generator.choice(others, most, replace=False)]))
