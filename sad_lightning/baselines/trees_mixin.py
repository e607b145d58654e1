"""What baselines of trees on columns and rotated columns share: how rows are scored, and what each column adds."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from sad_lightning.baselines.baseline import Floats
from sad_lightning.baselines.flat_trees import FlatTrees, depth, mean_of_leaves, mean_of_splits, torch_mean_of_leaves
from sad_lightning.baselines.rotation import by_own_columns, torch_with_rotated, with_rotated

if TYPE_CHECKING:
    from torch import Tensor


class TreesMixin:
    """The score of a row is the mean over trees of the value of its leaf; ``fit`` sets the arrays.

    Attributes:
        leaf_values: the name of the attribute that holds the value of each node.
        axes_: of the rotated columns.
        roots_, children_, feature_, threshold_: the trees, as ``FlatTrees`` has them.
        out_of_bag_: ``(n,)`` score of each training row by the trees that have not seen it; nan where there are none.
    """

    leaf_values: ClassVar[str]
    axes_: Floats
    roots_: NDArray[np.int64]
    children_: NDArray[np.int64]
    feature_: NDArray[np.int64]
    threshold_: Floats
    out_of_bag_: Floats

    def anomaly_score(self, X: ArrayLike) -> Floats:
        """The score of each row of ``X``, ``(B,)``: log-odds or a probability, as the values of leaves are."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float32, reset=False)
        return mean_of_leaves(with_rotated(x, self.axes_), self._trees(), getattr(self, self.leaf_values))

    def contributions(self, X: ArrayLike) -> Floats:
        """What the splits by each column add to the score, ``(B, D)``; see ``by_own_columns``."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float32, reset=False)
        added = mean_of_splits(with_rotated(x, self.axes_), self._trees(), getattr(self, self.leaf_values))
        return by_own_columns(added, self.axes_)

    def out_of_bag(self) -> Floats:
        """``out_of_bag_``."""
        return self.out_of_bag_

    def torch_score(self, x: "Tensor", learned: Mapping[str, "Tensor"]) -> "Tensor":
        """``anomaly_score`` in torch operations."""
        columns = torch_with_rotated(x, learned["axes_"])
        return torch_mean_of_leaves(columns, learned, learned[self.leaf_values], depth(self._trees()))

    def _trees(self) -> FlatTrees:
        return FlatTrees(self.roots_, self.children_, self.feature_, self.threshold_)
