"""A package that exports the class that each of its files is named after, so that a new file needs no list."""

import pkgutil
from collections.abc import Iterable
from importlib import import_module
from typing import Any


def exported(package: str, folders: Iterable[str], name: str) -> Any:
    """The ``__getattr__`` of such a package: the class of that name is imported when it is first used.

    ``DeepSAD`` is the one in ``deep_sad.py`` of the package's folders; ``__all__`` lists the names.

    Raises:
        AttributeError: no file has that name.
    """
    if name == "__all__":
        return exported_names(package, folders)
    for module in pkgutil.iter_modules(folders):
        if module.name.replace("_", "") == name.lower().replace("_", ""):
            return getattr(import_module(f"{package}.{module.name}"), name)
    raise AttributeError(f"module {package!r} has no attribute {name!r}")


def exported_names(package: str, folders: Iterable[str]) -> list[str]:
    """The ``__dir__`` of such a package: the names of its classes; imports them all."""
    return sorted(
        name
        for module in pkgutil.iter_modules(folders)
        for name in vars(import_module(f"{package}.{module.name}"))
        if name.lower() == module.name.replace("_", "")
    )
