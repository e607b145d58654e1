from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sad_lightning.data.module import Balance, DataModule, Draw, StepBatches, Stream
from sad_lightning.data.preprocess import Scaling
from sad_lightning.training.population import PopulationBatches


def positions(batches: StepBatches, stream: int = 0) -> list[torch.Tensor]:
    return [draws[stream].positions for draws in batches if draws[stream] is not None]


def unlabeled(n: int, *, seed: int, noise: tuple[int, ...] = ()) -> StepBatches:
    return StepBatches(torch.zeros(n, dtype=torch.int8), (Stream(),), 10, noise, seed)


def test_batches_are_full_distinct_and_decided_by_seed_and_epoch_alone():
    batches = unlabeled(103, seed=7)
    assert len(batches) == 10
    first = torch.cat(positions(batches))
    assert len(first.unique()) == 100  # three rows sit this epoch out
    batches.set_epoch(1)
    second = torch.cat(positions(batches))
    assert not torch.equal(first, second)
    batches.set_epoch(0)
    assert torch.equal(first, torch.cat(positions(batches)))
    assert not torch.equal(first, torch.cat(positions(unlabeled(103, seed=8))))


def test_noise_is_standard_normal_and_decided_by_seed_and_epoch_alone():
    batches = unlabeled(1000, seed=7, noise=(5, 4))
    noise = torch.cat([draws[0].noise for draws in batches])
    assert noise.shape == (1000, 5, 4)
    assert abs(noise.mean()) < 0.03
    assert abs(noise.std() - 1) < 0.03
    assert torch.equal(noise, torch.cat([draws[0].noise for draws in batches]))
    batches.set_epoch(1)
    assert not torch.equal(noise, torch.cat([draws[0].noise for draws in batches]))
    assert torch.equal(torch.cat(positions(unlabeled(1000, seed=7))), torch.cat(positions(unlabeled(1000, seed=7))))


def test_a_second_stream_has_its_own_rows_interval_and_start():
    semi = torch.zeros(83, dtype=torch.int8)
    semi[40:43] = -1
    streams = (Stream(frozenset({0, 1})), Stream(frozenset({-1}), every=3, start=2))
    batches = StepBatches(semi, streams, 10, (), seed=0)
    assert len(batches) == 8
    assert positions(batches, stream=1) == []  # not before its first epoch
    batches.set_epoch(2)
    assert [draws[1] is not None for draws in batches] == [False, False, True, False, False, True, False, False]
    assert all(sorted(found.tolist()) == [40, 41, 42] for found in positions(batches, stream=1))  # all there are
    assert not set(torch.cat(positions(batches)).tolist()) & {40, 41, 42}
    nobody = StepBatches(torch.zeros(83, dtype=torch.int8), streams, 10, (), seed=0)
    nobody.set_epoch(2)
    assert positions(nobody, stream=1) == []


def balanced(count: int, *, mix: bool, known: int = 5) -> StepBatches:
    semi = torch.zeros(103, dtype=torch.int8)
    semi[:count] = -1
    return StepBatches(semi, (Stream(),), 10, (), 7, Balance(known, mix))


def test_a_balanced_batch_holds_known_anomalies_behind_the_others_however_few_there_are():
    batches = balanced(2, mix=False)
    assert (len(batches), batches.sizes) == (10, (15,))  # one pass over 101 others
    found = torch.stack(positions(batches))
    assert (found[:, :10] >= 2).all()
    assert len(found[:, :10].unique()) == 100
    assert set(found[:, 10:].flatten().tolist()) == {0, 1}
    assert all(draws[0].partners.numel() == draws[0].shares.numel() == 0 for draws in batches)
    again = torch.stack(positions(batches))
    assert torch.equal(found, again)
    batches.set_epoch(1)
    assert not torch.equal(found[:, 10:], torch.stack(positions(batches))[:, 10:])
    plain = StepBatches(torch.zeros(103, dtype=torch.int8), (Stream(),), 10, (), 7)
    without = balanced(0, mix=True)
    assert without.sizes == (10,)
    assert torch.equal(torch.stack(positions(without)), torch.stack(positions(plain)))


def test_known_anomalies_are_mixed_with_one_another_and_others_with_nothing():
    partners = torch.stack([draws[0].partners for draws in balanced(3, mix=True, known=400)])
    shares = torch.stack([draws[0].shares for draws in balanced(3, mix=True, known=400)])
    found = torch.stack(positions(balanced(3, mix=True, known=400)))
    assert torch.equal(partners[:, :10], found[:, :10])
    assert (shares[:, :10] == 1).all()
    assert set(partners[:, 10:].flatten().tolist()) == {0, 1, 2}
    assert 0.5 <= shares[:, 10:].min() < 0.51
    assert 0.99 < shares[:, 10:].max() <= 1
    assert abs(shares[:, 10:].mean() - 0.75) < 0.01
    x = np.array([[0, 0], [0, 4], [0, 0], [1, 1], [8, 0]], dtype=np.float32)
    data = module(x, Scaling(np.ones(2, np.float32), np.zeros(2, np.float32)))  # rows 4, 1 and 3 train
    data.trainer = SimpleNamespace(training=True, world_size=1, global_rank=0, current_epoch=0)
    draw = Draw(torch.tensor([2, 0]), torch.empty(2, 0), torch.tensor([2, 1]), torch.tensor([1.0, 0.75]))
    (batch,) = data.on_after_batch_transfer([draw], 0)
    assert batch.x.tolist() == [[1.0, 1.0], [6.0, 1.0]]


def module(x: np.ndarray, scaling: Scaling) -> DataModule:
    rows, semi = np.array([4, 1, 3]), np.array([0, -1, 1], dtype=np.int8)
    return DataModule(x, scaling, rows=rows, semi=semi, scored=np.array([0, 2]), batch_size=200, seed=0)


def test_images_are_gathered_scaled_and_channels_last():
    x = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3)).astype(np.uint8)
    data = module(x, Scaling(np.array([1 / 255], dtype=np.float32), np.zeros(1, dtype=np.float32)))
    batch = data.gather(torch.tensor([2, 0]))
    assert batch.x.shape == (2, 3, 4, 4)
    assert batch.x.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(batch.x, torch.from_numpy(x[[3, 4]]).float().permute(0, 3, 1, 2) / 255)
    assert batch.semi.tolist() == [1, 0]
    ((draw,),) = data.train_dataloader()
    assert len(draw.positions) == 3  # a set smaller than a batch is one batch


def test_columns_are_scaled_one_by_one():
    x = np.arange(10, dtype=np.float32).reshape(5, 2)
    data = module(x, Scaling(np.array([2, 0], dtype=np.float32), np.array([1, 0], dtype=np.float32)))
    assert data.samples(torch.tensor([1, 2])).tolist() == [[5, 0], [9, 0]]
    assert torch.cat([batch.x for batch in data.in_order(torch.device("cpu"))]).tolist() == [
        [17, 0],
        [5, 0],
        [13, 0],
    ]


def test_processes_share_a_global_batch_without_overlap():
    data = module(np.zeros((5, 2), dtype=np.float32), Scaling(np.ones(2, np.float32), np.zeros(2, np.float32)))
    shares, draw = [], Draw(torch.tensor([0, 1, 2]), torch.tensor([[0.0], [1.0], [2.0]]))
    for rank in range(2):
        data.trainer = SimpleNamespace(training=True, world_size=2, global_rank=rank, current_epoch=4)
        batch, absent = data.on_after_batch_transfer([draw, None], 0)
        shares.append((batch.semi.tolist(), batch.noise.flatten().tolist()))
        assert absent is None
        assert batch.epoch.item() == 4
    assert shares == [([0, 1], [0.0, 2.0]), ([-1], [1.0])]


@pytest.mark.parametrize("population", [False, True])
def test_an_epoch_that_is_set_after_iter_counts(population):
    """A Trainer that goes on from a saved state asks for the iterator before it says which epoch it is."""
    semi = torch.tensor([0] * 40 + [-1] * 8, dtype=torch.int8)
    streams = (Stream(frozenset({0})), Stream(frozenset({-1}), every=2, start=2))

    def batches() -> StepBatches | PopulationBatches:
        members = [StepBatches(semi, streams, 4, (2,), seed) for seed in (0, 1)]
        return PopulationBatches(members) if population else members[0]

    late, early = batches(), batches()
    iterator = iter(late)
    late.set_epoch(3)
    early.set_epoch(3)
    found, expected = list(iterator), list(early)
    assert sum(step[1] is not None for step in found) == 5
    for one, other in zip(found, expected, strict=True):
        for draw, same in zip(one, other, strict=True):
            assert (draw is None) == (same is None)
            assert draw is None or all(torch.equal(a, b) for a, b in zip(draw, same, strict=True))
