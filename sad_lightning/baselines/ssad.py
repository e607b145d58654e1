"""SSAD, semi-supervised anomaly detection (Goernitz et al. 2013), the convex form with an RBF kernel.

    minimise    1/2 |w|^2 - rho - kappa mu + C sum of slacks
    subject to  <w, phi(x)> >= rho - slack                for unlabeled rows
                y <w, phi(x)> >= y rho + mu - slack       for labeled rows, y = +1 normal and -1 anomaly
                mu >= 0, slacks >= 0
    score(x)    -<w, phi(x)>

The dual is solved (``ssad_dual``), in which the weights of the labeled rows add up to at least kappa. Without labels
kappa is 0, and with C = 1 / (nu n) this is the one-class SVM.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import validate_data

from sad_lightning.baselines.baseline import Baseline, ParameterLists, check_labels
from sad_lightning.baselines.kernel import choose_rows
from sad_lightning.baselines.kernel_mixin import KernelMixin
from sad_lightning.baselines.ssad_dual import solve
from sad_lightning.checks import at_least_zero, positive, whole_number


@dataclass(kw_only=True, eq=False, repr=False)
class SSAD(KernelMixin, Baseline):
    """Semi-supervised anomaly detection.

    Args:
        gamma: of the kernel ``exp(-gamma d^2)``; ``scale`` is 1 / (columns times variance).
        kappa: the weight of the margin, and the least total weight of the labeled rows.
        c_unlabeled: the largest weight of an unlabeled row.
        c_known_normal: that of a known normal.
        c_known_anomaly: that of a known anomaly.
        tolerance: the solver stops when the optimality conditions are violated by no more than this.
        max_moves: after so many moves the solver stops, with a warning.
        max_rows: of a larger training set all labeled rows train, and unlabeled ones up to this many rows in all are
            drawn, with a warning.
        random_state: the seed of that draw.
    """

    gamma: float | str
    kappa: float
    c_unlabeled: float
    c_known_normal: float
    c_known_anomaly: float
    tolerance: float
    max_moves: int
    max_rows: int
    random_state: int | None

    trains_on = frozenset({-1, 0, 1})
    learned = ("gamma_", "vectors_", "weights_", "offset_", "margin_", "residual_")

    def fit(self, X: ArrayLike, semi: ArrayLike | None = None) -> Self:
        """Fit to the rows ``X``, ``(n, D)``, and their labels ``semi``, ``(n,)``.

        Raises:
            InputError: a parameter or a label is out of range, or kappa exceeds the total weight of the labeled rows.
        """
        self.__dict__.update(vars(next(self.candidates(X, semi, {}))))
        return self

    def candidates(self, X: ArrayLike, semi: ArrayLike | None, grid: ParameterLists) -> Iterator[Self]:
        """A fitted copy for each point of a grid of parameters; each starts from the weights of the one before."""
        x = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        labels = check_labels(semi, len(x))
        rows = choose_rows(labels, self.max_rows, self.random_state)
        rows = rows[np.argsort(labels[rows], kind="stable")]
        x, labels = x[rows], labels[rows]
        before, start = None, None
        for one, kernel in self.kernels(x, grid):
            caps = [positive(f"method.c_{name}", getattr(one, f"c_{name}"))
                    for name in ("known_anomaly", "unlabeled", "known_normal")]  # fmt: skip
            constraints = (at_least_zero("method.kappa", one.kappa) if labels.any() else 0.0, *caps)
            solution = solve(
                kernel, labels, kappa=constraints[0], largest=np.array(caps)[labels + 1],
                start=start if constraints == before else None, tolerance=positive("method.tolerance", one.tolerance),
                max_moves=whole_number("method.max_moves", one.max_moves),
            )  # fmt: skip
            if solution.moves == one.max_moves:
                warnings.warn(
                    f"SSAD stopped after {solution.moves} moves, its conditions violated by "
                    f"{solution.residual:.1g}; raise method.max_moves",
                    stacklevel=2,
                )
            before, start = constraints, solution.u
            support = solution.u != 0
            one.vectors_, one.weights_ = x[support], solution.u[support]
            one.offset_, one.margin_, one.residual_ = solution.rho, solution.mu, solution.residual
            one.n_features_in_ = self.n_features_in_
            yield one
