"""Shallow detectors as scikit-learn estimators, one file each; on raw rows, or on the codes of an autoencoder."""
