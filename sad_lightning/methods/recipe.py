"""Settings that check themselves, and are stored in a checkpoint as plain data."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

from sad_lightning.errors import InputError


class Recipe:
    """The base of frozen dataclasses of settings, which are checked when they are made."""

    def recipe(self) -> dict[str, Any]:
        """The settings as plain data, for a checkpoint."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]

    @classmethod
    def build(cls, recipe: Self | Mapping[str, Any]) -> Self:
        """Settings from their recipe; settings are returned as they are.

        Raises:
            InputError: the recipe has other keys.
        """
        if isinstance(recipe, cls):
            return recipe
        try:
            return cls(**recipe)  # type: ignore[arg-type]
        except TypeError as error:
            raise InputError(f"{cls.__name__.lower()}: {error}; the checkpoint is not one of this version") from error
