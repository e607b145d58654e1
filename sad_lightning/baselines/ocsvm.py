"""One-class SVM with an RBF kernel (Schoelkopf et al. 2001), equivalent to SVDD with this kernel.

    minimise    1/2 a' K a    subject to    0 <= a_i <= 1 / (nu n),  sum a = 1
    score(x)    -sum_i a_i k(x_i, x)

Labels are not used: known anomalies are no rows of a fit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.svm import OneClassSVM
from sklearn.utils.validation import validate_data

from sad_lightning.baselines.baseline import Baseline, ParameterLists
from sad_lightning.baselines.kernel import choose_rows
from sad_lightning.baselines.kernel_mixin import KernelMixin
from sad_lightning.checks import fraction_to_one, positive


@dataclass(kw_only=True, eq=False, repr=False)
class OCSVM(KernelMixin, Baseline):
    """One-class SVM.

    Args:
        gamma: of the kernel ``exp(-gamma d^2)``; ``scale`` is 1 / (columns times variance).
        nu: an upper bound of the share of training rows outside, and a lower bound of that of support vectors.
        tolerance: of libsvm's stopping rule.
        max_rows: of a larger training set this many rows are drawn, with a warning.
        random_state: the seed of that draw.
    """

    gamma: float | str
    nu: float
    tolerance: float
    max_rows: int
    random_state: int | None

    trains_on = frozenset({0, 1})
    learned = ("gamma_", "vectors_", "weights_", "offset_")

    def fit(self, X: ArrayLike, semi: ArrayLike | None = None) -> Self:
        """Fit to the rows ``X``, ``(n, D)``; ``semi`` is not used."""
        self.__dict__.update(vars(next(self.candidates(X, semi, {}))))
        return self

    def candidates(self, X: ArrayLike, semi: ArrayLike | None, grid: ParameterLists) -> Iterator[Self]:
        """A fitted copy for each point of a grid of parameters; the kernel is computed once for each gamma."""
        x = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        x = x[choose_rows(np.zeros(len(x), dtype=np.int8), self.max_rows, self.random_state)]
        for one, kernel in self.kernels(x, grid):
            svm = OneClassSVM(kernel="precomputed", nu=fraction_to_one("method.nu", one.nu),
                              tol=positive("method.tolerance", one.tolerance)).fit(kernel)  # fmt: skip
            one.vectors_, one.weights_, one.offset_ = x[svm.support_], svm.dual_coef_[0], float(svm.offset_[0])
            one.n_features_in_ = self.n_features_in_
            yield one
