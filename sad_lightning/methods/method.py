"""The interface of a method: a ``loss`` that trains it and a ``score`` that ranks rows.

Both are pure functions of parameters, buffers and batch: no ``.item()``, no indexing by a boolean mask, no Python
state. Select with ``torch.where``, average with a mask. Then the same class trains alone under the Trainer, and stacked
with others in a ``Population``.

What several methods have in common is a ``Part``: a ``Hypersphere``, an ``Autoencoder``, a ``Variational`` pair. A
method holds its parts as attributes, and ``Method`` calls their hooks (to fix a center, to guard against collapse, to
compute metrics), so that a method needs no further code for them. A method inherits from nothing but ``Method``.
"""

import inspect
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypedDict

from torch import Tensor, nn

from sad_lightning.data.module import Batch
from sad_lightning.errors import InputError
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.part import Recipe, parts_of
from sad_lightning.methods.steps import Steps, Update
from sad_lightning.networks import Network

ANY_LABEL = frozenset({-1, 0, 1})
NO_ANOMALIES = frozenset({0, 1})  # for methods that do not use labels


class Shared(TypedDict):
    """The settings that every method has, as objects or as the plain data that a checkpoint holds.

    Attributes:
        network: what the encoder and the decoder are built from.
        optimizer: learning rate, its schedule and weight decay.
    """

    network: Network | Mapping[str, Any]
    optimizer: Adam | Mapping[str, Any]


class Method(Steps):
    """The class that every method inherits from.

    Args:
        network: see ``Shared``.
        optimizer: see ``Shared``.
        settings: the method's own. Each becomes an attribute of its name, and is stored in the checkpoint.

    Attributes:
        trains_on: the values of ``semi`` whose rows train it.
        needs_anomalies: whether it is not defined without known anomalies.
        scores_are_distances: whether scores are never below zero, so that they have a geometric mean.
        starts_pretrained: whether its encoder starts with the weights of a pretrained encoder, if the cell has one.
        noise: the shape of the standard normal noise that it needs for each row.
    """

    network: Network
    optimizer: Adam
    trains_on: ClassVar[frozenset[int]]
    needs_anomalies: ClassVar[bool] = False
    scores_are_distances: ClassVar[bool] = False
    starts_pretrained: bool = False
    noise: tuple[int, ...] = ()

    def __init__(
        self, *, network: Network | Mapping[str, Any], optimizer: Adam | Mapping[str, Any], **settings: Any
    ) -> None:
        super().__init__()
        for name in settings.keys() - inspect.signature(type(self).__init__).parameters.keys():
            raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument {name!r}")
        settings = {"network": Network.build(network), "optimizer": Adam.build(optimizer), **settings}
        for name, value in settings.items():
            setattr(self, name, value)
            settings[name] = value.recipe() if isinstance(value, Network | Recipe) else value
        self.save_hyperparameters(settings, logger=False)

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """The objective, averaged over the batch, a scalar."""

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """The anomaly score of each row of ``x``, ``(B,)`` float32, higher = more anomalous."""

    @property
    def updates(self) -> tuple[Update, ...]:
        """The kinds of optimiser step; the first passes over the training rows. By default one, on ``loss``."""
        return (Update(self.loss, self.watch),)

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Before training, let each part learn from the training rows. ``batches`` can be iterated several times."""
        for part in parts_of(self).values():
            part.prepare(batches)

    def solve(self, batch: Batch, outputs: Mapping[str, Tensor]) -> None:
        """After a step, let each part solve for what has no gradient, by what its forward returned in that step."""
        for name, output in outputs.items():
            parts_of(self)[name].solve(batch, output)

    def finish(self, batches: Iterable[Batch]) -> None:
        """After training, let each part compute from all training rows what training only estimated."""
        for part in parts_of(self).values():
            part.finish(batches)

    def watch(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars that show how training is going, on the last batch of an epoch, in eval mode: those of all parts.

        If two parts have a metric of one name, the second is called ``metric/part``.
        """
        metrics: dict[str, Tensor] = {}
        for name, part in parts_of(self).items():
            for metric, value in part.watch(batch).items():
                metrics[f"{metric}/{name}" if metric in metrics else metric] = value
        return metrics

    def get_encoder(self) -> nn.Module:
        """The module called ``encoder``: the method's own, or that of the first part that has one.

        Raises:
            InputError: the method has no encoder.
        """
        for module in (self, *parts_of(self).values()):
            for name, child in module.named_children():
                if name == "encoder":
                    return child
        raise InputError(f"method: {type(self).__name__} has no encoder; choose a method that has one")

    def start_from(self, pretrained: "Method") -> None:
        """Take over the weights, and BatchNorm's statistics, of the encoder of another method.

        Raises:
            InputError: one of the two has no encoder, or they differ in shape.
        """
        try:
            self.get_encoder().load_state_dict(pretrained.get_encoder().state_dict())
        except (InputError, RuntimeError) as error:
            raise InputError(
                f"pretrain: the encoder of {type(pretrained).__name__} must fit the one of {type(self).__name__}, "
                f"but it does not; choose another with pretrain=ae, vae or none"
            ) from error

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The scores of one batch."""
        return self.score(batch.x)

    def configure_optimizers(self) -> Any:
        """Adam in two phases."""
        return self.optimizer.configure(self.parameters())
