"""What methods are made of: parts, modules that several of them share, and recipes, settings that check themselves."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any, Self

from torch import Tensor, nn

from sad_lightning.data.module import Batch
from sad_lightning.errors import InputError


class Part(nn.Module):
    """A module with hooks for what gradients do not learn. Each is optional; ``Method`` calls those of all its parts.

    A part that has an encoder holds it as ``encoder``, where ``Method.get_encoder`` looks for it.
    """

    __call__: Callable[..., Tensor]

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Learn from the training rows before training (a center)."""

    def solve(self, batch: Batch, output: Tensor) -> None:
        """Solve exactly for what has no gradient (a radius), after each step on the training rows.

        The output is what ``forward`` returned in that step, without gradient. This may use the part's own buffers, but
        no parameter: a population passes it the buffers only.
        """

    def finish(self, batches: Iterable[Batch]) -> None:
        """Compute from all training rows what training only estimated, after training."""

    def watch(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars that show how training is going, on the last batch of an epoch, in eval mode."""
        return {}


def parts_of(module: nn.Module) -> dict[str, Part]:
    """The parts within a module, by name."""
    return {name: part for name, part in module.named_modules() if isinstance(part, Part)}


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
