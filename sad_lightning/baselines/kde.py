"""Kernel density estimation with a Gaussian kernel.

    score(x)    -log 1/n sum_i N(x; x_i, h^2 I)

The bandwidth h is the one with the highest likelihood of held-out training rows in k-fold cross-validation (ruff2020
appendix E). Labels are not used: known anomalies are no rows of a fit.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted, validate_data

from sad_lightning.baselines.baseline import Baseline, Floats
from sad_lightning.baselines.kernel import chunks, squared_distances, torch_squared_distances
from sad_lightning.checks import positive, whole_number
from sad_lightning.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True, eq=False, repr=False)
class KDE(Baseline):
    """Kernel density estimation.

    Args:
        bandwidths: the values of h to choose from; a single one is used without cross-validation.
        folds: of the cross-validation.
        random_state: the seed of the folds.
    """

    bandwidths: Sequence[float]
    folds: int
    random_state: int | None

    trains_on = frozenset({0, 1})
    learned = ("rows_", "bandwidth_", "log_likelihoods_")

    def fit(self, X: ArrayLike, semi: ArrayLike | None = None) -> Self:
        """Fit to the rows ``X``, ``(n, D)``; ``semi`` is not used.

        Raises:
            InputError: no bandwidth is given, or one is not positive, or there are fewer than two folds.
        """
        x = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        if not len(self.bandwidths):
            raise InputError("method.bandwidths must hold a bandwidth or several, got none; for example [1.0]")
        widths = [positive("method.bandwidths", float(h)) for h in self.bandwidths]
        folds = min(whole_number("method.folds", self.folds, least=2), len(x))
        self.log_likelihoods_ = np.zeros(len(widths))
        if len(widths) > 1:
            order = np.random.default_rng(self.random_state).permutation(len(x))
            for held in np.array_split(order, folds):
                others = np.delete(x, held, axis=0)
                self.log_likelihoods_ += log_densities(x[held], others, widths).sum(axis=1)
        self.rows_, self.bandwidth_ = x, widths[int(self.log_likelihoods_.argmax())]
        return self

    def anomaly_score(self, X: ArrayLike) -> Floats:
        """The negative log-density of each row of ``X``, ``(B,)``."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        (densities,) = log_densities(x, self.rows_, [float(self.bandwidth_)])
        score: Floats = -densities
        return score

    def torch_score(self, x: "Tensor", learned: Mapping[str, "Tensor"]) -> "Tensor":
        """``anomaly_score`` in torch operations."""
        import torch

        h = float(self.bandwidth_)
        norm = math.log(len(self.rows_)) + x.shape[1] / 2 * math.log(2 * math.pi * h * h)
        terms = torch_squared_distances(x, learned["rows_"]) / (-2 * learned["bandwidth_"] ** 2)
        return torch.tensor(norm, dtype=torch.float64) - terms.logsumexp(dim=1)  # a number would become float32


def log_densities(x: Floats, rows: Floats, bandwidths: Sequence[float]) -> Floats:
    """The log-density of each row of ``x`` under kernels at ``rows``, for each bandwidth, ``(H, B)``."""
    densities = np.empty((len(bandwidths), len(x)))
    for part in chunks(len(x), len(rows)):
        distances = squared_distances(x[part], rows)
        nearest = distances.min(axis=1)
        distances -= nearest[:, None]  # the nearest row then adds 1, so that no sum is zero
        terms = np.empty_like(distances)
        for number, h in enumerate(bandwidths):
            np.multiply(distances, -1 / (2 * h * h), out=terms)
            total = np.exp(terms, out=terms).sum(axis=1)
            norm = math.log(len(rows)) + x.shape[1] / 2 * math.log(2 * math.pi * h * h)
            densities[number, part] = np.log(total) - nearest / (2 * h * h) - norm
    return densities
