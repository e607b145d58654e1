"""One file for each method: its equation, its loss, its class. A new one touches this folder and conf/method only."""

import pkgutil
from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """A method or a part of methods by the name of its class, imported when it is first used.

    ``DeepSAD`` is in ``deep_sad.py``.
    """
    if name == "__all__":
        return __dir__()
    for module in pkgutil.iter_modules(__path__):
        if module.name.replace("_", "") == name.lower():
            return getattr(import_module(f"{__name__}.{module.name}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The names of the classes that files of this folder are named after; imports them all."""
    modules = [module.name for module in pkgutil.iter_modules(__path__)]
    return sorted(
        name
        for module in modules
        for name, value in vars(import_module(f"{__name__}.{module}")).items()
        if isinstance(value, type) and name.lower() == module.replace("_", "")
    )
