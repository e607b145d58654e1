"""A detector in one file, ``model.pt``: from raw rows to scores, p-values and decisions, on any machine.

``model`` is the detector and its file, ``scorer`` what it asks for scores, ``hub`` the folder that model hubs know.
"""

from sad_lightning.model.model import OUT_OF_BAG, Model, own_draws, torch_defaults
from sad_lightning.model.scorer import BaselineScore, Scorer, enlargement, heat_maps

__all__ = ["OUT_OF_BAG", "BaselineScore", "Model", "Scorer", "enlargement", "heat_maps", "own_draws", "torch_defaults"]
