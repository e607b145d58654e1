"""One file a method: its equation, its loss, its class. Adding one touches this folder and conf/method only."""

import pkgutil
from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """A method by the name of its class, imported when it is asked for: ``DeepSAD`` lies in ``deep_sad.py``."""
    for module in pkgutil.iter_modules(__path__):
        if module.name.replace("_", "") == name.lower():
            return getattr(import_module(f"{__name__}.{module.name}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
