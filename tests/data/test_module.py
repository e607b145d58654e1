from types import SimpleNamespace

import numpy as np
import torch

from sad_lightning.data.module import DataModule, IndexBatches
from sad_lightning.data.preprocess import Affine


def test_batches_are_full_distinct_and_decided_by_seed_and_epoch_alone():
    batches = IndexBatches(103, 10, seed=7)
    assert len(batches) == 10
    first = torch.cat(list(batches))
    assert len(first.unique()) == 100  # three rows sit this epoch out
    batches.set_epoch(1)
    second = torch.cat(list(batches))
    assert not torch.equal(first, second)
    batches.set_epoch(0)
    assert torch.equal(first, torch.cat(list(batches)))
    assert not torch.equal(first, torch.cat(list(IndexBatches(103, 10, seed=8))))


def module(x: np.ndarray, affine: Affine) -> DataModule:
    rows, semi = np.array([4, 1, 3]), np.array([0, -1, 1], dtype=np.int8)
    return DataModule(x, affine, rows=rows, semi=semi, scored=np.array([0, 2]), batch_size=200, seed=0)


def test_images_are_gathered_scaled_and_channels_last():
    x = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3)).astype(np.uint8)
    data = module(x, Affine(np.array([1 / 255], dtype=np.float32), np.zeros(1, dtype=np.float32)))
    batch = data.gather(torch.tensor([2, 0]))
    assert batch.x.shape == (2, 3, 4, 4)
    assert batch.x.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(batch.x, torch.from_numpy(x[[3, 4]]).float().permute(0, 3, 1, 2) / 255)
    assert batch.semi.tolist() == [1, 0]
    assert data.batch_size == 3  # a set smaller than a batch is one batch


def test_columns_are_scaled_one_by_one():
    x = np.arange(10, dtype=np.float32).reshape(5, 2)
    data = module(x, Affine(np.array([2, 0], dtype=np.float32), np.array([1, 0], dtype=np.float32)))
    assert data.samples(torch.tensor([1, 2])).tolist() == [[5, 0], [9, 0]]
    assert torch.cat([batch.x for batch in data.sweep(torch.device("cpu"))]).tolist() == [
        [17, 0],
        [5, 0],
        [13, 0],
    ]


def test_processes_share_a_global_batch_without_overlap():
    data = module(np.zeros((5, 2), dtype=np.float32), Affine(np.ones(2, np.float32), np.zeros(2, np.float32)))
    shares = []
    for rank in range(2):
        data.trainer = SimpleNamespace(training=True, world_size=2, global_rank=rank)
        shares.append(data.on_after_batch_transfer(torch.tensor([0, 1, 2]), 0).semi.tolist())
    assert shares == [[0, 1], [-1]]
