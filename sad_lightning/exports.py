"""Classes by their names: those that the files of a package are named after, and those that inherit from another."""

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


def subclasses(base: type[object]) -> dict[str, Any]:
    """All classes, by name, that inherit from ``base``, directly or not, and whose modules are imported.

    Of two classes of one name it is the one nearer to ``base``, so that an heir does not take the place of its parent.
    """
    children = {child.__name__: child for child in base.__subclasses__()}
    further = [subclasses(child) for child in base.__subclasses__()]
    return {name: kind for kinds in (*further, children) for name, kind in kinds.items()}
