"""Gradient boosting of small trees (Friedman 2001), known anomalies against all other rows.

    score(x)    1/K sum_k sum_t v_kt(x),   v_kt the value of tree t of booster k at the leaf of x

This is the mean log-odds of K boosters, less those of a row of which nothing is known. Each split looks at a random
share of the columns only: among few known anomalies the best column of all is often best by chance. Rotated columns are
columns too, so that a tree splits in oblique directions.

The rows that are no known anomalies are dealt into K folds, and a booster grows without its own fold. So each of these
rows has a score by a booster that has not seen it, ``out_of_bag_``: the others know their training rows by heart.
scikit-learn grows the trees (``HistGradientBoostingClassifier``); they are stored as flat arrays.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from sad_lightning.baselines.baseline import Baseline, Floats
from sad_lightning.baselines.flat_trees import FlatTrees
from sad_lightning.baselines.folds import boost_by_folds
from sad_lightning.baselines.trees_mixin import Grow, TreesMixin
from sad_lightning.checks import at_least_zero, fraction_to_one, whole_number


@dataclass(kw_only=True, eq=False, repr=False)
class GradientBoosting(TreesMixin, Baseline):
    """Gradient boosting.

    Args:
        boosters: how many, K; also the number of folds.
        trees: of each booster.
        learning_rate: the share of a tree's step that is taken.
        leaves: the most of a tree.
        min_rows: the fewest of a leaf.
        columns: the share of the columns that a split chooses from, in (0, 1].
        rotations: how many blocks of rotated columns are added: first the principal components, which depend on the
            scales of the columns, then random rotations; 0 for none.
        l2: weight of the penalty on the values of leaves.
        max_rows: how many of the rows that are no known anomalies grow the trees; drawn at random where there are more.
        random_state: the seed of folds and columns.

    Attributes:
        out_of_bag_: ``(n,)`` score of each training row by the booster that has not seen it; nan for a known anomaly,
            which all have seen, and for a row beyond ``max_rows``, whose score is like that of a new one.
    """

    boosters: int
    trees: int
    learning_rate: float
    leaves: int
    min_rows: int
    columns: float
    rotations: int
    l2: float
    max_rows: int
    random_state: int | None

    leaf_values = "value_"
    learned = ("axes_", "roots_", "children_", "feature_", "threshold_", "value_", "out_of_bag_")

    def grower(self, generator: np.random.Generator) -> Grow:
        """Boosters of scikit-learn by folds."""
        settings = {
            "max_iter": whole_number("method.trees", self.trees),
            "learning_rate": fraction_to_one("method.learning_rate", self.learning_rate),
            "max_leaf_nodes": whole_number("method.leaves", self.leaves, least=2),
            "min_samples_leaf": whole_number("method.min_rows", self.min_rows),
            "max_features": fraction_to_one("method.columns", self.columns),
            "l2_regularization": at_least_zero("method.l2", self.l2),
            "early_stopping": False,
        }

        def grow(x: NDArray[np.float32], anomaly: NDArray[np.bool_]) -> tuple[FlatTrees, Floats]:
            booster = HistGradientBoostingClassifier(**settings, random_state=int(generator.integers(2**32)))
            return _flatten(booster.fit(x, anomaly))

        return partial(boost_by_folds, grow, generator, whole_number("method.boosters", self.boosters))


def _flatten(booster: HistGradientBoostingClassifier) -> tuple[FlatTrees, Floats]:
    """The trees of a booster, and the value of each node.

    An inner node has the mean value of its training rows, so that what its split adds is what a contribution counts.
    """
    trees = [grown.nodes for (grown,) in booster._predictors]
    counts = [len(nodes) for nodes in trees]
    roots = np.cumsum([0, *counts[:-1]])
    offset, nodes = np.repeat(roots, counts), np.concatenate(trees)
    leaf = nodes["is_leaf"].astype(bool)
    children = np.where(leaf, np.arange(len(nodes)), np.stack([nodes["left"], nodes["right"]]) + offset)
    value, weight, (left, right) = nodes["value"].tolist(), nodes["count"].tolist(), children.tolist()
    for node in np.flatnonzero(~leaf)[::-1].tolist():  # children come behind their parents
        a, b = left[node], right[node]
        value[node] = (value[a] * weight[a] + value[b] * weight[b]) / (weight[a] + weight[b])
    flat = FlatTrees(roots, children, np.where(leaf, 0, nodes["feature_idx"]), nodes["num_threshold"].copy())
    return flat, np.array(value)
