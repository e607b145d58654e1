"""Shallow detectors as scikit-learn estimators, one file each; on raw rows, or on the codes of an autoencoder."""

import pkgutil
from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """A baseline by the name of its class, imported when it is asked for: ``OCSVM`` lies in ``ocsvm.py``."""
    for module in pkgutil.iter_modules(__path__):
        if module.name.replace("_", "") == name.lower():
            return getattr(import_module(f"{__name__}.{module.name}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
