"""Trees of other libraries as flat arrays, one tree after the other, and the walk of rows to their leaves.

Plain arrays are saved without pickle, do not depend on the version of a library, and can be exported as a graph.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sad_lightning.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
_BATCH = 1000  # rows
_SHARE_OF_GAP = 1e-3


class FlatTrees(NamedTuple):
    """``T`` trees with ``N`` nodes in all; a node is its position in the arrays.

    Attributes:
        roots: ``(T,)``.
        children: ``(2, N)``, left and right; the children of a leaf are the leaf itself.
        feature: ``(N,)``, the column that the node splits.
        threshold: ``(N,)``; a larger value goes right.
    """

    roots: Indices
    children: Indices
    feature: Indices
    threshold: Floats


def flatten(trees: Sequence[Any]) -> FlatTrees:
    """The ``tree_`` of several scikit-learn trees, in one set of arrays."""
    counts = [tree.node_count for tree in trees]
    roots = np.cumsum([0, *counts[:-1]])
    offset = np.repeat(roots, counts)
    left, right = (np.concatenate([getattr(tree, f"children_{side}") for tree in trees]) for side in ("left", "right"))
    leaf, itself = left < 0, np.arange(len(left))
    return FlatTrees(
        roots=roots,
        children=np.where(leaf, itself, np.stack([left + offset, right + offset])),
        feature=np.where(leaf, 0, np.concatenate([tree.feature for tree in trees])),
        threshold=np.concatenate([tree.threshold for tree in trees]),
    )


def join(parts: Sequence[FlatTrees]) -> FlatTrees:
    """The trees of several sets of arrays in one."""
    offsets = np.cumsum([0, *(len(part.feature) for part in parts[:-1])])
    shifted = [
        part._replace(roots=part.roots + offset, children=part.children + offset)
        for part, offset in zip(parts, offsets, strict=True)
    ]
    return FlatTrees(*(np.concatenate(arrays, axis=-1) for arrays in zip(*shifted, strict=True)))


def beyond_ties(trees: FlatTrees, x: NDArray[np.float32]) -> FlatTrees:
    """The trees with thresholds a thousandth of a gap higher, the gap being that between the nearest training values.

    Libraries put a threshold in the middle of two values, where whole numbers, or the grey of a pixel, have another
    one: the rounding of its last bit would decide. No training row, ``(n, D)``, changes its leaf.
    """
    threshold, inner = trees.threshold.copy(), trees.children[0] != np.arange(len(trees.feature))
    for column in np.unique(trees.feature[inner]):
        nodes = np.flatnonzero(inner & (trees.feature == column))
        values = np.unique(x[:, column]).astype(np.float64)
        above = np.searchsorted(values, threshold[nodes], side="right").clip(max=len(values) - 1)
        threshold[nodes] += _SHARE_OF_GAP * (values[above] - values[above - 1])
    return trees._replace(threshold=threshold)


def mean_of_leaves(x: NDArray[np.float32], trees: FlatTrees, values: Floats) -> Floats:
    """The mean over trees of the value of each row's leaf, ``(B,)``; ``values`` has one for each node.

    Rows, ``(B, D)``, are float32 as in scikit-learn's comparisons.
    """
    _check(trees, x.shape[1], values)
    means = np.empty(len(x))
    for part in _parts(x):
        leaves = np.tile(trees.roots, len(x[part]))
        for walks, _, below in _walk(x[part], trees):
            leaves[walks] = below
        means[part] = values.take(leaves).reshape(-1, len(trees.roots)).mean(axis=1)
    return means


def mean_of_splits(x: NDArray[np.float32], trees: FlatTrees, values: Floats) -> Floats:
    """What the splits by each column add on the way from the root to the leaf, a mean over trees, ``(B, D)``.

    The sum over columns is ``mean_of_leaves`` minus the mean value of the roots.
    """
    _check(trees, x.shape[1], values)
    added = np.empty(x.shape)
    for part in _parts(x):
        sums = np.zeros(x[part].size)
        for walks, at, below in _walk(x[part], trees):
            cells = walks // len(trees.roots) * x.shape[1] + trees.feature.take(at)
            sums += np.bincount(cells, values.take(below) - values.take(at), len(sums))
        added[part] = sums.reshape(-1, x.shape[1]) / len(trees.roots)
    return added


def _check(trees: FlatTrees, columns: int, values: Floats) -> None:
    """Refuse trees of a file that are none: a walk would leave the arrays, or never end."""
    nodes = len(trees.feature)
    inside = trees.roots.min() >= 0 and trees.roots.max() < nodes and trees.children.max() < nodes
    downwards = (trees.children >= np.arange(nodes)).all()  # children come after their parent
    if not (inside and downwards and trees.feature.min() >= 0 and trees.feature.max() < columns):
        raise InputError("trees: a node names a node or a column that is not there; copy the file again, or fit again")
    if not len(trees.threshold) == len(values) == nodes:
        raise InputError(f"trees: must have a threshold and a value for each of {nodes} nodes; fit again")


def _walk(x: NDArray[np.float32], trees: FlatTrees) -> Iterator[tuple[Indices, Indices, Indices]]:
    """Walk each row down each tree, level by level; yields the walks that go on, their nodes, and their next nodes.

    Walk ``row * T + tree`` starts at the root of the tree.
    """
    x = np.ascontiguousarray(x)
    left, right = trees.children
    at = np.tile(trees.roots, len(x))
    walks, rows = np.arange(len(at)), np.repeat(np.arange(len(x)) * x.shape[1], len(trees.roots))
    while len(walks):
        goes_right = x.take(rows + trees.feature.take(at)) > trees.threshold.take(at)
        below = np.where(goes_right, right.take(at), left.take(at))
        on = np.flatnonzero(below != at)
        walks, rows, above, at = walks.take(on), rows.take(on), at.take(on), below.take(on)
        yield walks, above, at


def _parts(x: NDArray[np.float32]) -> list[slice]:
    return [slice(start, start + _BATCH) for start in range(0, len(x), _BATCH)]


def depth(trees: FlatTrees) -> int:
    """The largest number of splits from a root to a leaf."""
    nodes, splits = trees.roots, 0
    while len(inner := nodes[trees.children[0][nodes] != nodes]):
        nodes, splits = trees.children[:, inner].ravel(), splits + 1
    return splits


def torch_mean_of_leaves(x: "Tensor", learned: "Mapping[str, Tensor]", values: "Tensor", splits: int) -> "Tensor":
    """``mean_of_leaves`` in torch operations, ``(B,)``; every row takes ``splits`` steps, and stays at its leaf."""
    import torch

    left, right = learned["children_"]
    nodes = learned["roots_"].expand(x.shape[0], -1)
    for _ in range(splits):
        goes_right = x.gather(1, learned["feature_"][nodes]) > learned["threshold_"][nodes]
        nodes = torch.where(goes_right, right[nodes], left[nodes])
    return values[nodes].mean(dim=1)
