"""Logistic regression, known anomalies against all other rows.

    minimise    1/2 |w|^2 + C sum_i v_i log(1 + exp(-t_i (<w, f_i> + b)))
    score(x)    <w, f> + b

with t = +1 for known anomalies and -1 for all other rows, v_i such that both kinds have the same total weight, and f
the columns, standardised over the training rows, and their squares, by which rows far out on both sides score high. The
score is the log-odds: it ranks rows as the probability does, and does not round to one for rows far out.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from sad_lightning.baselines.baseline import Baseline, Floats, known_anomalies
from sad_lightning.checks import positive, true_or_false, whole_number

if TYPE_CHECKING:
    from torch import Tensor


class Logistic(Baseline):
    """Logistic regression with an L2 penalty and balanced classes.

    Args:
        c: the weight of the loss against the penalty.
        squares: whether the squares of the standardised columns are columns too.
        max_iter: after so many iterations the solver stops, with a warning.
    """

    rows = frozenset({-1, 0, 1})
    needs_anomalies = True
    learned = ("mean_", "scale_", "weights_", "bias_")

    def __init__(self, *, c: float, squares: bool, max_iter: int) -> None:
        self.c = c
        self.squares = squares
        self.max_iter = max_iter

    def fit(self, X: ArrayLike, semi: ArrayLike | None = None) -> Self:
        """Fit to the rows ``X``, ``(n, D)``, and their labels ``semi``, ``(n,)``.

        Raises:
            InputError: a parameter or a label is out of range, or there is no known anomaly.
        """
        x = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        anomaly = known_anomalies(semi, len(x))
        regression = LogisticRegression(
            C=positive("method.c", self.c), class_weight="balanced",
            max_iter=whole_number("method.max_iter", self.max_iter),
        )  # fmt: skip
        true_or_false("method.squares", self.squares)
        scaler = StandardScaler().fit(x)
        self.mean_, self.scale_ = scaler.mean_, scaler.scale_
        regression.fit(self._columns(x), anomaly)
        self.weights_, self.bias_ = regression.coef_[0], float(regression.intercept_[0])
        return self

    def anomaly_score(self, X: ArrayLike) -> Floats:
        """The log-odds of each row of ``X``, ``(B,)``; above zero where known anomalies are likelier."""
        check_is_fitted(self)
        scores: Floats = self._columns(validate_data(self, X, dtype=np.float64, reset=False)) @ self.weights_
        return scores + self.bias_

    def contributions(self, X: ArrayLike) -> Floats:
        """What each column adds, ``(B, D)``, to the log-odds of a row of mean values."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        terms = self._columns(x) * self.weights_
        added: Floats = terms.reshape(len(x), -1, x.shape[1]).sum(axis=1)  # a column and its square
        return added

    def torch_score(self, x: "Tensor", learned: Mapping[str, "Tensor"]) -> "Tensor":
        """``anomaly_score`` in torch operations."""
        import torch

        standard = (x - learned["mean_"]) / learned["scale_"]
        columns = torch.hstack([standard, standard**2]) if self.squares else standard
        return columns @ learned["weights_"] + learned["bias_"]

    def _columns(self, x: Floats) -> Floats:
        """The standardised columns, ``(B, D)``, or these and their squares, ``(B, 2 D)``."""
        standard = (x - self.mean_) / self.scale_
        return np.hstack([standard, standard**2]) if self.squares else standard
