"""The LightningDataModule of all cells: rows stay on the device, and a loader yields only indices.

The rows move to the device once, as they are stored (a byte for each value of an image). A loader yields indices, and
``on_after_batch_transfer`` gathers and scales their rows on the device, without Python code for each sample, without
worker processes and without copying each batch to the device.

Training uses full batches and drops the remaining rows of an epoch, other rows each time, as the papers' code does; a
set smaller than a batch is one batch. So every step has the same shape, and BatchNorm never meets a single row. The
center, thresholds and scores see every row.

A batch also holds what else a step needs: standard normal noise, drawn from a generator that is seeded by the data's
seed and the epoch, and the epoch itself. So a method draws no random numbers of its own, and a step that it takes alone
equals its step in a population.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor

from sad_lightning.data.preparation import to_network
from sad_lightning.data.preprocess import Scaling
from sad_lightning.seeding import derive

_SCORE_BATCH = 1000


class Batch(NamedTuple):
    """What training sees of some rows. There is no ``y``.

    Attributes:
        x: ``(B, ...)`` float32.
        semi: ``(B,)`` int8.
        noise: ``(B, *noise)`` standard normal, of the shape that ``Method.noise`` names; empty for most methods.
        epoch: how many epochs have passed, a float32 scalar.
    """

    x: Tensor
    semi: Tensor
    noise: Tensor = torch.empty(0)
    epoch: Tensor = torch.tensor(0.0)


class Stream(NamedTuple):
    """Where the batches of one kind of optimiser step come from. An epoch is one pass over the first stream.

    Attributes:
        trains_on: the values of ``semi`` whose rows it draws; None for all rows that train.
        every: how many batches of the first stream come before each batch of this one.
        start: the first epoch, from 0, in which this stream has batches.
    """

    trains_on: frozenset[int] | None = None
    every: int = 1
    start: int = 0


class Balance(NamedTuple):
    """How many known anomalies a batch of the first stream holds, however few there are.

    Attributes:
        known_anomalies: drawn with replacement beside the other rows of a batch; 0 draws every row once an epoch.
        mix: whether each is replaced by ``l x + (1 - l) x'``, with another known anomaly x' and l uniform in [0.5, 1].
    """

    known_anomalies: int = 0
    mix: bool = False


NO_BALANCE = Balance()


class Draw(NamedTuple):
    """One batch as positions among the training rows, before their samples are gathered.

    Attributes:
        positions: ``(B,)``.
        noise: ``(B, *noise)``.
        partners: ``(B,)`` positions of the rows that these are mixed with; ``(0,)`` where none are mixed.
        shares: ``(B,)`` in [0.5, 1], the weight of the row itself in the mixture; ``(0,)`` where none are mixed.
    """

    positions: Tensor
    noise: Tensor
    partners: Tensor = torch.empty(0, dtype=torch.int64)
    shares: Tensor = torch.empty(0)


class Rows:
    """Every row of a data set, copied once to each device that asks, however many cells train on it.

    Args:
        x: ``(N, H, W, C)`` uint8 or ``(N, D)`` float32.

    Attributes:
        content: a digest of what ``renew`` reads; empty for nothing.
    """

    content = ""

    def __init__(self, x: NDArray[np.uint8] | NDArray[np.float32]) -> None:
        self._copies = {torch.device("cpu"): torch.from_numpy(x)}

    def on(self, device: torch.device) -> Tensor:
        """The rows on ``device``."""
        if device not in self._copies:
            self._copies[device] = self._copies[torch.device("cpu")].to(device)
        return self._copies[device]

    def renew(self, epoch: int | None) -> None:
        """Nothing: all rows are in memory."""


class RenewedRows(Rows):
    """Rows of which some are others in each epoch, read from files.

    Args:
        x: the rows outside of training.
        places: ``(n,)`` which of them are replaced.
        read: returns the rows of an epoch, at most n; if they are fewer, the last places keep theirs.
        content: a digest of what is read.
    """

    def __init__(
        self,
        x: NDArray[np.float32],
        places: NDArray[np.int64],
        read: Callable[[int], NDArray[np.float32]],
        content: str,
    ) -> None:
        super().__init__(x.copy())
        self.content = content
        self._places, self._before, self._read = torch.from_numpy(places), torch.from_numpy(x[places]), read
        self._epoch: int | None = None

    def renew(self, epoch: int | None) -> None:
        """Put the rows of an epoch in their places; None puts back those from outside of training."""
        if epoch == self._epoch:
            return
        rows = self._before
        if epoch is not None:
            new = torch.from_numpy(self._read(epoch))
            rows = torch.cat([new, rows[len(new) :]])
        for device, copy in self._copies.items():
            copy[self._places.to(device)] = rows.to(device)
        self._epoch = epoch


class DataModule(LightningDataModule):
    """Serves the training and scored rows of one cell.

    Args:
        x: every row of the data set, shared, not copied: ``(N, H, W, C)`` uint8 or ``(N, D)`` float32, or ``Rows``
            where several cells train on it.
        scaling: of the raw rows.
        rows: ``(n,)`` rows that train.
        semi: ``(n,)`` their labels.
        scored: rows that ``predict`` scores, in this order.
        batch_size: rows in a training batch.
        seed: determines the order of the rows and the noise of every epoch.
        streams: where the batches of each kind of step come from.
        noise: the shape of the noise that comes with each row; empty for none.
        balance: how many known anomalies a batch holds.
    """

    def __init__(
        self,
        x: NDArray[np.uint8] | NDArray[np.float32] | Rows,
        scaling: Scaling,
        *,
        rows: NDArray[np.int64],
        semi: NDArray[np.int8],
        scored: NDArray[np.int64],
        batch_size: int,
        seed: int,
        streams: Sequence[Stream] = (Stream(),),
        noise: Sequence[int] = (),
        balance: Balance = NO_BALANCE,
    ) -> None:
        super().__init__()
        self.all_rows = x if isinstance(x, Rows) else Rows(x)
        self.x = self.all_rows.on(torch.device("cpu"))
        self.scale, self.shift = torch.from_numpy(scaling.scale), torch.from_numpy(scaling.shift)
        self.fill = None if scaling.fill is None else torch.from_numpy(scaling.fill)
        self.contrast = scaling.contrast
        self.rows, self.semi = torch.from_numpy(rows), torch.from_numpy(semi)
        self.scored = torch.from_numpy(scored)
        self.batch_size, self.seed = batch_size, seed
        self.streams, self.noise, self.balance = tuple(streams), tuple(noise), balance

    def train_dataloader(self) -> "StepBatches":
        """The draws of every step, in a new order each epoch."""
        return StepBatches(self.semi.cpu(), self.streams, self.batch_size, self.noise, self.seed, self.balance)

    @property
    def step_sizes(self) -> tuple[int, ...]:
        """How many steps an epoch has, then how many rows a batch of each stream; equal for members of a population."""
        batches = self.train_dataloader()
        return len(batches), *batches.sizes

    def predict_dataloader(self) -> "RowBatches":
        """Rows to score, in order."""
        return RowBatches(self.scored)

    def teardown(self, stage: str) -> None:
        """Put the rows back that training has replaced."""
        self.all_rows.renew(None)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Turn draws into batches, and rows to score into samples, on the device."""
        if self.trainer is None or not self.trainer.training:
            return Batch(self.samples(batch), torch.zeros_like(batch, dtype=torch.int8))
        self.all_rows.renew(self.trainer.current_epoch)
        rank, world = self.trainer.global_rank, self.trainer.world_size
        epoch = torch.tensor(float(self.trainer.current_epoch))
        batches: list[Batch | None] = []
        for draw in batch:
            if draw is not None and world > 1 and len(draw.positions) >= world:
                draw = Draw(*(part[rank::world] for part in draw))  # all processes draw the same batch and share it
            if draw is not None:
                gathered = self.gather(draw.positions)
                x = gathered.x
                if draw.partners.numel():  # a share of 1 leaves a row as it is, to the last bit
                    shares = draw.shares.view(*draw.shares.shape, *(1,) * (x.ndim - draw.shares.ndim))
                    x = torch.lerp(self.gather(draw.partners).x, x, shares)
                draw = gathered._replace(x=x, noise=draw.noise, epoch=epoch.to(draw.noise.device))
            batches.append(draw)
        return batches

    def gather(self, positions: Tensor) -> Batch:
        """The training samples at ``positions``, ``(B,)`` into ``rows``, with their labels."""
        self._move(positions.device)
        return Batch(self.samples(self.rows[positions]), self.semi[positions])

    def samples(self, rows: Tensor) -> Tensor:
        """The scaled samples of ``rows``, ``(B, C, H, W)`` or ``(B, D)`` float32."""
        self._move(rows.device)
        image = self.x.ndim == 4
        return to_network(self.x[rows], self.scale, self.shift, self.fill, image=image, contrast=self.contrast)

    def in_order(self, device: torch.device) -> "RowsInOrder":
        """Every training row once, in order, on ``device``."""
        return RowsInOrder(self, device)

    def _move(self, device: torch.device) -> None:
        if self.x.device != device:
            self.x = self.all_rows.on(device)
            for name in ("scale", "shift", "rows", "semi"):
                setattr(self, name, getattr(self, name).to(device))
            self.fill = None if self.fill is None else self.fill.to(device)


class RowsInOrder:
    """Every training row once, in order, in batches on a device; can be iterated over again."""

    def __init__(self, data: DataModule, device: torch.device) -> None:
        self.data, self.device = data, device

    def __iter__(self) -> Iterator[Batch]:
        positions = torch.arange(len(self.data.rows), device=self.device)
        return map(self.data.gather, torch.split(positions, _SCORE_BATCH))


class StepBatches:
    """The draws of each step: one of the first stream, and one of every other stream that is due in it, else None.

    Order and noise depend on the seed and the epoch only, so that a run that resumes at an epoch draws the same batches
    as a run that was not interrupted.

    Args:
        semi: ``(n,)`` labels of the rows that train.
        streams: where batches come from.
        batch_size: rows in a batch; a stream of fewer rows is one batch.
        noise: the shape of the noise of a row.
        seed: of the order and the noise.
        balance: how many known anomalies a batch of the first stream holds.
    """

    def __init__(
        self,
        semi: Tensor,
        streams: Sequence[Stream],
        batch_size: int,
        noise: Sequence[int],
        seed: int,
        balance: Balance = NO_BALANCE,
    ) -> None:
        allowed = [semi.new_tensor(sorted({-1, 0, 1} if s.trains_on is None else s.trains_on)) for s in streams]
        self.positions = [torch.isin(semi, values).nonzero().squeeze(1) for values in allowed]
        anomalous = semi[self.positions[0]] == -1
        self.balance = balance if anomalous.any() and not anomalous.all() else NO_BALANCE
        self.known = self.positions[0][anomalous]
        if self.balance.known_anomalies:  # then an epoch is one pass over the others
            self.positions[0] = self.positions[0][~anomalous]
        self.pass_sizes = [min(batch_size, len(positions)) for positions in self.positions]
        self.sizes = (self.pass_sizes[0] + self.balance.known_anomalies, *self.pass_sizes[1:])
        self.streams, self.noise, self.seed = streams, tuple(noise), seed
        self.epoch = 0
        self.sampler = self  # where Lightning looks for set_epoch

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.positions[0]) // self.pass_sizes[0] if self.pass_sizes[0] else 0

    def __iter__(self) -> Iterator[tuple[Draw | None, ...]]:
        # `yield`, for a generator begins at the first next(), after Lightning has set the epoch; on a restart Lightning
        # calls iter() before that.
        yield from in_turn(self, [self._draws(number) for number in range(len(self.streams))])

    def _draws(self, number: int) -> Iterator[Draw]:
        order = self.order(number)
        return map(Draw, order, self.noises(number), *self.partners(number, order))

    def order(self, number: int) -> Tensor:
        """The positions of all batches of one stream in this epoch, ``(steps, B)``: shuffled anew after every pass.

        In a balanced stream the known anomalies, drawn with replacement, come behind the others.
        """
        order = self._passes(number)
        if number or not self.balance.known_anomalies:
            return order
        return torch.cat([order, self._draw_known(len(order), "known")], dim=1)

    def partners(self, number: int, order: Tensor) -> tuple[Tensor, Tensor]:
        """The partners and shares of the rows of ``order``, ``(steps, B)`` each; ``(steps, 0)`` where none is mixed."""
        partners, shares = order, torch.ones(order.shape)
        if number or not (self.balance.known_anomalies and self.balance.mix):
            return partners[:, :0], shares[:, :0]
        known = self.balance.known_anomalies
        generator = torch.Generator().manual_seed(derive(self.seed, "shares", self.epoch))
        shares[:, -known:] = 0.5 + 0.5 * torch.rand(len(order), known, generator=generator)
        return torch.cat([order[:, :-known], self._draw_known(len(order), "partners")], dim=1), shares

    def _draw_known(self, steps: int, stage: str) -> Tensor:
        """Positions of known anomalies, drawn with replacement, ``(steps, known_anomalies)``."""
        generator = torch.Generator().manual_seed(derive(self.seed, stage, self.epoch))
        return self.known[torch.randint(len(self.known), (steps, self.balance.known_anomalies), generator=generator)]

    def _passes(self, number: int) -> Tensor:
        positions, size, stream = self.positions[number], self.pass_sizes[number], self.streams[number]
        steps = len(self) // stream.every if size and self.epoch >= stream.start else 0
        stage = ("order", self.epoch) if number == 0 else ("order", self.epoch, number)
        generator = torch.Generator().manual_seed(derive(self.seed, *stage))
        parts = [positions.new_empty(0, size)]
        while (missing := steps - sum(map(len, parts))) > 0:
            shuffled = positions[torch.randperm(len(positions), generator=generator)]
            parts.append(shuffled[: len(shuffled) // size * size].view(-1, size)[:missing])
        return torch.cat(parts)

    def noises(self, number: int) -> Iterator[Tensor]:
        """The noise of each batch of one stream in this epoch, ``(B, *noise)``, without end."""
        generator = torch.Generator().manual_seed(derive(self.seed, "noise", self.epoch, number))
        size = self.sizes[number]
        while True:
            yield torch.randn(size, *self.noise, generator=generator) if self.noise else torch.empty(size, 0)


def in_turn(batches: StepBatches, draws: Sequence[Iterator[Draw]]) -> Iterator[tuple[Draw | None, ...]]:
    """The draws of each step of an epoch: a stream has one in every ``stream.every``-th step, None in the others."""
    for step in range(1, len(batches) + 1):
        yield tuple(
            next(stream_draws, None) if step % stream.every == 0 else None
            for stream, stream_draws in zip(batches.streams, draws, strict=True)
        )


class RowBatches:
    """Batches of rows, in order, ``(<= 1000,)`` int64 each. Lightning would take a plain list for several loaders."""

    def __init__(self, rows: Tensor) -> None:
        self.batches = torch.split(rows, _SCORE_BATCH)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.batches)
