"""What a method gets from its parts without a line of its own."""

from dataclasses import replace
from typing import Unpack

import numpy as np
import pytest
import torch
from support.methods import data_of, rows_of, train
from torch import Tensor, nn

from sad_lightning.data.module import Batch
from sad_lightning.errors import InputError
from sad_lightning.methods.adam import Adam
from sad_lightning.methods.autoencoder import Autoencoder
from sad_lightning.methods.hypersphere import Hypersphere
from sad_lightning.methods.method import ANY_LABEL, Method, Shared
from sad_lightning.methods.part import Part
from sad_lightning.networks import MLP
from sad_lightning.training.population import Population, PopulationData
from sad_lightning.training.trainer import History, Stage

ADAM = Adam(lr=1e-3, milestones=[], decay=0.1, weight_decay=0.0)
TABLE = {"shape": (9,), "widths": [8], "rep_dim": 4, "leak": 0.1, "bias": False, "allow_trivial_solution": False,
         "bounded": False, "normalize": True}  # fmt: skip


class Plain(Method):
    """The least that a hypersphere method can be."""

    trains_on = ANY_LABEL

    def __init__(self, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        self.sphere = Hypersphere(self.network)

    def loss(self, batch: Batch) -> Tensor:
        return self.sphere(batch.x).mean()

    def score(self, x: Tensor) -> Tensor:
        return self.sphere(x).sqrt()


class Twice(Plain):
    """Two spheres, one of them within a list."""

    def __init__(self, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        self.others = nn.ModuleList([Hypersphere(self.network)])


class Log:
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        pass


def test_a_hypersphere_brings_its_guard():
    for fault in ({"bias": True}, {"bias": True, "normalize": False}):
        with pytest.raises(InputError, match=r"has a bias; remove it .*or set network.allow_trivial_solution=true"):
            Plain(network=MLP(**{**TABLE, **fault}), optimizer=ADAM)
        Plain(network=MLP(**{**TABLE, **fault, "allow_trivial_solution": True}), optimizer=ADAM)


def test_a_hypersphere_brings_its_center_and_its_collapse_monitor():
    method = Plain(network=MLP(**TABLE), optimizer=replace(ADAM, lr=1e-12))
    data = data_of("table", method)
    method.prepare(data.in_order(torch.device("cpu")))
    assert (method.sphere.center.abs() >= 0.1).all()
    metrics = method.watch(data.gather(torch.arange(21)))
    assert metrics["spread"] > 0.01
    with torch.no_grad():
        method.get_encoder()[-1].weight.mul_(1e-6)
    stage = Stage("train", "", Log())
    history = History([stage])
    train(method, data, epochs=1, callbacks=[history])
    assert any("has collapsed to a point" in note for note in stage.notes)


def test_every_part_is_asked_however_deep_it_lies():
    method = Twice(network=MLP(**TABLE), optimizer=ADAM)
    data = data_of("table", method)
    method.prepare(data.in_order(torch.device("cpu")))
    assert (method.sphere.center.abs() >= 0.1).all()
    assert (method.others[0].center.abs() >= 0.1).all()  # the rows were there for the second part too
    metrics = method.watch(data.gather(torch.arange(21)))
    assert list(metrics) == ["spread", "score_spread", "spread/others.0", "score_spread/others.0"]
    assert method.get_encoder() is method.sphere.encoder


class Counted(Hypersphere):
    """Counts its steps, and adds up the distances of each."""

    def __init__(self, network: MLP) -> None:
        super().__init__(network)
        self.register_buffer("steps", torch.zeros(()))
        self.register_buffer("total", torch.zeros(()))

    def solve(self, batch: Batch, output: Tensor) -> None:
        self.steps.add_(1)
        self.total.add_(output.sum())


class Solving(Plain):
    def __init__(self, **shared: Unpack[Shared]) -> None:
        super().__init__(**shared)
        self.sphere = Counted(self.network)
        self.seen: list[float] = []

    def loss(self, batch: Batch) -> Tensor:
        distance = self.sphere(batch.x)
        assert not distance.requires_grad or self.training
        return distance.mean()


def test_parts_solve_once_a_step_from_its_distances_alone_and_stacked():
    x = np.concatenate([rows_of("table", seed) for seed in range(2)])
    alone, stacked, datas = [], [], []
    for number in range(2):
        for methods in (alone, stacked):
            torch.manual_seed(number)
            methods.append(Solving(network=MLP(**TABLE), optimizer=ADAM))
        data = data_of("table", alone[number], x, seed=number)
        data.rows = data.rows + 65 * number
        alone[number].prepare(data.in_order(torch.device("cpu")))
        stacked[number].prepare(data.in_order(torch.device("cpu")))
        datas.append(data)
    steps = 4 * len(datas[0].train_dataloader())
    for method, data in zip(alone, datas, strict=True):
        stage = Stage("train", "", Log())
        train(method, data, epochs=4, callbacks=[History([stage])])
        assert method.sphere.steps == steps
        losses = [value * steps / 4 * 21 for value in stage.curves["loss"]]  # the mean over the steps of 21 rows
        assert method.sphere.total.item() == pytest.approx(sum(losses), rel=1e-4)
    population = Population(stacked)
    train(population, PopulationData(datas), epochs=4)
    population.unstack(stacked)
    for one, other in zip(alone, stacked, strict=True):
        assert other.sphere.steps == steps
        torch.testing.assert_close(other.sphere.total, one.sphere.total, rtol=1e-5, atol=0)
    assert stacked[0].sphere.total != stacked[1].sphere.total


def test_a_part_without_a_solve_is_not_recorded():
    method = Plain(network=MLP(**TABLE), optimizer=ADAM)
    _, outputs = method.losses(method.updates[0], data_of("table", method).gather(torch.arange(21)))
    assert not outputs
    assert Hypersphere.solve is Part.solve


def test_the_encoder_is_found_in_a_part_or_in_the_method():
    class Reconstructing(Method):
        trains_on = ANY_LABEL

        def __init__(self, **shared: Unpack[Shared]) -> None:
            super().__init__(**shared)
            self.autoencoder = Autoencoder(self.network, "torch")

        def loss(self, batch: Batch) -> Tensor:
            return self.score(batch.x).mean()

        def score(self, x: Tensor) -> Tensor:
            return self.autoencoder(x)

    class Bare(Reconstructing):
        def __init__(self, **shared: Unpack[Shared]) -> None:
            super().__init__(**shared)
            del self.autoencoder

    first = Reconstructing(network=MLP(**TABLE), optimizer=ADAM)
    method = Plain(network=MLP(**TABLE), optimizer=ADAM)
    method.start_from(first)
    assert method.get_encoder() is method.sphere.encoder
    assert torch.equal(method.sphere.encoder[0].weight, first.autoencoder.encoder[0].weight)
    with pytest.raises(InputError, match="Bare has no encoder"):
        Bare(network=MLP(**TABLE), optimizer=ADAM).get_encoder()
    with pytest.raises(InputError, match="pretrain: the encoder of Bare must fit the one of Plain"):
        method.start_from(Bare(network=MLP(**TABLE), optimizer=ADAM))


def test_a_setting_that_there_is_not_is_refused():
    with pytest.raises(TypeError, match=r"Plain.__init__\(\) got an unexpected keyword argument 'eta'"):
        Plain(network=MLP(**TABLE), optimizer=ADAM, eta=1.0)
