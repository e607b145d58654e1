"""Isolation forest (Liu et al. 2008): an anomaly is cut off by few random splits.

    score(x)    2^(-E[path length of x] / c(psi)),  c(psi) the expected path length in a tree of psi rows

Labels are not used: known anomalies are dropped. scikit-learn grows the trees; they are kept as flat arrays.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import OutlierMixin
from sklearn.ensemble import IsolationForest
from sklearn.utils.validation import check_is_fitted, validate_data

from sad_lightning.baselines.baseline import Baseline, Floats
from sad_lightning.checks import whole_number

_BATCH = 1000


class IForest(OutlierMixin, Baseline):
    """Isolation forest.

    Args:
        trees: how many.
        sample: psi, the rows that each is grown from; all where there are fewer.
        random_state: draws rows and splits.
    """

    rows = frozenset({0, 1})
    learned = ("roots_", "children_", "feature_", "threshold_", "length_", "expected_length_")
    offset_ = -0.5  # a row whose path is as long as expected

    def __init__(self, *, trees: int, sample: int, random_state: int | None) -> None:
        self.trees = trees
        self.sample = sample
        self.random_state = random_state

    def fit(self, X: ArrayLike, semi: ArrayLike | None = None) -> Self:
        """Fit to the rows ``X``, ``(n, D)``; ``semi`` is not used."""
        x = validate_data(self, X, dtype=np.float32, ensure_min_samples=2)
        sample = min(whole_number("method.sample", self.sample, least=2), len(x))
        seed = int(np.random.default_rng(self.random_state).integers(2**32))
        forest = IsolationForest(
            n_estimators=whole_number("method.trees", self.trees), max_samples=sample, random_state=seed
        )
        trees = [grown.tree_ for grown in forest.fit(x).estimators_]
        self.roots_ = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])
        leaf = np.concatenate([tree.children_left < 0 for tree in trees])
        itself = np.arange(len(leaf))  # a leaf leads to itself
        first = np.repeat(self.roots_, [tree.node_count for tree in trees])
        left, right = (
            np.concatenate([getattr(tree, f"children_{side}") for tree in trees]) for side in ("left", "right")
        )
        self.children_ = np.where(leaf, itself, np.stack([left + first, right + first]))
        self.feature_ = np.where(leaf, 0, np.concatenate([tree.feature for tree in trees]))
        self.threshold_ = np.concatenate([tree.threshold for tree in trees])
        depth = np.concatenate([_depths(tree) for tree in trees])
        self.length_ = depth + expected_length(np.concatenate([tree.n_node_samples for tree in trees]))
        self.expected_length_ = float(expected_length(np.array([sample]))[0])
        return self

    def anomaly_score(self, X: ArrayLike) -> Floats:
        """``(B,)`` in (0, 1)."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float32, reset=False)
        lengths = np.empty(len(x))
        for start in range(0, len(x), _BATCH):
            part = x[start : start + _BATCH]
            rows = np.arange(len(part))[:, None]
            nodes = np.broadcast_to(self.roots_, (len(part), len(self.roots_)))
            while True:
                right = part[rows, self.feature_[nodes]] > self.threshold_[nodes]
                below = np.where(right, self.children_[1][nodes], self.children_[0][nodes])
                if np.array_equal(below, nodes):
                    break
                nodes = below
            lengths[start : start + _BATCH] = self.length_[nodes].mean(axis=1)
        return np.exp2(-lengths / self.expected_length_)

    def decision_function(self, X: ArrayLike) -> Floats:
        """The score in scikit-learn's sign, ``(B,)``; negative where paths are shorter than expected."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: ArrayLike) -> Any:
        """``(B,)``: +1 inside, -1 outside."""
        return np.where(self.decision_function(X) >= 0, 1, -1)


def expected_length(rows: Any) -> Floats:
    """c: the expected path length of an unsuccessful search in a tree of so many rows, ``(n,)``."""
    n = np.maximum(np.asarray(rows, dtype=np.float64), 3)
    long = 2 * (np.log(n - 1) + np.euler_gamma) - 2 * (n - 1) / n
    return np.where(rows > 2, long, np.where(rows == 2, 1.0, 0.0))


def _depths(tree: Any) -> Any:
    """How many splits lie above each node; scikit-learn numbers a node after its parent."""
    depth = np.zeros(tree.node_count)
    for node, (left, right) in enumerate(zip(tree.children_left, tree.children_right, strict=True)):
        if left >= 0:
            depth[[left, right]] = depth[node] + 1
    return depth
