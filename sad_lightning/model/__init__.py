"""A detector in one file, ``model.pt``: from raw rows to scores, p-values and decisions, on any machine.

``model`` is the detector, ``scorer`` what it asks for scores, ``recipe`` a scorer as plain data and back, ``file`` and
``hub`` what lies on the disk.
"""

from sad_lightning.model.model import OUT_OF_BAG, Model, own_draws, torch_defaults
from sad_lightning.model.scorer import BaselineScore, Scorer, heat_maps

__all__ = ["OUT_OF_BAG", "BaselineScore", "Model", "Scorer", "heat_maps", "own_draws", "torch_defaults"]
