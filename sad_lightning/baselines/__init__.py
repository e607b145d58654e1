"""Shallow detectors as scikit-learn estimators, one file each; they see raw rows or the codes of an autoencoder."""

from typing import Any

from sad_lightning.exports import exported, exported_names


def __getattr__(name: str) -> Any:
    """A baseline by the name of its class."""
    return exported(__name__, __path__, name)


def __dir__() -> list[str]:
    return exported_names(__name__, __path__)
