"""One-class SVM with an RBF kernel (Schoelkopf et al. 2001), equivalent to SVDD with this kernel.

    minimise    1/2 a' K a    subject to    0 <= a_i <= 1 / (nu n),  sum a = 1
    score(x)    -sum_i a_i k(x_i, x)

Labels are not used: known anomalies are no rows of a fit.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import OutlierMixin, clone
from sklearn.model_selection import ParameterGrid
from sklearn.svm import OneClassSVM
from sklearn.utils.validation import check_is_fitted, validate_data

from sad_lightning.baselines.baseline import Baseline, Floats, ParameterLists
from sad_lightning.baselines.kernel import choose_rows, expansion, rbf, squared_distances, torch_expansion, width
from sad_lightning.checks import fraction_to_one, positive

if TYPE_CHECKING:
    from torch import Tensor


class OCSVM(OutlierMixin, Baseline):
    """One-class SVM.

    Args:
        gamma: of the kernel ``exp(-gamma d^2)``; ``scale`` is 1 / (columns times variance).
        nu: an upper bound of the share of training rows outside, and a lower bound of that of support vectors.
        tolerance: of libsvm's stopping rule.
        max_rows: of a larger training set this many rows are drawn, with a warning.
        random_state: the seed of that draw.
    """

    rows = frozenset({0, 1})
    learned = ("gamma_", "vectors_", "weights_", "offset_")

    def __init__(
        self, *, gamma: float | str, nu: float, tolerance: float, max_rows: int, random_state: int | None
    ) -> None:
        self.gamma = gamma
        self.nu = nu
        self.tolerance = tolerance
        self.max_rows = max_rows
        self.random_state = random_state

    def fit(self, X: ArrayLike, semi: ArrayLike | None = None) -> Self:
        """Fit to the rows ``X``, ``(n, D)``; ``semi`` is not used."""
        self.__dict__.update(vars(next(self.candidates(X, semi, {}))))
        return self

    def candidates(self, X: ArrayLike, semi: ArrayLike | None, grid: ParameterLists) -> Iterator[Self]:
        """A fitted copy for each point of a grid of parameters; the kernel is computed once for each gamma."""
        x = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        x = x[choose_rows(np.zeros(len(x), dtype=np.int8), self.max_rows, self.random_state)]
        distances = squared_distances(x, x)
        kernel, gamma = np.empty_like(distances), None
        for point in ParameterGrid(grid):
            one = clone(self).set_params(**point)
            one.gamma_ = width(one.gamma, x)
            if one.gamma_ != gamma:
                gamma = one.gamma_
                rbf(distances, gamma, out=kernel)
            svm = OneClassSVM(kernel="precomputed", nu=fraction_to_one("method.nu", one.nu),
                              tol=positive("method.tolerance", one.tolerance)).fit(kernel)  # fmt: skip
            one.vectors_, one.weights_, one.offset_ = x[svm.support_], svm.dual_coef_[0], float(svm.offset_[0])
            one.n_features_in_ = self.n_features_in_
            yield one

    def anomaly_score(self, X: ArrayLike) -> Floats:
        """``(B,)``, without the constant rho: next to it the tiny scores of far rows would round to one value."""
        return np.negative(self.score_samples(X))

    def decision_function(self, X: ArrayLike) -> Floats:
        """The score in scikit-learn's sign, ``(B,)``; negative outside."""
        decision: Floats = self.score_samples(X) - self.offset_
        return decision

    def score_samples(self, X: ArrayLike) -> Floats:
        """``sum_i a_i k(x_i, x)``, ``(B,)``."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        return expansion(x, self.vectors_, self.weights_, self.gamma_)

    def torch_score(self, x: "Tensor", learned: Mapping[str, "Tensor"]) -> "Tensor":
        """``anomaly_score`` in torch operations."""
        return -torch_expansion(x, learned["vectors_"], learned["weights_"], learned["gamma_"])

    def predict(self, X: ArrayLike) -> Any:
        """``(B,)``: +1 inside, -1 outside."""
        return np.where(self.decision_function(X) >= 0, 1, -1)
