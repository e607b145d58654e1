"""How optimiser steps are taken, by a method that trains alone and by a population of methods.

A method trains by one or several kinds of step (``updates``). The first kind passes over the training rows once an
epoch, in training mode. The others follow it on batches of their own, in eval mode: a batch of known anomalies alone
has no statistics that BatchNorm should learn, and may hold a single row. A parameter that an update does not move gets
no gradient, rather than a gradient of zero, so that Adam's momentum and weight decay do not move it either.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from lightning import LightningModule
from torch import Tensor, nn

from sad_lightning.data.module import Batch, Stream
from sad_lightning.methods.part import Part, parts_of


class Update(NamedTuple):
    """One kind of optimiser step.

    Attributes:
        loss: the function to minimise, which returns a scalar.
        watch: returns scalars that show how training is going; called once an epoch.
        stream: where its batches come from.
        moves: the modules whose parameters it moves; None for all.
        clip: the largest norm of the gradient; None for any.
        settles: whether BatchNorm stops learning its statistics in the epoch in which this update begins; from then on
            the first update runs in eval mode too. Normalised by the statistics of its own batches, the first update
            would not notice that other updates shift all values of a channel.
    """

    loss: Callable[[Batch], Tensor]
    watch: Callable[[Batch], dict[str, Tensor]]
    stream: Stream = Stream()
    moves: tuple[nn.Module, ...] | None = None
    clip: float | None = None
    settles: bool = False

    @property
    def curve(self) -> str:
        """The name of the curve of the loss, that of the function; a value that is not finite is an error."""
        name = self.loss.__name__
        return name if name.endswith("loss") else f"{name}_loss"

    def unmoved(self, module: nn.Module) -> set[str]:
        """The names of the parameters of ``module`` that this update does not move."""
        if self.moves is None:
            return set()
        moves = {id(parameter) for part in self.moves for parameter in part.parameters()}
        return {name for name, parameter in module.named_parameters() if id(parameter) not in moves}


class Steps(LightningModule, ABC):
    """Takes the steps of ``updates`` under manual optimisation, since Lightning's own loop has one kind of step.

    The functions here are for one method; a ``Population`` of K methods overrides them.

    Attributes:
        stage: the name of the stage, under which curves are logged.
    """

    stage = "train"

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self._number = 0  # of the update whose step is taken
        self._last = False  # whether this is its last step in the epoch
        self._settled = False  # whether BatchNorm no longer learns its statistics
        self._metrics: dict[str, list[Tensor]] = {}
        self._losses: list[Tensor] = []  # of the epoch whose metrics were asked for last

    @property
    @abstractmethod
    def updates(self) -> tuple[Update, ...]:
        """The kinds of optimiser step; the first passes over the training rows."""

    @abstractmethod
    def solve(self, batch: Batch, outputs: Mapping[str, Tensor]) -> None:
        """Solve for what has no gradient, after a step on ``batch``, from the outputs that ``losses`` returned."""

    def losses(self, update: Update, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one update, a scalar or ``(K,)``, and the outputs of ``loss_and_outputs``."""
        unmoved = [self.get_parameter(name) for name in update.unmoved(self)]
        frozen = [parameter for parameter in unmoved if parameter.requires_grad]
        for parameter in frozen:
            parameter.requires_grad_(False)
        loss = loss_and_outputs(self, update, batch)
        for parameter in frozen:
            parameter.requires_grad_(True)
        return loss

    def metrics_of(self, update: Update, batch: Batch) -> dict[str, Tensor]:
        """The metrics of an update on one batch, by name: scalars, or ``(K,)``."""
        return update.watch(batch)

    def zero_share(self, gradients: list[Tensor]) -> Tensor:
        """The share of the gradients that is exactly zero: a scalar, or ``(K,)``."""
        zeros = torch.stack([(gradient == 0).sum() for gradient in gradients]).sum()
        return zeros / sum(gradient.numel() for gradient in gradients)

    def clip(self, gradients: list[Tensor], largest: float) -> None:
        """Scale the gradients of each method to a joint norm of at most ``largest``, in place."""
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        for gradient in gradients:
            gradient.mul_((largest / (norm + 1e-6)).clamp(max=1.0))

    def on_train_epoch_start(self) -> None:
        """Freeze BatchNorm's statistics from the epoch on in which an update that ``settles`` begins."""
        sizes, epoch = self.trainer.train_dataloader.sizes, self.trainer.current_epoch  # type: ignore[union-attr]
        self._settled = any(
            update.settles and size > 0 and epoch >= update.stream.start
            for update, size in zip(self.updates, sizes, strict=True)
        )

    def training_step(self, batches: Sequence[Batch | None], batch_idx: int) -> None:
        """One step of each update that has a batch."""
        steps = int(self.trainer.num_training_batches)
        for number, (update, batch) in enumerate(zip(self.updates, batches, strict=True)):
            if batch is not None:
                self._number, self._last = number, batch_idx >= steps - update.stream.every
                with mode(self, training=number == 0 and not self._settled):
                    loss = self._take_step(update, batch)
                self._record({update.curve: loss})
                if self._last:
                    with mode(self, training=False), torch.no_grad():
                        self._record(self.metrics_of(update, batch))

    def _take_step(self, update: Update, batch: Batch) -> Tensor:
        first, *others = self._optimizers()
        share = self._share(len(batch.semi))
        results: list[tuple[Tensor, dict[str, Tensor]]] = []

        def closure() -> Tensor:
            for optimizer in (first, *others):
                optimizer.zero_grad()
            losses, outputs = self.losses(update, batch)
            losses = losses * share
            self.manual_backward(losses.sum())  # the loss of one member has no gradient in another
            results.append((losses.detach(), outputs))
            return results[-1][0].sum()

        first.step(closure)
        for optimizer in others:  # a method of one's own may have several, for parts of its parameters
            optimizer.step()
        losses, outputs = results[-1]
        if self._number == 0:
            with torch.no_grad():
                self.solve(batch, outputs)
        return losses

    def _share(self, rows: int) -> float:
        """What ``rows`` weigh in a batch of which each process has a part: 1 where all parts are equal."""
        world = self.trainer.world_size
        size = self.trainer.train_dataloader.sizes[self._number] if world > 1 else rows  # type: ignore[union-attr]
        return rows * world / size if size >= world else 1.0

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip the gradients, and once an epoch record the share that is exactly zero."""
        update = self.updates[self._number]
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        if self._last:
            name = f"{update.curve}_zero_gradient" if self._number else "zero_gradient"
            self._record({name: self.zero_share(gradients)})
        if update.clip is not None:
            self.clip(gradients, update.clip)

    def on_train_epoch_end(self) -> None:
        """Advance the schedules of learning rates; one that waits for a plateau looks at the mean loss of the epoch."""
        schedules: Any = self.lr_schedulers()
        for schedule in schedules if isinstance(schedules, list) else [schedules]:
            if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
                loss = torch.stack(self._metrics.get(self.updates[0].curve) or self._losses).mean()
                schedule.step(self.trainer.strategy.reduce(loss, reduce_op="mean"))
            elif schedule is not None:
                schedule.step()

    def _optimizers(self) -> list[Any]:
        optimizers: Any = self.optimizers()
        return optimizers if isinstance(optimizers, list) else [optimizers]

    def _record(self, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            self._metrics.setdefault(name, []).append(value.detach().reshape(-1))

    def epoch_means(self) -> list[dict[str, float]]:
        """The metrics of each member, by name: means over the steps since the last call, and over processes."""
        means = {name: torch.stack(values).float().mean(dim=0) for name, values in self._metrics.items()}
        self._losses, self._metrics = self._metrics.get(self.updates[0].curve, []), {}
        if not means:
            return []
        reduced = self.trainer.strategy.reduce(torch.stack(list(means.values())), reduce_op="mean")
        assert isinstance(reduced, Tensor)  # for mypy: reduce() returns what it is passed
        return [dict(zip(means, values, strict=True)) for values in reduced.T.tolist()]


def loss_and_outputs(module: nn.Module, update: Update, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of one update of ``module``, and the forward's output of each part that has a ``solve``, by its name."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda part, arguments, output: outputs.update({name: output.detach()})

    with ExitStack() as hooks:
        for name, part in parts_of(module).items():
            if type(part).solve is not Part.solve:
                hooks.enter_context(part.register_forward_hook(keep(name)))
        return update.loss(batch), outputs


@contextmanager
def mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    """Put the module in training or eval mode within the block, and back in its former mode after it."""
    before = module.training
    if training != before:
        module.train(training)
    try:
        yield
    finally:
        if training != before:
            module.train(before)
