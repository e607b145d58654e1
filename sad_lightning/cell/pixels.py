"""How well a cell shows where defects are, over the test images whose defects are marked."""

import numpy as np
import torch

from sad_lightning.cell.values import PreparedCell, Scores
from sad_lightning.data.preparation import to_network
from sad_lightning.model import heat_maps
from sad_lightning.stats.overlap import region_overlap
from sad_lightning.stats.ranking import auroc, average_precision

_BATCH = 64  # images
_MOST = 0.3  # the largest false-positive rate of PRO, as with MVTec AD


def pixel_metrics(prepared: PreparedCell, scores: Scores) -> dict[str, float]:
    """AUROC and average precision over pixels, and PRO; empty without masks, or where the model shows no heat maps."""
    arrays = prepared.arrays
    if arrays.masks is None:
        return {}
    tests = scores.split.test
    rows = tests[arrays.masks[tests].max(axis=(1, 2), initial=0) <= 1]
    scale, shift = torch.from_numpy(prepared.scaling.scale), torch.from_numpy(prepared.scaling.shift)
    maps = []
    for start in range(0, len(rows), _BATCH):
        raw = torch.from_numpy(arrays.x[rows[start : start + _BATCH]])
        x = to_network(raw, scale, shift, None, image=arrays.x.ndim == 4, contrast=prepared.scaling.contrast)
        if (part := heat_maps(scores.scorer, x, arrays.masks.shape[1:])) is None:
            return {}
        maps.append(part)
    if not maps:
        return {}
    shown, marked = np.concatenate(maps), arrays.masks[rows]
    return {
        "pixel_auroc": auroc(marked.ravel(), shown.ravel()),
        "pixel_average_precision": average_precision(marked.ravel(), shown.ravel()),
        "pro": region_overlap(marked, shown, _MOST),
    }
