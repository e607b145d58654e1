"""One file for each method: its equation, its loss, its class. A new one touches this folder and conf/method only."""

from typing import Any

from sad_lightning.exports import exported, exported_names


def __getattr__(name: str) -> Any:
    """A method or a part of methods by the name of its class."""
    return exported(__name__, __path__, name)


def __dir__() -> list[str]:
    return exported_names(__name__, __path__)
