"""A detector in scikit-learn's style: ``detector`` is the estimator, ``rows`` what a caller gives it."""

from sad_lightning.detector.detector import Detector, label_auroc

__all__ = ["Detector", "label_auroc"]
