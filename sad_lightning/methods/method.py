"""The contract of a method.

A method is a LightningModule with a ``loss`` and a ``score``. Both are pure functions of parameters, buffers and
batch: no ``.item()``, no indexing by a boolean mask, no Python state. Select with ``torch.where``, average with a
mask. Then the same class trains alone under the Trainer, and stacked with others in a ``Population``. As BatchNorm does
with its statistics, a loss may overwrite a buffer in place while the method is in training mode.

Every method is final: methods share functions, never a base beyond this one.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from sad_lightning.data.module import Batch
from sad_lightning.errors import InputError
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.recipe import Recipe
from sad_lightning.methods.steps import Steps, Update
from sad_lightning.networks import Network


class Method(Steps):
    """What every method is.

    Args:
        network: settings of the network, as an object or as the plain recipe that a checkpoint holds.
        optimizer: settings of the optimiser, likewise.
        settings: the method's own numbers, kept in the checkpoint.

    Attributes:
        rows: the values of ``semi`` that the method trains on; a label-free method leaves out -1.
        needs_anomalies: whether the method is not defined without known anomalies.
        starts_from: the parts that take the weights of the same part of the pretraining, where there is one.
        updates: its kinds of optimiser step, where it has more than one.
        noise: the shape of the standard normal noise that it needs for each row.
    """

    rows: ClassVar[frozenset[int]]
    needs_anomalies: ClassVar[bool] = False
    starts_from: tuple[str, ...] = ()
    noise: tuple[int, ...] = ()

    def __init__(
        self, *, network: Network | Mapping[str, Any], optimizer: Adam | Mapping[str, Any], **settings: Any
    ) -> None:
        super().__init__()
        self.network = Network.build(network)
        self.optimizer = Adam.build(optimizer)
        recipes = {"network": self.network.recipe(), "optimizer": self.optimizer.recipe()}
        plain = {name: value.recipe() if isinstance(value, Recipe) else value for name, value in settings.items()}
        self.save_hyperparameters({**recipes, **plain}, logger=False)

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """The objective, averaged over the batch, a scalar."""

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """The anomaly score of each row of ``x``, ``(B,)`` float32, higher = more anomalous."""

    def watch(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars that tell how training is doing, from the last batch of an epoch, in eval mode."""
        return {}

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Learn from one pass over the training rows before training, where the method does (a center)."""

    def finish(self, batches: Iterable[Batch]) -> None:
        """Compute from one pass over the training rows what training only estimated, where it did (a radius)."""

    def start_from(self, pretrained: "Method") -> None:
        """Take over the weights of the parts in ``starts_from``.

        Raises:
            InputError: the pretraining has no such part, or one of another shape.
        """
        for part in self.starts_from:
            try:
                self.get_submodule(part).load_state_dict(pretrained.get_submodule(part).state_dict())
            except (AttributeError, RuntimeError) as error:
                raise InputError(
                    f"pretrain: the {part} of {type(pretrained).__name__} must fit the one of {type(self).__name__}, "
                    f"but it does not; choose another with pretrain=ae, vae or none"
                ) from error

    def losses(self, update: Update, batch: Batch) -> Tensor:
        """The loss of one update, a scalar; parameters that it does not move get no gradient."""
        frozen = [p for name, p in self.named_parameters() if p.requires_grad and not name.startswith(update.moves)]
        for parameter in frozen:
            parameter.requires_grad_(False)
        value: Tensor = getattr(self, update.loss)(batch)
        for parameter in frozen:
            parameter.requires_grad_(True)
        return value

    def watched(self, update: Update, batch: Batch) -> dict[str, Tensor]:
        """What the update's ``watch`` tells."""
        values: dict[str, Tensor] = getattr(self, update.watch)(batch)
        return values

    def zeros(self, gradients: list[Tensor]) -> Tensor:
        """The share of the gradients that is exactly zero."""
        zeros = torch.stack([(gradient == 0).sum() for gradient in gradients]).sum()
        return zeros / sum(gradient.numel() for gradient in gradients)

    def clip(self, gradients: list[Tensor], largest: float) -> None:
        """Scale the gradients to a joint norm of at most ``largest``, in place."""
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        for gradient in gradients:
            gradient.mul_((largest / (norm + 1e-6)).clamp(max=1.0))

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The scores of one batch."""
        return self.score(batch.x)

    def configure_optimizers(self) -> Any:
        """Adam in two phases."""
        return self.optimizer.configure(self.parameters())
