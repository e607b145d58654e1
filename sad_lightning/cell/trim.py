"""How like the known anomalies each training row is: the most suspicious unlabeled rows can be left out of training.

Among the unlabeled rows hide anomalies, and a network that pulls all of them to its center learns that they are normal.
So a share of the rows, ``trim``, is left out: those that a forest, known anomalies against all others, finds most like
the known anomalies, by the trees that have not seen the row. In a pool without anomalies these are normal rows that
look odd, and leaving them out costs a little. ``trim=auto`` asks the known anomalies how many: the rows more suspicious
than half of these are left out, a fifth at most. In a pool without anomalies few rows are, where the forest can tell
known anomalies from others at all. Known normals are never left out.
"""

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig

from sad_lightning.cell.values import CellRows
from sad_lightning.errors import InputError
from sad_lightning.seeding import derive

_TREES = 300
_MAX_ROWS = 10_000  # that grow the forest, beside the known anomalies


def trims(cfg: DictConfig, *, renewed: bool) -> bool:
    """Whether the method of a cell, or some voice of a mixture, leaves rows out; ``auto`` none of renewed rows."""
    parts = cfg.voices.values() if cfg.voices else [cfg]
    return any(part.trim and not (renewed and part.trim == "auto") for part in parts)


def suspicion(rows: CellRows) -> NDArray[np.float64]:
    """The suspicion of each training row, ``(n,)`` in [0, 1]; empty where no anomaly is known.

    Raises:
        InputError: the rows are patches of images.
    """
    if rows.arrays.patches:
        raise InputError("trim must be 0 for features=patches, whose images a forest does not rank; leave it out")
    if not (rows.split.semi < 0).any():
        return np.empty(0)
    from sad_lightning.baselines.extra_trees import ExtraTrees  # scikit-learn: half a second of import
    from sad_lightning.cell.shallow import features

    forest = ExtraTrees(trees=_TREES, rotations=1, max_rows=_MAX_ROWS, random_state=derive(rows.seed, "trim"))
    data = rows.serve(forest, forest.trains_on, batch_size=2)
    x = features(data, data.rows, None)
    unseen = forest.fit(x, rows.split.semi).out_of_bag_
    beyond = np.isnan(unseen)  # rows that did not grow the forest
    unseen[beyond] = forest.anomaly_score(x[beyond]) if beyond.any() else 0.0
    return unseen
