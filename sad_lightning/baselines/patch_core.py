"""PatchCore (Roth et al., CVPR 2022): distance of an image's patches to the nearest of a coreset of normal patches.

    d(p)    min over m in M of ||p - m||                                                    of a patch p
    s(p)    d(p) (1 + q(p))
    s(x)    (1 - exp ||p* - m*|| / sum over m in N_b(m*) of exp ||p* - m||) s(p*)           of an image x

M is a coreset of the patches of training images, greedy k-center: one patch by chance, then again and again the one
that is farthest from those that are chosen, where distances are taken in a random projection (Algorithm 1). p* is the
patch of the image with the largest s(p), m* the nearest to it in M, and N_b(m*) holds the b nearest to m* in M, m*
among them: where these are near to p* too, p* lies in a dense place, and the score is lowered (equation 7).

q is 0 in the paper. Where known anomalies train, it is the probability of a logistic regression that p is a defect: the
patches within their masks against normal ones, both with the same total weight. It raises what looks like a known
defect, up to twice the distance, and lowers nothing, so that other defects are found as before.

Rows that are no patches are images of a single one.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted, validate_data

from sad_lightning.baselines.baseline import Baseline, Floats, check_labels
from sad_lightning.baselines.kernel import chunks, torch_squared_distances
from sad_lightning.checks import fraction_to_one, positive, true_or_false, whole_number
from sad_lightning.command import progress

if TYPE_CHECKING:
    from torch import Tensor

_LEAST = 1000  # patches of a coreset, where there are so many
_PROJECTED = 128  # columns in which the coreset is searched
_OTHERS = 4000  # normal patches of the logistic regression
_IMAGES = 2**14  # patches of images that are scored at a time
Singles = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(kw_only=True, eq=False, repr=False)
class PatchCore(Baseline):
    """Distance to the nearest patch of a coreset.

    Args:
        coreset: the share of the normal patches that is kept; a thousand at least, if there are so many.
        neighbors: b; 1 for scores that are not reweighted.
        max_patches: of more normal patches so many are drawn, with a warning.
        learns: whether it learns from known anomalies.
        c: inverse strength of the regularisation of the logistic regression.
        random_state: the seed of what is drawn, the first patch and the projection.
    """

    coreset: float
    neighbors: int
    max_patches: int
    learns: bool
    c: float
    random_state: int | None

    trains_on = frozenset({-1, 0, 1})
    learned = ("bank_", "weights_", "bias_", "shape_")

    def fit(self, X: ArrayLike, semi: ArrayLike | None = None) -> Self:
        """Choose the coreset among the rows ``X``, ``(n, D)``, each a patch; ``semi`` ``(n,)`` knows the anomalies.

        Raises:
            InputError: a parameter or a label is out of range.
        """
        x = validate_data(self, X, dtype=np.float32, ensure_min_samples=2)
        return self.fit_patches(x, semi, (x.shape[1], 1, 1), np.ones((len(x), 1, 1), dtype=np.uint8))

    def fit_patches(
        self, X: ArrayLike, semi: ArrayLike | None, shape: Sequence[int], masks: NDArray[np.uint8] | None
    ) -> Self:
        """Choose the coreset among the patches of the images ``X``, ``(n, D * h * w)``; see ``Baseline``.

        Raises:
            InputError: a parameter or a label is out of range.
        """
        x = validate_data(self, X, dtype=np.float32, ensure_min_samples=2)
        fraction_to_one("method.coreset", self.coreset)
        whole_number("method.neighbors", self.neighbors)
        most = whole_number("method.max_patches", self.max_patches)
        c, learns = positive("method.c", self.c), true_or_false("method.learns", self.learns)
        self.shape_ = np.array(shape)
        generator = np.random.default_rng(self.random_state)
        known = check_labels(semi, len(x)) < 0
        grid = int(np.prod(shape[1:]))
        normal = np.flatnonzero(np.repeat(~known, grid))
        if len(normal) > most:
            warnings.warn(
                f"fitted on {most:,} of {len(normal):,} normal patches, drawn by chance (method.max_patches)",
                stacklevel=2,
            )
            normal = np.sort(generator.choice(normal, most, replace=False))
        patches = self._at(x, normal)
        count = min(len(patches), max(_LEAST, round(self.coreset * len(patches))))
        self.bank_ = patches[coreset(patches, count, generator)]
        self.weights_, self.bias_ = np.zeros(shape[0]), -np.inf  # a probability of 0
        defects = self._defects(known, masks) if learns else normal[:0]
        if len(defects):
            others = patches[generator.choice(len(patches), min(_OTHERS, len(patches)), replace=False)]
            rows = np.concatenate([others, self._at(x, defects)]).astype(np.float64)
            regression = LogisticRegression(C=c, class_weight="balanced", max_iter=1000)
            regression.fit(rows, np.arange(len(rows)) >= len(others))
            self.weights_, self.bias_ = regression.coef_[0], float(regression.intercept_[0])
        return self

    def anomaly_score(self, X: ArrayLike) -> Floats:
        """The score of each image, ``(B,)``."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float32, reset=False)
        scores = np.empty(len(x))
        for part in self._parts(len(x)):
            patches = self._patches(x[part])
            distances, nearest, scored = self._scored(patches)
            of_image = scored.reshape(len(x[part]), -1)
            worst = of_image.argmax(axis=1) + np.arange(of_image.shape[0]) * of_image.shape[1]
            scores[part] = scored[worst] * self._factors(patches[worst], distances[worst], nearest[worst])
        return scores

    def patch_scores(self, X: ArrayLike) -> Floats:
        """The score of each patch, ``(B, h, w)``."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float32, reset=False)
        scores = [self._scored(self._patches(x[part]))[2] for part in self._parts(len(x))]
        return np.concatenate(scores).reshape(len(x), *self.shape_[1:])

    def torch_score(self, x: "Tensor", learned: Mapping[str, "Tensor"]) -> "Tensor":
        """``anomaly_score`` in torch operations."""
        import torch

        bank = learned["bank_"].double()
        patches, distances, nearest, scored = self._torch_scored(x, learned)
        scores: Tensor
        scores, worst = scored.reshape(x.shape[0], -1).max(dim=1)
        if (neighbors := min(self.neighbors, len(self.bank_))) == 1:
            return scores
        rows = torch.arange(x.shape[0], device=x.device) * int(np.prod(self.shape_[1:])) + worst
        near = bank[nearest[rows]]
        around = torch_squared_distances(near, bank).topk(neighbors, largest=False).indices  # (B, b)
        apart = (patches[rows][:, None] - bank[around]).norm(dim=2)
        reweighted: Tensor = scores * (1 - (distances[rows] - apart.logsumexp(dim=1)).exp())
        return reweighted

    def torch_patch_scores(self, x: "Tensor", learned: Mapping[str, "Tensor"]) -> "Tensor":
        """``patch_scores`` in torch operations."""
        scored: Tensor = self._torch_scored(x, learned)[3]
        return scored.reshape(x.shape[0], *self.shape_[1:].tolist())

    def _torch_scored(self, x: "Tensor", learned: Mapping[str, "Tensor"]) -> tuple["Tensor", ...]:
        """The patches, and ``_scored`` of them, in torch operations."""
        columns = int(self.shape_[0])
        patches = x.float().double().reshape(x.shape[0], columns, -1).transpose(1, 2).reshape(-1, columns)
        squared, nearest = torch_squared_distances(patches, learned["bank_"].double()).min(dim=1)
        distances = squared.sqrt()
        probability = (patches @ learned["weights_"] + learned["bias_"]).sigmoid()
        return patches, distances, nearest, distances * (1 + probability)

    def _patches(self, x: Singles) -> Singles:
        """The patches of images, ``(B, D * h * w)`` to ``(B * h * w, D)``."""
        columns = int(self.shape_[0])
        return x.reshape(len(x), columns, -1).transpose(0, 2, 1).reshape(-1, columns)

    def _at(self, x: Singles, positions: Indices) -> Singles:
        """Some of these patches, without a copy of all."""
        image, place = np.divmod(positions, int(np.prod(self.shape_[1:])))
        return x.reshape(len(x), self.shape_[0], -1)[image, :, place]

    def _parts(self, count: int) -> Iterator[slice]:
        step = max(1, _IMAGES // int(np.prod(self.shape_[1:])))
        return (slice(start, start + step) for start in range(0, count, step))

    def _scored(self, patches: Singles) -> tuple[Floats, Indices, Floats]:
        """Of each patch the distance to the bank, where in the bank that is, and the score."""
        distances, nearest = nearest_rows(patches, self.bank_)
        return distances, nearest, distances * (1 + expit(patches @ self.weights_ + self.bias_))

    def _factors(self, patches: Singles, distances: Floats, nearest: Indices) -> Floats:
        """The factor of equation 7 for some patches, ``(n,)``."""
        neighbors = min(self.neighbors, len(self.bank_))
        factors = np.ones(len(patches))
        if neighbors == 1:
            return factors
        for k, (patch, distance, near) in enumerate(zip(patches, distances, nearest, strict=True)):
            apart = np.linalg.norm((self.bank_ - self.bank_[near]).astype(np.float64), axis=1)
            around = np.argpartition(apart, neighbors - 1)[:neighbors]
            others = np.linalg.norm(self.bank_[around].astype(np.float64) - patch, axis=1)
            factors[k] = 1 - 1 / np.exp(others - distance).sum()
        return factors

    def _defects(self, known: NDArray[np.bool_], masks: NDArray[np.uint8] | None) -> Indices:
        """The positions of the patches within the masks of known anomalies."""
        grid = (int(self.shape_[1]), int(self.shape_[2]))
        marked = np.zeros((len(known), *grid), dtype=bool)
        unmarked = 0
        for image in np.flatnonzero(known):
            if masks is not None and masks[image].max() == 1:
                marked[image] = on_grid(masks[image], grid)
            else:
                unmarked += 1
        if unmarked:
            warnings.warn(
                f"{unmarked} known anomalies have no mask of where the defect is, and do not train", stacklevel=3
            )
        return np.flatnonzero(marked)


def coreset(x: Singles, count: int, generator: np.random.Generator) -> Indices:
    """``count`` of the rows by greedy k-center, in a random projection where they have many columns.

    Each row after the first is the farthest from those before it. Distances hold within a few percent in the projection
    (Johnson and Lindenstrauss).
    """
    if count == len(x):
        return np.arange(count)
    x = x - x.mean(axis=0)  # far from zero, products would cancel
    if x.shape[1] > _PROJECTED:
        x = x @ generator.normal(0, _PROJECTED**-0.5, (x.shape[1], _PROJECTED)).astype(np.float32)
    squares = np.einsum("nd,nd->n", x, x)
    chosen = np.empty(count, dtype=np.int64)
    chosen[0] = generator.integers(len(x))
    apart = np.full(len(x), np.inf, dtype=np.float32)
    for k in progress(range(1, count), unit="patch"):
        last = chosen[k - 1]
        np.minimum(apart, squares + squares[last] - 2 * (x @ x[last]), out=apart)
        apart[last] = -np.inf
        chosen[k] = apart.argmax()
    return chosen


def nearest_rows(x: Singles, bank: Singles) -> tuple[Floats, Indices]:
    """The distance of each row to the nearest of a bank, ``(n,)``, and which that is, ``(n,)``."""
    nearest = np.empty(len(x), dtype=np.int64)
    center = bank.mean(axis=0)  # far from zero, products would cancel
    centred = bank - center
    squares = np.einsum("nd,nd->n", centred, centred)
    for part in chunks(len(x), len(bank)):
        nearest[part] = (squares - 2 * ((x[part] - center) @ centred.T)).argmin(axis=1)
    return np.linalg.norm(x.astype(np.float64) - bank[nearest], axis=1), nearest


def on_grid(mask: NDArray[np.uint8], grid: Sequence[int]) -> NDArray[np.bool_]:
    """The patches of a grid in whose cells at least half of the pixels are marked; else those with the most."""
    height, width = grid
    shares = np.asarray(Image.fromarray(mask.astype(np.float32)).resize((width, height), Image.Resampling.BOX))
    return np.asarray(shares >= min(0.5, shares.max()))
