"""Extremely randomised trees (Geurts et al. 2006), known anomalies against all other rows.

    score(x)    1/T sum_t p_t(x),   p_t the share of known anomalies in the leaf of x, by weight

Each tree is grown from a bootstrap sample in which both kinds have the same total weight, so that many unlabeled rows,
hidden anomalies among them, do not outvote few labels. The score is the probability and not its log-odds: it is finite
even where all leaves agree, and as a mean over trees it is exactly a sum of contributions of columns.

Splits are parallel to the columns; further, rotated columns let a tree split in oblique directions. scikit-learn grows
the trees; they are stored as flat arrays. A tree fits its own training rows perfectly, so that their scores mean
nothing: ``out_of_bag_`` holds the scores by the trees that have not seen them.
"""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.utils.validation import validate_data

from sad_lightning.baselines.baseline import Baseline, bounded_rows, known_anomalies
from sad_lightning.baselines.flat_trees import (
    flatten,
)
from sad_lightning.baselines.rotation import rotated_axes, with_rotated
from sad_lightning.baselines.trees_mixin import TreesMixin
from sad_lightning.checks import whole_number


class ExtraTrees(TreesMixin, Baseline):
    """Extremely randomised trees.

    Args:
        trees: how many.
        rotations: how many blocks of rotated columns are added: first the principal components, which depend on the
            scales of the columns, then random rotations; 0 for none.
        max_rows: how many of the rows that are no known anomalies grow the trees; drawn at random where there are more.
        random_state: the seed of samples, splits and rotations.

    Attributes:
        out_of_bag_: ``(n,)`` score of each training row by the trees that have not seen it; nan where all have, and
            where none could: the score of a row beyond ``max_rows`` is like that of a new one.
    """

    rows = frozenset({-1, 0, 1})
    needs_anomalies = True
    leaf_values = "probability_"
    learned = ("axes_", "roots_", "children_", "feature_", "threshold_", "probability_", "out_of_bag_")

    def __init__(self, *, trees: int, rotations: int, max_rows: int, random_state: int | None) -> None:
        self.trees = trees
        self.rotations = rotations
        self.max_rows = max_rows
        self.random_state = random_state

    def fit(self, X: ArrayLike, semi: ArrayLike | None = None) -> Self:
        """Fit to the rows ``X``, ``(n, D)``, and their labels ``semi``, ``(n,)``.

        Raises:
            InputError: a parameter or a label is out of range, or there is no known anomaly.
        """
        x = validate_data(self, X, dtype=np.float32, ensure_min_samples=2)
        anomaly = known_anomalies(semi, len(x))
        generator = np.random.default_rng(self.random_state)
        forest = ExtraTreesClassifier(
            n_estimators=whole_number("method.trees", self.trees), class_weight="balanced_subsample", bootstrap=True,
            oob_score=True, random_state=int(generator.integers(2**32)),
        )  # fmt: skip
        self.axes_ = rotated_axes(x, whole_number("method.rotations", self.rotations, least=0), generator)
        rows = bounded_rows(anomaly, whole_number("method.max_rows", self.max_rows), generator)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Some inputs do not have OOB scores")
            forest.fit(with_rotated(x[rows], self.axes_), anomaly[rows])
        trees: list[Any] = [grown.tree_ for grown in forest.estimators_]
        self.roots_, self.children_, self.feature_, self.threshold_ = flatten(trees)
        self.probability_ = np.concatenate([tree.value[:, 0, 1] for tree in trees])
        unseen = forest.oob_decision_function_.any(axis=1)  # whether some tree has not seen the row
        self.out_of_bag_ = np.full(len(x), np.nan)
        self.out_of_bag_[rows] = np.where(unseen, forest.oob_decision_function_[:, 1], np.nan)
        return self
