"""The layout of spectrograms, and the synthetic ones that stand in for measurements."""

import numpy as np
import pytest

from sad_lightning.cell.key import cell_key
from sad_lightning.cell.loading import load
from sad_lightning.cell.run import run_cell
from sad_lightning.cell.values import Cell
from sad_lightning.config.compose import composed
from sad_lightning.data import synthetic_spectrograms
from sad_lightning.data.sets.spectrum import CLASSES, SHAPE, spectrograms
from sad_lightning.errors import InputError


@pytest.fixture(scope="module")
def synthetic():
    return synthetic_spectrograms(seed=0, rows=20)


def test_synthetic_bursts_are_what_they_are_called(synthetic):
    x = synthetic.x[..., 0].astype(float)
    kinds = {name: x[synthetic.target_class == i] for i, name in enumerate(CLASSES)}
    mean = {name: some.mean() for name, some in kinds.items()}
    assert mean["WB-los"] > mean["WB-nlos"] + 20 > mean["normal"] + 30  # most subcarriers, the whole time
    assert abs(mean["NB-10ms"] - mean["normal"]) < 10
    # the loudest subcarrier of a narrowband burst is on for 10 steps or 5 in each 25
    loud = {name: (some > 100).sum(axis=1).max(axis=1).mean() for name, some in kinds.items()}
    assert loud["NB-10ms"] == pytest.approx(50, abs=15)
    assert loud["NB-5ms"] == pytest.approx(30, abs=15)
    again = synthetic_spectrograms(seed=0, rows=20)
    assert np.array_equal(again.x, synthetic.x)
    assert not np.array_equal(synthetic_spectrograms(seed=1, rows=20).x, synthetic.x)


def test_a_file_of_the_layout_is_read(synthetic, tmp_path):
    x, y = synthetic.x[..., 0], synthetic.target_class.astype(np.uint8)
    for kind in (np.uint8, np.float64):
        np.savez(tmp_path / "spectrograms.npz", x=x.astype(kind), y=y)
        arrays = spectrograms(str(tmp_path))
        assert arrays.x.dtype == (np.uint8 if kind is np.uint8 else np.float32)
        assert np.array_equal(arrays.x, synthetic.x)
        assert np.array_equal(arrays.target_class, synthetic.target_class)
        assert (arrays.shape, arrays.classes, arrays.n_train) == ((1, *SHAPE), CLASSES, None)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.zeros((2, 128, 125), np.uint8), [0, 1], "x must be"),
        (np.zeros((2, *SHAPE), np.uint8), [0], "x must be"),
        (np.zeros((2, *SHAPE), np.int64), [0, 1], "x must be uint8 or floating point"),
        (np.full((2, *SHAPE), np.nan), [0, 1], "x must hold finite numbers"),
        (np.zeros((2, *SHAPE), np.uint8), [0, 5], "y must be the numbers 0 to 4"),
        (np.zeros((2, *SHAPE), np.uint8), [0.0, 1.0], "y must be the numbers 0 to 4"),
    ],
)
def test_another_layout_is_refused_in_one_line(x, y, words, tmp_path):
    np.savez(tmp_path / "spectrograms.npz", x=x, y=np.array(y))
    with pytest.raises(InputError, match=words) as raised:
        spectrograms(str(tmp_path))
    assert "\n" not in str(raised.value)


def test_a_missing_file_says_that_the_set_is_not_public(tmp_path):
    with pytest.raises(InputError, match="is not public"):
        spectrograms(str(tmp_path))


def test_the_lstm_learns_from_synthetic_spectrograms(settings, tmp_path):
    """Deep SAD that knows one narrowband burst, with the three LSTMs, ends with finite scores that differ."""
    cfg = settings(
        "data=synthetic_spectrograms", "data.rows=24", "trainer.max_epochs=2", "optimizer.milestones=[1]",
        "split.known_anomaly=2", "batch_size=8", "network.width=16",
    )  # fmt: skip
    assert cfg.network.layers == 3
    result = run_cell(Cell(cfg, tmp_path, "synthetic_spectrograms", "deep_sad"))
    assert result.normal_classes == ["normal"]
    assert result.known_classes == ["NB-10ms"]
    assert set(result.per_class) == set(CLASSES[1:])
    with np.load(tmp_path / "scores.npz") as file:
        assert np.isfinite(file["score"]).all()
        assert len(np.unique(file["score"])) > 40


def test_another_file_is_another_cell(synthetic, tmp_path):
    cfg = composed("data=spectrograms", f"data.root={tmp_path}")
    keys = {cell_key(cfg)}
    for rows in (10, 20):
        np.savez(tmp_path / "spectrograms.npz", x=synthetic.x[:rows, ..., 0], y=synthetic.target_class[:rows])
        keys.add(cell_key(cfg))
        assert len(load(cfg.data).x) == rows
    assert len(keys) == 3
