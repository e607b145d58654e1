"""Parts: the modules that several methods are made of."""

from collections.abc import Callable, Iterable

from torch import Tensor, nn

from sad_lightning.data.module import Batch


class Part(nn.Module):
    """A module with hooks for what gradients do not learn. Each is optional; ``Method`` calls those of all its parts.

    A part that has an encoder holds it as ``encoder``, where ``Method.get_encoder`` looks for it.
    """

    __call__: Callable[..., Tensor]

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Learn from the training rows before training (a center)."""

    def solve(self, batch: Batch, output: Tensor) -> None:
        """Solve exactly for what has no gradient (a radius), after each step on the training rows.

        It may use the part's own buffers, but no parameter: a population passes it the buffers only.

        Args:
            batch: the batch of the step.
            output: what ``forward`` returned for it in that step, without gradient.
        """

    def finish(self, batches: Iterable[Batch]) -> None:
        """Compute from all training rows what training only estimated, after training."""

    def watch(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars that show how training is going, on the last batch of an epoch, in eval mode."""
        return {}


def parts_of(module: nn.Module) -> dict[str, Part]:
    """The parts within a module, by name."""
    return {name: part for name, part in module.named_modules() if isinstance(part, Part)}
