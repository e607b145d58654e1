"""What baselines share that grow trees on columns and rotated columns, known anomalies against all other rows."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from sad_lightning.baselines.baseline import Floats, bounded_rows, known_anomalies
from sad_lightning.baselines.flat_trees import FlatTrees, depth, mean_of_leaves, mean_of_splits, torch_mean_of_leaves
from sad_lightning.baselines.rotation import by_own_columns, rotated_axes, torch_with_rotated, with_rotated
from sad_lightning.checks import whole_number

if TYPE_CHECKING:
    from torch import Tensor

Grow = Callable[[NDArray[np.float32], Floats, NDArray[np.bool_], NDArray[np.int64]], tuple[FlatTrees, Floats, Floats]]


class TreesMixin:
    """The score of a row is the mean over trees of the value of its leaf; ``fit`` sets the arrays.

    Attributes:
        leaf_values: the name of the attribute that holds the value of each node.
        rotations: how many blocks of rotated columns there are.
        max_rows: how many of the rows that are no known anomalies grow the trees.
        random_state: the seed of all that is drawn.
        axes_: of the rotated columns.
        roots_, children_, feature_, threshold_: the trees, as ``FlatTrees`` has them.
        out_of_bag_: ``(n,)`` score of each training row by the trees that have not seen it; nan where there are none.
    """

    trains_on = frozenset({-1, 0, 1})
    needs_anomalies = True
    leaf_values: ClassVar[str]
    rotations: int
    max_rows: int
    random_state: int | None
    axes_: Floats
    roots_: NDArray[np.int64]
    children_: NDArray[np.int64]
    feature_: NDArray[np.int64]
    threshold_: Floats
    out_of_bag_: Floats

    @abstractmethod
    def grower(self, generator: np.random.Generator) -> Grow:
        """Check the settings of the trees, and return what grows them.

        It takes rows, ``(n, D)``, the axes of rotated columns, ``(R, D)``, which rows are known anomalies, ``(n,)``,
        and the positions of those that grow the trees, and returns the trees, the value of each node, and
        ``out_of_bag_``.
        """

    def fit(self, X: ArrayLike, semi: ArrayLike | None = None) -> Self:
        """Fit to the rows ``X``, ``(n, D)``, and their labels ``semi``, ``(n,)``.

        Raises:
            InputError: a parameter or a label is out of range, or there is no known anomaly.
        """
        x = validate_data(self, X, dtype=np.float32, ensure_min_samples=2)
        anomaly = known_anomalies(semi, len(x))
        generator = np.random.default_rng(self.random_state)
        grow = self.grower(generator)
        self.axes_ = rotated_axes(x, whole_number("method.rotations", self.rotations, least=0), generator)
        rows = bounded_rows(anomaly, whole_number("method.max_rows", self.max_rows), generator)
        trees, values, self.out_of_bag_ = grow(x, self.axes_, anomaly, rows)
        self.roots_, self.children_, self.feature_, self.threshold_ = trees
        setattr(self, self.leaf_values, values)
        return self

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
