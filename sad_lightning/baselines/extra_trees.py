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
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from sad_lightning.baselines.baseline import Baseline, Floats
from sad_lightning.baselines.flat_trees import FlatTrees, flatten
from sad_lightning.baselines.rotation import with_rotated
from sad_lightning.baselines.trees_mixin import Grow, TreesMixin
from sad_lightning.checks import whole_number


@dataclass(kw_only=True, eq=False, repr=False)
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

    trees: int
    rotations: int
    max_rows: int
    random_state: int | None

    leaf_values = "probability_"
    learned = ("axes_", "roots_", "children_", "feature_", "threshold_", "probability_", "out_of_bag_")

    def grower(self, generator: np.random.Generator) -> Grow:
        """The forest of scikit-learn."""
        forest = ExtraTreesClassifier(
            n_estimators=whole_number("method.trees", self.trees), class_weight="balanced_subsample", bootstrap=True,
            oob_score=True, random_state=int(generator.integers(2**32)),
        )  # fmt: skip
        return partial(_grow, forest)


def _grow(
    forest: ExtraTreesClassifier,
    x: NDArray[np.float32],
    axes: Floats,
    anomaly: NDArray[np.bool_],
    rows: NDArray[np.int64],
) -> tuple[FlatTrees, Floats, Floats]:
    """The trees, the share of known anomalies in each node, and ``out_of_bag_``."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Some inputs do not have OOB scores")
        forest.fit(with_rotated(x[rows], axes), anomaly[rows])
    trees: list[Any] = [grown.tree_ for grown in forest.estimators_]
    unseen = forest.oob_decision_function_.any(axis=1)  # whether some tree has not seen the row
    out_of_bag = np.full(len(x), np.nan)
    out_of_bag[rows] = np.where(unseen, forest.oob_decision_function_[:, 1], np.nan)
    return flatten(trees), np.concatenate([tree.value[:, 0, 1] for tree in trees]), out_of_bag
