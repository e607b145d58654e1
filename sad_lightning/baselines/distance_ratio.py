"""How much nearer a row is to the known anomalies than to what unlabeled rows are like.

    score(x)    1/K sum_k [log(1 + min_c |W_k x - c|^2) - log(1 + |W_k x - a_k|^2)]

Part k sees a random share of the columns and of the rows that are no known anomalies. W_k whitens these columns under
the shrunk covariance of these rows (Ledoit and Wolf 2004), so that distances are Mahalanobis distances; c are centers
of these rows by k-means, and a_k is the mean of the known anomalies. Columns are standardised and clipped first. Two
logarithms make a ratio, and a row far from both scores near zero, as under two t distributions of one degree of
freedom. A mean is known well by a single anomaly, and hidden anomalies hardly move the centers, which is why few
labels and dirty rows cost this baseline less than most.

Each row has a score by the parts that have not seen it, ``out_of_bag_``.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.covariance import LedoitWolf
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from sad_lightning.baselines.baseline import Baseline, Floats, bounded_rows, known_anomalies
from sad_lightning.checks import fraction_to_one, positive, whole_number

if TYPE_CHECKING:
    from torch import Tensor

_MOST_COLUMNS = 300  # of a part, whose covariance is decomposed
_SMALLEST = 1e-9  # variance along an axis, as a share of the largest


class _Part(NamedTuple):
    """``P`` columns, the axes ``(P, P)`` by which they are whitened, and there ``(C, P)`` centers and the anomaly."""

    columns: NDArray[np.int64]
    axes: Floats
    centers: Floats
    anomaly: Floats

    def score(self, standard: Floats) -> Floats:
        """The term of the sum, ``(B,)``, of standardised rows."""
        white = standard[:, self.columns] @ self.axes
        near = cdist(white, self.centers, "sqeuclidean").min(axis=1)
        ratio: Floats = np.log1p(near) - np.log1p(((white - self.anomaly) ** 2).sum(axis=1))
        return ratio


@dataclass(kw_only=True, eq=False, repr=False)
class DistanceRatio(Baseline):
    """Ratio of the distances to the nearest center of other rows and to the mean of known anomalies.

    Args:
        parts: how many, K.
        centers: of the rows of a part.
        columns: the share of the columns that a part sees, in (0, 1]; 300 columns at most.
        sample: the share of the rows that are no known anomalies that a part sees, in (0, 1].
        clip: how many deviations a column is at most from its mean.
        max_rows: how many of the rows that are no known anomalies take part; drawn at random where there are more.
        random_state: the seed of columns, rows and centers.

    Attributes:
        out_of_bag_: ``(n,)`` score of each training row by the parts that have not seen it; nan where all have.
    """

    parts: int
    centers: int
    columns: float
    sample: float
    clip: float
    max_rows: int
    random_state: int | None

    trains_on = frozenset({-1, 0, 1})
    needs_anomalies = True
    learned = ("mean_", "scale_", "columns_", "axes_", "centers_", "anomaly_", "out_of_bag_")

    def fit(self, X: ArrayLike, semi: ArrayLike | None = None) -> Self:
        """Fit to the rows ``X``, ``(n, D)``, and their labels ``semi``, ``(n,)``.

        Raises:
            InputError: a parameter or a label is out of range, or there is no known anomaly.
        """
        x = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        anomaly = known_anomalies(semi, len(x))
        generator = np.random.default_rng(self.random_state)
        kept = bounded_rows(anomaly, whole_number("method.max_rows", self.max_rows), generator)
        others = kept[~anomaly[kept]]
        count = int(np.ceil(fraction_to_one("method.sample", self.sample) * len(others)))
        width = int(np.ceil(fraction_to_one("method.columns", self.columns) * x.shape[1]))
        centers = min(whole_number("method.centers", self.centers), count)
        positive("method.clip", self.clip)
        scaler = StandardScaler().fit(x[others])
        self.mean_, self.scale_ = scaler.mean_, scaler.scale_
        standard = self._standard(x)
        parts, sums, unseen = [], np.zeros(len(x)), np.zeros(len(x))
        for _ in range(whole_number("method.parts", self.parts)):
            columns = np.sort(generator.permutation(x.shape[1])[: min(width, _MOST_COLUMNS)])
            seen = generator.choice(others, count, replace=False)
            rows, known = standard[np.ix_(seen, columns)], standard[anomaly][:, columns]
            part = _new_part(columns, rows, known, centers, int(generator.integers(2**32)))
            new = ~anomaly
            new[seen] = False
            sums[new] += part.score(standard[new])
            unseen += new
            parts.append(part)
        self.columns_, self.axes_, self.centers_, self.anomaly_ = map(np.stack, zip(*parts, strict=True))
        self.out_of_bag_ = np.divide(sums, unseen, out=np.full(len(x), np.nan), where=unseen > 0)
        return self

    def anomaly_score(self, X: ArrayLike) -> Floats:
        """The log of the ratio for each row of ``X``, ``(B,)``; above zero where the known anomalies are nearer."""
        check_is_fitted(self)
        standard = self._standard(validate_data(self, X, dtype=np.float64, reset=False))
        parts = zip(self.columns_, self.axes_, self.centers_, self.anomaly_, strict=True)
        scores: Floats = np.mean([_Part(*part).score(standard) for part in parts], axis=0)
        return scores

    def out_of_bag(self) -> Floats:
        """``out_of_bag_``."""
        out_of_bag: Floats = self.out_of_bag_
        return out_of_bag

    def torch_score(self, x: "Tensor", learned: Mapping[str, "Tensor"]) -> "Tensor":
        """``anomaly_score`` in torch operations."""
        import torch

        standard = ((x - learned["mean_"]) / learned["scale_"]).clamp(-self.clip, self.clip)
        parts = (learned[name] for name in ("columns_", "axes_", "centers_", "anomaly_"))
        terms = []
        for columns, axes, centers, anomaly in zip(*parts, strict=True):
            white = standard[:, columns] @ axes
            near = torch.stack([((white - center) ** 2).sum(dim=1) for center in centers]).amin(dim=0)
            terms.append(near.log1p() - ((white - anomaly) ** 2).sum(dim=1).log1p())
        return torch.stack(terms).mean(dim=0)

    def _standard(self, x: Floats) -> Floats:
        standard: Floats = np.clip((x - self.mean_) / self.scale_, -self.clip, self.clip)
        return standard


def _new_part(columns: NDArray[np.int64], rows: Floats, known: Floats, centers: int, seed: int) -> _Part:
    """The part that sees these columns of some rows, ``(n, P)``, and of the known anomalies, ``(m, P)``."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Only one sample|Number of distinct clusters")
        spread, vectors = np.linalg.eigh(LedoitWolf().fit(rows).covariance_)
        axes = vectors / np.sqrt(np.maximum(spread, _SMALLEST * spread.max() or 1.0))
        means = KMeans(centers, n_init=1, random_state=seed).fit(rows @ axes).cluster_centers_
    return _Part(columns, axes, means, (known @ axes).mean(axis=0))
