"""What baselines share whose score is an expansion in an RBF kernel: how rows are scored, and grids of widths."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import OutlierMixin, clone
from sklearn.model_selection import ParameterGrid
from sklearn.utils.validation import check_is_fitted, validate_data

from sad_lightning.baselines.baseline import Floats, ParameterLists
from sad_lightning.baselines.kernel import expansion, rbf, squared_distances, torch_expansion, width

if TYPE_CHECKING:
    from torch import Tensor


class KernelMixin(OutlierMixin):
    """The score of a row is minus ``sum_i weights_i k(vectors_i, x)``; ``fit`` sets what stands here.

    Attributes:
        gamma: the setting of the kernel.
        gamma_: of the kernel ``exp(-gamma d^2)``.
        vectors_: ``(S, D)`` training rows.
        weights_: ``(S,)`` theirs.
        offset_: the sum of a row on the boundary.
    """

    gamma: float | str
    gamma_: float
    vectors_: Floats
    weights_: Floats
    offset_: float

    def kernels(self, x: Floats, grid: ParameterLists) -> Iterator[tuple[Self, Floats]]:
        """For each point of a grid an estimator with these parameters, not fitted but for ``gamma_``, and its kernel.

        The kernel of the rows ``x``, ``(n, n)``, is computed once for each gamma, into the same memory.
        """
        distances = squared_distances(x, x)
        kernel, gamma = np.empty_like(distances), None
        for point in ParameterGrid(grid):
            one = clone(self).set_params(**point)
            one.gamma_ = width(one.gamma, x)
            if one.gamma_ != gamma:
                gamma = one.gamma_
                rbf(distances, gamma, out=kernel)
            yield one, kernel

    def anomaly_score(self, X: ArrayLike) -> Floats:
        """``(B,)``, without the constant rho: next to it the tiny scores of far rows would round to one value."""
        return np.negative(self.score_samples(X))

    def decision_function(self, X: ArrayLike) -> Floats:
        """The score in scikit-learn's sign, ``(B,)``; negative outside."""
        decision: Floats = self.score_samples(X) - self.offset_
        return decision

    def score_samples(self, X: ArrayLike) -> Floats:
        """``sum_i weights_i k(vectors_i, x)``, ``(B,)``."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        return expansion(x, self.vectors_, self.weights_, self.gamma_)

    def torch_score(self, x: "Tensor", learned: Mapping[str, "Tensor"]) -> "Tensor":
        """``anomaly_score`` in torch operations."""
        return -torch_expansion(x, learned["vectors_"], learned["weights_"], learned["gamma_"])

    def predict(self, X: ArrayLike) -> Any:
        """``(B,)``: +1 inside, -1 outside."""
        return np.where(self.decision_function(X) >= 0, 1, -1)
