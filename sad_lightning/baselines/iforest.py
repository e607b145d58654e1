"""Isolation forest (Liu et al. 2008): few random splits isolate an anomaly.

    score(x)    2^(-E[path length of x] / c(psi)),  c(psi) the expected path length in a tree of psi rows

Labels are not used: known anomalies are no rows of a fit. scikit-learn grows the trees; they are stored as flat arrays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import OutlierMixin
from sklearn.ensemble import IsolationForest
from sklearn.utils.validation import check_is_fitted, validate_data

from sad_lightning.baselines.baseline import Baseline, Floats
from sad_lightning.baselines.flat_trees import FlatTrees, depth, flatten, mean_of_leaves, torch_mean_of_leaves
from sad_lightning.checks import whole_number

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True, eq=False, repr=False)
class IForest(OutlierMixin, Baseline):
    """Isolation forest.

    Args:
        trees: how many.
        sample: psi, how many rows each is grown from; all rows if there are fewer.
        random_state: the seed of samples and splits.
    """

    trees: int
    sample: int
    random_state: int | None

    trains_on = frozenset({0, 1})
    learned = ("roots_", "children_", "feature_", "threshold_", "length_", "expected_length_")
    offset_ = -0.5  # the score_samples of a row whose path is as long as expected

    def fit(self, X: ArrayLike, semi: ArrayLike | None = None) -> Self:
        """Fit to the rows ``X``, ``(n, D)``; ``semi`` is not used."""
        x = validate_data(self, X, dtype=np.float32, ensure_min_samples=2)
        sample = min(whole_number("method.sample", self.sample, least=2), len(x))
        seed = int(np.random.default_rng(self.random_state).integers(2**32))
        forest = IsolationForest(
            n_estimators=whole_number("method.trees", self.trees), max_samples=sample, random_state=seed
        )
        trees = [grown.tree_ for grown in forest.fit(x).estimators_]
        self.roots_, self.children_, self.feature_, self.threshold_ = flatten(trees)
        depth = np.concatenate([_depths(tree) for tree in trees])
        self.length_ = depth + expected_length(np.concatenate([tree.n_node_samples for tree in trees]))
        self.expected_length_ = float(expected_length(np.array([sample]))[0])
        return self

    def anomaly_score(self, X: ArrayLike) -> Floats:
        """``(B,)`` in (0, 1)."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float32, reset=False)
        lengths = mean_of_leaves(x, self._trees(), self.length_)
        return np.exp2(-lengths / self.expected_length_)

    def torch_score(self, x: "Tensor", learned: Mapping[str, "Tensor"]) -> "Tensor":
        """``anomaly_score`` in torch operations."""
        lengths = torch_mean_of_leaves(x.float(), learned, learned["length_"], depth(self._trees()))
        return (-lengths / learned["expected_length_"]).exp2()

    def decision_function(self, X: ArrayLike) -> Floats:
        """The score in scikit-learn's sign, ``(B,)``; negative where paths are shorter than expected."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> Any:
        """``(B,)``: +1 inside, -1 outside."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def _trees(self) -> FlatTrees:
        return FlatTrees(self.roots_, self.children_, self.feature_, self.threshold_)


def expected_length(rows: Any) -> Floats:
    """c: the expected path length of an unsuccessful search in a tree of ``rows`` rows, ``(n,)``."""
    n = np.maximum(np.asarray(rows, dtype=np.float64), 3)
    long = 2 * (np.log(n - 1) + np.euler_gamma) - 2 * (n - 1) / n
    return np.where(rows > 2, long, np.where(rows == 2, 1.0, 0.0))


def _depths(tree: Any) -> Any:
    """How many splits lie above each node; in scikit-learn's order a parent comes before its children."""
    depth = np.zeros(tree.node_count)
    for node, (left, right) in enumerate(zip(tree.children_left, tree.children_right, strict=True)):
        if left >= 0:
            depth[[left, right]] = depth[node] + 1
    return depth
