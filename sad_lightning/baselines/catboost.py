"""CatBoost (Prokhorenkova et al. 2018), gradient boosting of symmetric trees, known anomalies against all other rows.

    score(x)    1/K sum_k sum_t v_kt(x),   v_kt the value of tree t of booster k at the leaf of x

This is the mean log-odds of K boosters. All nodes of a level of a tree have the same split, so that a tree has few ways
to fit few known anomalies by chance; each split looks at a random share of the columns.

Boosters grow by folds as in ``GradientBoosting``. CatBoost, an extra, grows the trees; they are stored as flat arrays,
which score without it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sad_lightning.baselines.baseline import Baseline, Floats
from sad_lightning.baselines.flat_trees import FlatTrees, join
from sad_lightning.baselines.folds import boost_by_folds
from sad_lightning.baselines.trees_mixin import Grow, TreesMixin
from sad_lightning.checks import fraction_to_one, whole_number
from sad_lightning.errors import InputError, extra, first_line


@dataclass(kw_only=True, eq=False, repr=False)
class CatBoost(TreesMixin, Baseline):
    """CatBoost.

    Args:
        boosters: how many, K; also the number of folds.
        trees: of each booster.
        learning_rate: the share of a tree's step that is taken; None for what CatBoost makes of the numbers of trees
            and rows.
        depth: splits on the way to a leaf, at most 16.
        columns: the share of the columns that a split chooses from, in (0, 1].
        rotations: how many blocks of rotated columns are added: first the principal components, which depend on the
            scales of the columns, then random rotations; 0 for none.
        max_rows: how many of the rows that are no known anomalies grow the trees; drawn at random where there are more.
        random_state: the seed of folds, columns and the first booster; the next has the next one.

    Attributes:
        out_of_bag_: ``(n,)`` score of each training row by the booster that has not seen it; nan for a known anomaly,
            which all have seen, and for a row beyond ``max_rows``, whose score is like that of a new one.
    """

    boosters: int
    trees: int
    learning_rate: float | None
    depth: int
    columns: float
    rotations: int
    max_rows: int
    random_state: int | None

    leaf_values = "value_"
    learned = ("axes_", "roots_", "children_", "feature_", "threshold_", "value_", "out_of_bag_")

    def grower(self, generator: np.random.Generator) -> Grow:
        """Boosters of CatBoost by folds."""
        settings: dict[str, Any] = {
            "iterations": whole_number("method.trees", self.trees),
            "depth": whole_number("method.depth", self.depth, most=16),
            "rsm": fraction_to_one("method.columns", self.columns),
        }
        if self.learning_rate is not None:
            settings["learning_rate"] = fraction_to_one("method.learning_rate", self.learning_rate)
        seeds = count(int(generator.integers(2**32)) if self.random_state is None else self.random_state)

        def grow(x: NDArray[np.float32], anomaly: NDArray[np.bool_]) -> tuple[FlatTrees, Floats]:
            return _grow(x, anomaly, {**settings, "random_seed": next(seeds)})

        return partial(boost_by_folds, grow, generator, whole_number("method.boosters", self.boosters))


def _grow(x: NDArray[np.float32], anomaly: NDArray[np.bool_], settings: Mapping[str, Any]) -> tuple[FlatTrees, Floats]:
    """The trees of one booster, and what each node adds to the score, its constant included."""
    with extra("boost", "method=catboost"):
        from catboost import CatBoostClassifier, CatBoostError
    booster = CatBoostClassifier(**settings, verbose=False, allow_writing_files=False, thread_count=1)
    try:
        booster.fit(x, anomaly)
    except CatBoostError as error:
        raise InputError(f"method=catboost: CatBoost can not grow trees ({first_line(error)}); mend it") from error
    with TemporaryDirectory() as folder:
        file = Path(folder, "model.json")
        booster.save_model(str(file), format="json")
        model = json.loads(file.read_text())
    scale, (constant,) = model["scale_and_bias"]
    trees, values = zip(*map(_flatten, model["oblivious_trees"]), strict=True)
    return join(trees), np.concatenate(values) * scale + constant / len(trees)


def _flatten(tree: Mapping[str, Any]) -> tuple[FlatTrees, Floats]:
    """A tree in which all nodes of a level have the same split, and the value of each node.

    Bit k of a leaf's number is the side of split k. An inner node has the mean value of its training rows, so that what
    its split adds is what a contribution counts.
    """
    splits = tree["splits"] or []
    values, weights = np.array(tree["leaf_values"], dtype=np.float64), np.array(tree["leaf_weights"], dtype=np.float64)
    levels = [values]
    for _ in splits:
        parts, shares = levels[0].reshape(2, -1), weights.reshape(2, -1)
        weights = shares.sum(axis=0)
        levels.insert(0, (parts * shares).sum(axis=0) / np.where(weights > 0, weights, 1.0))
    wide = 2 ** np.arange(len(splits))  # nodes of each level above the leaves
    inner, leaves = np.arange(wide.sum()), np.arange(wide.sum(), wide.sum() + len(values))
    children = inner + np.outer([1, 2], np.repeat(wide, wide))
    feature = np.repeat([split["float_feature_index"] for split in splits], wide)
    threshold = np.repeat(np.array([split["border"] for split in splits], dtype=np.float32), wide)
    flat = FlatTrees(
        roots=np.zeros(1, dtype=np.int64),
        children=np.hstack([children, [leaves, leaves]]),
        feature=np.concatenate([feature, np.zeros(len(leaves))]).astype(np.int64),
        threshold=np.concatenate([threshold, np.zeros(len(leaves))]),
    )
    return flat, np.concatenate(levels)
