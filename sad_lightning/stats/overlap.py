"""How well heat maps show where defects are: per-region overlap, in which small defects count as much as large ones."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label


def region_overlap(masks: NDArray[np.integer], maps: NDArray[np.floating], most: float) -> float:
    """The area under the per-region overlap (PRO; Bergmann et al. 2020, section 3.2), in [0, 1].

    Of a threshold, the overlap is the share of a defect's pixels above it, in the mean over all connected regions of
    all masks, and the false-positive rate is the share of all other pixels above it. The area under their curve goes
    up to a false-positive rate of ``most`` and is divided by it. Exact, with ties.

    Args:
        masks: ``(N, H, W)``, 1 where a defect is and 0 elsewhere; pixels that touch in a corner are connected.
        maps: ``(N, H, W)``, higher = more anomalous.
        most: the largest false-positive rate.

    Returns:
        nan where there is no defect, or nothing else.
    """
    marked = np.asarray(masks) == 1
    if not marked.any() or marked.all():
        return float("nan")
    weights = np.zeros(marked.shape)
    regions = 0
    for mask, weight in zip(marked, weights, strict=True):
        found, count = label(mask, structure=np.ones((3, 3)))
        weight[mask] = 1 / np.bincount(found.ravel())[found[mask]]
        regions += count
    order = np.argsort(-maps, axis=None, kind="stable")
    values = maps.ravel()[order]
    last = np.flatnonzero(np.diff(values, append=np.nan) != 0)  # of each group of ties
    overlap = np.cumsum(weights.ravel()[order])[last] / regions
    rate = np.cumsum(~marked.ravel()[order])[last] / (~marked).sum()
    rate, overlap = np.r_[0.0, rate], np.r_[0.0, overlap]
    inside = rate < most
    at = np.r_[rate[inside], most]
    heights = np.r_[overlap[inside], np.interp(most, rate, overlap)]
    return float(np.trapezoid(heights, at) / most)
