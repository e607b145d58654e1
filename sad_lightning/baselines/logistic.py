"""Logistic regression, known anomalies against all other rows.

    minimise    1/2 |w|^2 + C sum_i v_i log(1 + exp(-t_i (<w, f_i> + b)))
    score(x)    <w, f> + b

with t = +1 for known anomalies and -1 for all other rows, and v_i such that both kinds have the same total weight. f
are the columns, standardised over the training rows, and their squares, by which rows far out score high. Or
f are the leading principal components of the rows that are no known anomalies, all divided by one deviation, so that
the penalty shrinks the wide ones less: for rows of many columns, such as features of images. The score is the log-odds:
it ranks rows as the probability does, and does not round to one for rows far out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from sad_lightning.baselines.baseline import Baseline, Floats, known_anomalies
from sad_lightning.checks import positive, true_or_false, whole_number

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True, eq=False, repr=False)
class Logistic(Baseline):
    """Logistic regression with an L2 penalty and balanced classes.

    Args:
        c: the weight of the loss against the penalty.
        squares: whether the squares of the columns are columns too.
        max_iter: after so many iterations the solver stops, with a warning.
        components: the number of principal components that replace the columns, at most as many as there are; None
            keeps the columns.
    """

    c: float
    squares: bool
    max_iter: int
    components: int | None

    trains_on = frozenset({-1, 0, 1})
    needs_anomalies = True
    learned = ("mean_", "scale_", "weights_", "bias_", "axes_")

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
        if self.components is None:
            scaler = StandardScaler().fit(x)
            unused = np.zeros((1, 1))  # torch.export can not save an empty tensor
            self.mean_, self.scale_, self.axes_ = scaler.mean_, scaler.scale_, unused
        else:
            others = x[~anomaly]
            components = min(whole_number("method.components", self.components), *others.shape)
            pca = PCA(components, svd_solver="full" if len(others) < x.shape[1] else "covariance_eigh").fit(others)
            deviation = float(np.sqrt(pca.explained_variance_.mean()))
            self.mean_, self.scale_, self.axes_ = pca.mean_, deviation or 1.0, pca.components_.T
        regression.fit(self._columns(x), anomaly)
        self.weights_, self.bias_ = regression.coef_[0], float(regression.intercept_[0])
        return self

    def anomaly_score(self, X: ArrayLike) -> Floats:
        """The log-odds of each row of ``X``, ``(B,)``; above zero where known anomalies are likelier."""
        check_is_fitted(self)
        scores: Floats = self._columns(validate_data(self, X, dtype=np.float64, reset=False)) @ self.weights_
        return scores + self.bias_

    def contributions(self, X: ArrayLike) -> Floats | None:
        """What each column adds, ``(B, D)``, to the log-odds of a row of mean values; None of principal components."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        if self.components is not None:
            return None
        terms = self._columns(x) * self.weights_
        added: Floats = terms.reshape(len(x), -1, x.shape[1]).sum(axis=1)  # a column and its square
        return added

    def torch_score(self, x: "Tensor", learned: Mapping[str, "Tensor"]) -> "Tensor":
        """``anomaly_score`` in torch operations."""
        import torch

        standard = x - learned["mean_"]
        standard = (standard if self.components is None else standard @ learned["axes_"]) / learned["scale_"]
        columns = torch.hstack([standard, standard**2]) if self.squares else standard
        return columns @ learned["weights_"] + learned["bias_"]

    def _columns(self, x: Floats) -> Floats:
        """The columns or components, ``(B, F)``, or these and their squares, ``(B, 2 F)``."""
        standard = x - self.mean_
        standard = (standard if self.components is None else standard @ self.axes_) / self.scale_
        return np.hstack([standard, standard**2]) if self.squares else standard
