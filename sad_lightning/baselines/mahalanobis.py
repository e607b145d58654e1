"""Mahalanobis distance under a shrunk covariance (Mahalanobis 1936; Ledoit and Wolf 2004).

    score(x)    (x - m)' C^-1 (x - m)
    C           (1 - a) S + a tr(S)/D I,   m and S the mean and covariance of the training rows

The shrinkage a is Ledoit and Wolf's, which needs no labels, or a number. It keeps C invertible where columns are
correlated or rows are few. Labels are not used: known anomalies are no rows of a fit. The score of Gaussian rows has a
chi-squared distribution with D degrees of freedom.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.covariance import ShrunkCovariance, ledoit_wolf_shrinkage
from sklearn.utils.validation import check_is_fitted, validate_data

from sad_lightning.baselines.baseline import Baseline, Floats
from sad_lightning.checks import fraction_to_one
from sad_lightning.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_MOST_COLUMNS = 10_000  # the covariance is then 0.8 GB, and so is its inverse


@dataclass(kw_only=True, eq=False, repr=False)
class Mahalanobis(Baseline):
    """Squared Mahalanobis distance from the mean.

    Args:
        shrinkage: ``ledoit_wolf``, or the weight of the sphere in (0, 1].
    """

    shrinkage: float | str

    trains_on = frozenset({0, 1})
    learned = ("mean_", "precision_", "shrinkage_")

    def fit(self, X: ArrayLike, semi: ArrayLike | None = None) -> Self:
        """Fit to the rows ``X``, ``(n, D)``; ``semi`` is not used.

        Raises:
            InputError: the shrinkage is neither ``ledoit_wolf`` nor a number in (0, 1], or there are too many columns.
        """
        x = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        if x.shape[1] > _MOST_COLUMNS:
            raise InputError(
                f"method=mahalanobis inverts a matrix of columns by columns, of at most {_MOST_COLUMNS:,}, got "
                f"{x.shape[1]:,}; choose knn or iforest, or leave columns out"
            )
        if self.shrinkage == "ledoit_wolf":
            self.shrinkage_ = float(ledoit_wolf_shrinkage(x))
        elif isinstance(self.shrinkage, str):
            raise InputError(
                f"method.shrinkage must be ledoit_wolf or a number in (0, 1], got {self.shrinkage!r}; "
                f"for example ledoit_wolf"
            )
        else:
            self.shrinkage_ = fraction_to_one("method.shrinkage", self.shrinkage)
        covariance = ShrunkCovariance(shrinkage=self.shrinkage_).fit(x)
        self.mean_, self.precision_ = covariance.location_, covariance.precision_
        n, distances = len(x), self.anomaly_score(x)
        left = 1 - (1 - self.shrinkage_) * distances / (n - 1)  # Sherman and Morrison's formula for the precision
        self._out_of_bag = (n / (n - 1)) ** 2 * distances / np.maximum(left, np.finfo(float).eps)
        return self

    def anomaly_score(self, X: ArrayLike) -> Floats:
        """The squared distance of each row of ``X`` from the mean, ``(B,)``."""
        distances: Floats = self.contributions(X).sum(axis=1)
        return distances

    def out_of_bag(self) -> Floats:
        """The distance of each row of ``fit`` as if it had been left out of mean and covariance, ``(n,)``.

        Shrinkage and trace stay. In many columns a row is much nearer to a mean and a covariance that it is part of.
        Only after ``fit``.
        """
        check_is_fitted(self)
        return self._out_of_bag

    def contributions(self, X: ArrayLike) -> Floats:
        """The terms of the squared distance that belong to each column, ``(B, D)``."""
        check_is_fitted(self)
        offset = validate_data(self, X, dtype=np.float64, reset=False) - self.mean_
        terms: Floats = offset @ self.precision_ * offset
        return terms

    def torch_score(self, x: "Tensor", learned: Mapping[str, "Tensor"]) -> "Tensor":
        """``anomaly_score`` in torch operations."""
        offset = x - learned["mean_"]
        return (offset @ learned["precision_"] * offset).sum(dim=1)
