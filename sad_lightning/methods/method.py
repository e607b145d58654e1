"""The contract of a method.

A method is a LightningModule with a ``loss`` and a ``score``. Both are pure functions of parameters, buffers and
batch: no ``.item()``, no indexing by a boolean mask, no Python state. Select with ``torch.where``, average with a
mask. Then the same class trains alone under the Trainer, and stacked with others in a ``Population``.

Every method is final: methods share functions, never a base beyond this one.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from lightning import LightningModule
from torch import Tensor

from sad_lightning.data.module import Batch
from sad_lightning.methods.optimizer import Adam
from sad_lightning.networks import Network


class Method(LightningModule, ABC):
    """What every method is.

    Args:
        network: settings of the network, as an object or as the plain recipe that a checkpoint holds.
        optimizer: settings of the optimiser, likewise.
        settings: the method's own numbers, kept in the checkpoint.

    Attributes:
        rows: the values of ``semi`` that the method trains on; a label-free method leaves out -1.
        starts_from: the parts that take the weights of the same part of the pretraining, where there is one.
    """

    rows: ClassVar[frozenset[int]]
    starts_from: ClassVar[tuple[str, ...]] = ()
    stage = "train"  # names the losses that are logged

    def __init__(
        self, *, network: Network | Mapping[str, Any], optimizer: Adam | Mapping[str, Any], **settings: Any
    ) -> None:
        super().__init__()
        self.network = Network.build(network)
        self.optimizer = Adam.build(optimizer)
        recipes = {"network": self.network.recipe(), "optimizer": self.optimizer.recipe()}
        self.save_hyperparameters({**recipes, **settings}, logger=False)

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """The objective, averaged over the batch, a scalar."""

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """The anomaly score of each row of ``x``, ``(B,)`` float32, higher = more anomalous."""

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Learn from one pass over the training rows before training, where the method does (a center)."""

    def start_from(self, pretrained: "Method") -> None:
        """Take over the weights of the parts in ``starts_from``."""
        for part in self.starts_from:
            self.get_submodule(part).load_state_dict(pretrained.get_submodule(part).state_dict())

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step: the loss of one batch."""
        loss = self.loss(batch)
        self.log(f"{self.stage}/loss", loss, on_step=False, on_epoch=True, sync_dist=True, batch_size=len(batch.x))
        return loss

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The scores of one batch."""
        return self.score(batch.x)

    def configure_optimizers(self) -> Any:
        """Adam in two phases."""
        return self.optimizer.configure(self.parameters())
