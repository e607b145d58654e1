"""How optimiser steps are taken, by a method alone and by a population of them.

A module trains by one or several kinds of step (``updates``). The first passes over the training rows once an epoch;
the others follow it on batches of their own, in eval mode: a batch of known anomalies alone has no statistics that
BatchNorm should learn, and may hold a single row. Where an update ``settles``, the first runs in eval mode too from the
epoch in which that update begins, on the statistics that BatchNorm has learned by then. What an update does not move
stays as it is to the last bit: its gradient is not zero but absent, so that no momentum and no weight decay of Adam
reaches it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from lightning import LightningModule
from torch import Tensor, nn

from sad_lightning.data.module import Batch, Stream


class Update(NamedTuple):
    """One kind of optimiser step.

    Attributes:
        loss: the method's function that is minimised; it also names the curve.
        stream: where its batches come from.
        moves: the parts it may move, by the beginning of their parameters' names.
        clip: the largest norm of the gradient of one method; None for any.
        watch: the method's function that tells, once an epoch, how training is doing.
        settles: whether BatchNorm keeps its statistics from where this update begins. In those of its own batches the
            first update does not see a shift of all channels, which is what another kind of batch asks for first.
    """

    loss: str = "loss"
    stream: Stream = Stream()
    moves: tuple[str, ...] = ("",)
    clip: float | None = None
    watch: str = "watch"
    settles: bool = False


class Steps(LightningModule, ABC):
    """What takes the steps of ``updates``, under manual optimisation: Lightning's own loop knows one kind of step.

    Attributes:
        updates: the kinds of step; the first has rows in every cell.
        stage: names the curves that are logged.
    """

    updates: tuple[Update, ...] = (Update(),)
    stage = "train"

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self._taking, self._last, self._settled = self.updates[0], False, False
        self._metrics: dict[str, list[Tensor]] = {}

    @abstractmethod
    def losses(self, update: Update, batch: Batch) -> Tensor:
        """What the update minimises: a scalar, or ``(K,)`` for K members."""

    @abstractmethod
    def watched(self, update: Update, batch: Batch) -> dict[str, Tensor]:
        """Metrics of one batch an epoch, by name: scalars, or ``(K,)``."""

    @abstractmethod
    def zeros(self, gradients: list[Tensor]) -> Tensor:
        """The share of the gradients that is exactly zero: a scalar, or ``(K,)``."""

    @abstractmethod
    def clip(self, gradients: list[Tensor], largest: float) -> None:
        """Scale the gradients of each method to a norm of at most ``largest``, in place."""

    def on_train_epoch_start(self) -> None:
        """Settle BatchNorm's statistics where an update that wants it begins."""
        sizes, epoch = self.trainer.train_dataloader.sizes, self.trainer.current_epoch  # type: ignore[union-attr]
        self._settled = any(
            update.settles and size > 0 and epoch >= update.stream.start
            for update, size in zip(self.updates, sizes, strict=True)
        )

    def training_step(self, batches: Sequence[Batch | None], batch_idx: int) -> None:
        """One step of each update whose turn it is."""
        steps = int(self.trainer.num_training_batches)
        for update, batch in zip(self.updates, batches, strict=True):
            if batch is not None:
                self._taking, self._last = update, batch_idx >= steps - update.stream.every
                with mode(self, training=update is self.updates[0] and not self._settled):
                    loss = self._take(update, batch)
                self._record({update.loss: loss})
                if self._last:
                    with mode(self, training=False), torch.no_grad():
                        self._record(self.watched(update, batch))

    def _take(self, update: Update, batch: Batch) -> Tensor:
        optimizer: Any = self.optimizers()
        taken: list[Tensor] = []

        def closure() -> Tensor:
            optimizer.zero_grad()
            losses = self.losses(update, batch)
            self.manual_backward(losses.sum())  # the gradient of one member's loss meets no other member
            taken.append(losses.detach())
            return taken[-1].sum()

        optimizer.step(closure)
        return taken[-1]

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip, and once an epoch count the gradients that are exactly zero."""
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        if self._last:
            name = "zero_gradient" if self._taking is self.updates[0] else f"{self._taking.loss}_zero_gradient"
            self._record({name: self.zeros(gradients)})
        if self._taking.clip is not None:
            self.clip(gradients, self._taking.clip)

    def on_train_epoch_end(self) -> None:
        """Advance the schedule of the learning rate."""
        schedule: Any = self.lr_schedulers()
        schedule.step()

    def _record(self, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            self._metrics.setdefault(name, []).append(value.detach().reshape(-1))

    def epoch_means(self) -> list[dict[str, float]]:
        """The metrics of each member since the last call, by name: means over steps and processes."""
        means = {name: torch.stack(values).float().mean(dim=0) for name, values in self._metrics.items()}
        self._metrics = {}
        if not means:
            return []
        reduced = self.trainer.strategy.reduce(torch.stack(list(means.values())), reduce_op="mean")
        assert isinstance(reduced, Tensor)  # a tensor is reduced to a tensor
        return [dict(zip(means, values, strict=True)) for values in reduced.T.tolist()]


@contextmanager
def mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    """The module in training or eval mode within the block, and in the mode it had after it."""
    before = module.training
    if training != before:
        module.train(training)
    try:
        yield
    finally:
        if training != before:
            module.train(before)
