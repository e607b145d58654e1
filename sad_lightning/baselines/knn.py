"""Distance to the nearest neighbours (Ramaswamy et al. 2000; the mean of Angiulli and Pizzuti 2002).

    score(x)    1/k sum_i d(x, x_i),   x_1 ... x_k the nearest training rows

Labels are not used: known anomalies are no rows of a fit. A training row is its own neighbour, at distance zero, so
that training rows score lower than other rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.validation import check_is_fitted, validate_data

from sad_lightning.baselines.baseline import Baseline, Floats
from sad_lightning.baselines.kernel import choose_rows, torch_squared_distances
from sad_lightning.checks import choice, whole_number

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(kw_only=True, eq=False, repr=False)
class KNN(Baseline):
    """Mean distance to the nearest neighbours.

    Args:
        neighbors: k; all rows if there are fewer.
        metric: ``euclidean``, or ``cosine`` for one minus the cosine of the angle between rows.
        max_rows: of a larger training set this many rows are drawn, with a warning.
        random_state: the seed of that draw.
    """

    neighbors: int
    metric: str
    max_rows: int
    random_state: int | None

    trains_on = frozenset({0, 1})
    learned = ("rows_",)
    _count = 0
    _out_of_bag: Floats | None = field(default=None, init=False)
    _search: NearestNeighbors | None = field(default=None, init=False)

    def fit(self, X: ArrayLike, semi: ArrayLike | None = None) -> Self:
        """Store the rows ``X``, ``(n, D)``; ``semi`` is not used.

        Raises:
            InputError: a parameter is out of range.
        """
        x = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        whole_number("method.neighbors", self.neighbors)
        choice("method.metric", self.metric, ("euclidean", "cosine"))
        self._kept_rows = choose_rows(np.zeros(len(x), dtype=np.int8), self.max_rows, self.random_state)
        self._count, self._out_of_bag, self._search = len(x), None, None
        rows = x[self._kept_rows]
        single = rows.astype(np.float32)  # half as large a file, if float32 is exact
        self.rows_ = single if np.array_equal(single, rows) else rows
        return self

    def anomaly_score(self, X: ArrayLike) -> Floats:
        """The mean distance of each row of ``X`` to its neighbours, ``(B,)``."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray(self._distances(x, min(self.neighbors, len(self.rows_))).mean(axis=1))

    def out_of_bag(self) -> Floats | None:
        """The mean distance of each row of ``fit`` to its neighbours, without itself, ``(n,)``; nan for a row left out.

        None for an estimator that is read from a file, which does not know how many rows there were.
        """
        check_is_fitted(self)
        if self._out_of_bag is None and self._count:
            self._out_of_bag = np.full(self._count, np.nan)
            others = min(self.neighbors, len(self.rows_) - 1)
            distances = self._distances(self.rows_.astype(np.float64), others + 1)
            self._out_of_bag[self._kept_rows] = distances[:, 1:].mean(axis=1)  # the nearest is the row itself
        return self._out_of_bag

    def _distances(self, x: Floats, neighbors: int) -> Floats:
        """The distances of rows to their nearest training rows, ``(B, neighbors)``, ascending."""
        if self._search is None:
            search = NearestNeighbors(n_neighbors=min(self.neighbors, len(self.rows_)), metric=self.metric)
            self._search = search.fit(self.rows_.astype(np.float64))
        distances: Floats = self._search.kneighbors(x, neighbors)[0]
        return distances

    def torch_score(self, x: "Tensor", learned: Mapping[str, "Tensor"]) -> "Tensor":
        """``anomaly_score`` in torch operations."""
        from torch.nn.functional import normalize

        rows = learned["rows_"].double()
        if self.metric == "cosine":
            distances = 1 - normalize(x) @ normalize(rows).T
        else:
            distances = torch_squared_distances(x, rows).sqrt()
        return distances.topk(min(self.neighbors, len(self.rows_)), largest=False).values.mean(dim=1)
