"""Boosters of trees that each grow without a fold of the rows, so that nearly each row has one that has not seen it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sad_lightning.baselines.baseline import Floats
from sad_lightning.baselines.flat_trees import FlatTrees, beyond_ties, join, mean_of_leaves
from sad_lightning.baselines.rotation import with_rotated

GrowBooster = Callable[[NDArray[np.float32], NDArray[np.bool_]], tuple[FlatTrees, Floats]]


def boost_by_folds(
    grow: GrowBooster,
    generator: np.random.Generator,
    folds: int,
    x: NDArray[np.float32],
    axes: Floats,
    anomaly: NDArray[np.bool_],
    rows: NDArray[np.int64],
) -> tuple[FlatTrees, Floats, Floats]:
    """One booster a fold: the rows that are no known anomalies are dealt into folds, and each booster misses its own.

    Args:
        grow: the trees of a booster, and the value that each node adds, from rows and which are known anomalies.
        generator: deals the rows.
        folds: how many; one misses nothing.
        x: ``(n, D)``.
        axes: ``(R, D)`` of the rotated columns that trees see too.
        anomaly: ``(n,)`` which rows are known anomalies, which all boosters see.
        rows: those that grow trees.

    Returns:
        The trees of all; the value of each node, ``(N,)``, whose mean over trees is the mean over boosters of the sum
        over a booster's trees; and the score of each row by the booster that has not seen it, ``(n,)``, nan for known
        anomalies, which all see, and for rows that grow no trees.
    """
    x = with_rotated(x, axes)
    fold = np.where(anomaly, -1, generator.permutation(len(x)) % folds)
    boosters, values, out_of_bag = [], [], np.full(len(x), np.nan)
    for number in range(folds):
        seen = rows[fold[rows] != number]
        if anomaly[seen].all():  # one fold, or so few rows that all others are in this one
            seen = rows
        trees, value = grow(x[seen], anomaly[seen])
        boosters.append(trees)
        values.append(value)
        unseen = np.setdiff1d(rows, seen)
        out_of_bag[unseen] = mean_of_leaves(x[unseen], trees, value * len(trees.roots))
    trees = join(boosters)
    return beyond_ties(trees, x), np.concatenate(values) * (len(trees.roots) / folds), out_of_bag
