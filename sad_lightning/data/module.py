"""The one LightningDataModule: data that lives on the device, batches that are nothing but indices.

The rows move to the device once, as they are stored (a byte a pixel). A loader yields indices, and
``on_after_batch_transfer`` gathers and scales them there: no Python a sample, no worker, no copy a batch.

Training uses full batches and drops what is left over, whose rows differ each epoch, as the papers' code does; a set
smaller than a batch is one batch. So every step has the same shape, and BatchNorm never meets a single row. The
center, thresholds and scores see every row.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor

from sad_lightning.data.preprocess import Affine
from sad_lightning.seeding import derive

_SCORE_BATCH = 1000


class Batch(NamedTuple):
    """What training sees: ``x`` ``(B, ...)`` float32 and ``semi`` ``(B,)`` int8. There is no ``y``."""

    x: Tensor
    semi: Tensor


class DataModule(LightningDataModule):
    """Serves the training and scored rows of one cell.

    Args:
        x: every row of the data set, ``(N, H, W, C)`` uint8 or ``(N, D)`` float32; shared, not copied.
        affine: the scaling.
        rows: ``(n,)`` rows that train.
        semi: ``(n,)`` their labels.
        scored: rows that ``predict`` scores, in this order.
        batch_size: rows a step.
        seed: decides the order of the rows, epoch by epoch.
    """

    def __init__(
        self,
        x: NDArray[np.uint8] | NDArray[np.float32],
        affine: Affine,
        *,
        rows: NDArray[np.int64],
        semi: NDArray[np.int8],
        scored: NDArray[np.int64],
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.x = torch.from_numpy(x)
        self.scale, self.shift = (torch.from_numpy(part) for part in affine)
        self.rows, self.semi = torch.from_numpy(rows), torch.from_numpy(semi)
        self.scored = torch.from_numpy(scored)
        self.batch_size = min(batch_size, len(rows))
        self.seed = seed

    def train_dataloader(self) -> "IndexBatches":
        """Batches of positions in ``rows``, in a new order each epoch."""
        return IndexBatches(len(self.rows), self.batch_size, self.seed)

    def predict_dataloader(self) -> "RowBatches":
        """Rows to score, in order."""
        return RowBatches(self.scored)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:
        """Turn indices into samples, on the device."""
        if self.trainer is not None and self.trainer.training:
            if self.trainer.world_size > 1:  # every process draws the same global batch and takes its share of it
                batch = batch[self.trainer.global_rank :: self.trainer.world_size]
            return self.gather(batch)
        return Batch(self.samples(batch), torch.zeros_like(batch, dtype=torch.int8))

    def gather(self, positions: Tensor) -> Batch:
        """The training samples at ``positions``, ``(B,)`` into ``rows``, with their labels."""
        self._move(positions.device)
        return Batch(self.samples(self.rows[positions]), self.semi[positions])

    def samples(self, rows: Tensor) -> Tensor:
        """The scaled samples of ``rows``, ``(B, C, H, W)`` or ``(B, D)`` float32."""
        self._move(rows.device)
        x = self.x[rows].float() * self.scale + self.shift
        return x.movedim(-1, -3) if self.x.ndim == 4 else x  # stored channels last, so this is channels_last for free

    def sweep(self, device: torch.device) -> Iterator[Batch]:
        """Every training row once, in order, on ``device``."""
        for positions in torch.split(torch.arange(len(self.rows), device=device), _SCORE_BATCH):
            yield self.gather(positions)

    def _move(self, device: torch.device) -> None:
        if self.x.device != device:
            for name in ("x", "scale", "shift", "rows", "semi"):
                setattr(self, name, getattr(self, name).to(device))


class IndexBatches:
    """Full batches of positions 0..n-1, ``(batch_size,)`` int64, shuffled by a generator of seed and epoch alone.

    Nothing is carried from epoch to epoch, so a run resumed at epoch e draws what the unbroken run drew.
    """

    def __init__(self, n: int, batch_size: int, seed: int) -> None:
        self.n, self.batch_size, self.seed = n, batch_size, seed
        self.epoch = 0
        self.sampler = self  # where Lightning looks for set_epoch

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n // self.batch_size

    def __iter__(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(derive(self.seed, "order", self.epoch))
        order = torch.randperm(self.n, generator=generator)
        yield from torch.split(order[: len(self) * self.batch_size], self.batch_size)


class RowBatches:
    """Rows in the order given, ``(<= 1000,)`` int64 at a time; a plain list would mean several loaders to Lightning."""

    def __init__(self, rows: Tensor) -> None:
        self.batches = torch.split(rows, _SCORE_BATCH)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.batches)
