"""The key of cached weights names all that determines them."""

import importlib
import sys
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch

from sad_lightning.data.module import Balance, DataModule
from sad_lightning.data.preprocess import Scaling
from sad_lightning.methods.method import Method
from sad_lightning.training.members import content_key
from sad_lightning.training.population import PopulationData
from sad_lightning.training.trainer import Stage

X = np.float32([[0, 1], [np.nan, 2], [4, 8], [1, 1]])
ONE = np.ones(2, dtype=np.float32)


def key_of(
    method: Method, *, x=X, rows=(0, 1, 2), semi=(0, 0, 1), scale=ONE, shift=ONE, fill=ONE, seed=0, batch_size=2,
    processes=1, contrast=False,
) -> str:  # fmt: skip
    data = DataModule(
        x, Scaling(scale, shift, fill, contrast), rows=np.array(rows), semi=np.array(semi, dtype=np.int8),
        scored=np.array([3]), batch_size=batch_size, seed=seed,
    )  # fmt: skip
    return content_key(method, data, {"max_epochs": 2}, processes)


@pytest.fixture
def key(make) -> Callable[..., str]:
    return partial(key_of, make("ae", "table"))


def test_what_does_not_train_does_not_count(key):
    other = X.copy()
    other[3] = 7
    assert key() == key(x=other)


@pytest.mark.parametrize(
    "change",
    [
        {"rows": (0, 1, 3)},
        {"semi": (0, 0, 0)},
        {"scale": 2 * ONE},
        {"shift": 2 * ONE},
        {"fill": 2 * ONE},
        {"fill": None},
        {"seed": 1},
        {"batch_size": 3},
        {"processes": 2},
        {"contrast": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_determines_the_weights_counts(change, key):
    assert key(**change) != key()


def test_so_do_the_initial_weights(make):
    assert key_of(make("ae", "table")) != key_of(make("ae", "table", seed=1))


@pytest.mark.parametrize("base", ["nn.Identity", "Adam"])
def test_the_code_of_an_own_layer_or_optimizer_counts(base, key, make, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    imports = "from torch import nn\nfrom sad_lightning.methods import Adam\n"
    (tmp_path / "mine.py").write_text(f"{imports}class Mine({base}): ...")
    mine, method = importlib.import_module("mine").Mine, make("ae", "table")
    if base == "Adam":
        method.optimizer = mine(**vars(method.optimizer))
    else:
        method.add_module("mine", mine())
    before = key_of(method)
    assert before != key()
    (tmp_path / "mine.py").write_text(f"{imports}class Mine({base}):\n    other = 1")
    assert key_of(method) != before


def test_how_batches_are_balanced_counts_where_there_are_known_anomalies(make):
    def key(semi, balance):
        data = DataModule(
            X, Scaling(ONE, ONE, ONE), rows=np.arange(4), semi=np.array(semi, dtype=np.int8), scored=np.arange(1),
            batch_size=2, seed=0, balance=balance,
        )  # fmt: skip
        return content_key(make("ae", "table"), data, {}, 1)

    some, none = Balance(known_anomalies=2), Balance()
    assert key([0, 0, 1, -1], some) != key([0, 0, 1, -1], none)
    assert key([0, 0, 1, 1], some) == key([0, 0, 1, 1], none)


def test_what_a_copy_says_names_its_own_stage(make):
    original, copy = (Stage(name, "k", None) for name in ("pretrain.deep_sad", "pretrain.hsc"))
    original.notes, original.error = ["pretrain.deep_sad/loss: odd"], "but pretrain.deep_sad/loss is nan in epoch 1"
    copy.load_state_dict(original.state_dict())
    original.notes.append("pretrain.deep_sad_too: of another")
    copy.load_state_dict(original.state_dict())
    assert copy.notes.pop() == original.notes.pop() == "pretrain.deep_sad_too: of another"
    original.notes.append("pretrain.deep_sad/loss: more")
    assert (copy.notes, copy.error) == (["pretrain.hsc/loss: odd"], "but pretrain.hsc/loss is nan in epoch 1")


def test_members_see_images_of_one_contrast_as_each_does_alone():
    images = np.random.default_rng(0).integers(0, 200, (6, 4, 4, 1), dtype=np.uint8)
    members = [
        DataModule(
            images, Scaling(np.float32([scale]), np.float32([0.1]), contrast=True), rows=np.arange(k, k + 4),
            semi=np.zeros(4, dtype=np.int8), scored=np.empty(0, dtype=np.int64), batch_size=2, seed=k,
        )
        for k, scale in enumerate((0.2, 0.3))
    ]  # fmt: skip
    positions = torch.tensor([[0, 2], [3, 1]])
    alone = torch.stack([member.gather(positions[k]).x for k, member in enumerate(members)])
    assert torch.equal(PopulationData(members).gather(positions).x, alone)
    assert alone.mean(dim=(-2, -1)).sub(0.1).abs().max() < 1e-5  # the mean of each is gone before it is scaled
