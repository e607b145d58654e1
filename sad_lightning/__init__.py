"""Deep semi-supervised anomaly detection with PyTorch Lightning and Hydra.

Words that have one meaning in this package:

=============  =====================================================================================
``x``          a sample as the network sees it, float32
``semi``       the label that training may see: -1 known anomaly, 0 unlabeled, +1 known normal
``y``          the ground truth that only evaluation sees: 0 normal, 1 anomaly
``score(x)``   anomaly score, one float a sample, higher = more anomalous, unbounded
B, N, n        rows of a batch, of a data set, of a training
C, H, W        channels of an image or columns of a raw row, height, width
D              numbers of a row as a method sees it, or of its representation
K              members of a population
cell           one training run: data + split + method + network + optimisation + seed
=============  =====================================================================================

Papers, by the name that docstrings use: ``ruff2019`` Semi-Supervised Deep SVDD, ``ruff2020`` Deep SAD,
``daniel2021`` Deep Variational Semi-Supervised Novelty Detection, ``ye2021`` Understanding the Effect of Bias
in Deep Anomaly Detection.
"""

from typing import TYPE_CHECKING, Any

from sad_lightning.version import __version__

if TYPE_CHECKING:
    from sad_lightning.detector import Detector, label_auroc
    from sad_lightning.model import Model

__all__ = ["Detector", "Model", "__version__", "label_auroc"]


def __getattr__(name: str) -> Any:
    """``Detector``, ``Model`` and ``label_auroc``, imported when they are first used, since torch takes seconds."""
    if name in ("Detector", "label_auroc"):
        from sad_lightning import detector

        return getattr(detector, name)
    if name == "Model":
        from sad_lightning.model import Model

        return Model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
