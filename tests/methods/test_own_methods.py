"""Methods of one's own that do more than the contract asks for: in a sweep they train as they train alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.cells import SHORT
from support.grids import cells_of
from support.methods import METHODS
from torch import nn

from sad_lightning.cell.run import run_cell, run_cells
from sad_lightning.cell.values import Cell
from sad_lightning.grid.launcher import _alone
from sad_lightning.methods.deep_sad import DeepSAD
from sad_lightning.methods.deep_svdd import DeepSVDD
from sad_lightning.methods.steps import Update
from sad_lightning.result import Result, read_arrays
from sad_lightning.training.population import why_alone


class OwnOptimizer(DeepSAD):
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-2)


class TwoOptimizers(DeepSAD):
    def configure_optimizers(self):
        first, *others = self.parameters()
        return torch.optim.SGD([first], lr=1e-2), torch.optim.Adam(others, lr=1e-3)


class Plateau(DeepSAD):
    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=1e-2)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=1e9)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule}}


class EpochHook(DeepSAD):
    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        for group in self.optimizers().param_groups:
            group["lr"] = 1e-2


class ForwardHook(DeepSAD):
    def __init__(self, *, eta: float, eps: float, **shared) -> None:
        super().__init__(eta=eta, eps=eps, **shared)
        self.get_encoder().register_forward_hook(lambda module, inputs, output: output.tanh())


class Frozen(DeepSAD):
    def __init__(self, *, eta: float, eps: float, **shared) -> None:
        super().__init__(eta=eta, eps=eps, **shared)
        next(self.get_encoder().parameters()).requires_grad_(False)


class Dropout(DeepSAD):
    def loss(self, batch):
        return super().loss(batch._replace(x=nn.functional.dropout(batch.x, 0.5, training=self.training)))


class LabelFreeDropout(DeepSVDD):
    def loss(self, batch):
        return super().loss(batch._replace(x=nn.functional.dropout(batch.x, 0.5, training=self.training)))


class Item(DeepSAD):
    def loss(self, batch):
        return super().loss(batch) * (2.0 if batch.x.sum().item() > 0 else 1.0)


class Mask(DeepSAD):
    def loss(self, batch):
        return super().loss(batch) + self.score(batch.x[batch.semi == 0]).mean()


class Tied(DeepSAD):
    def __init__(self, *, eta: float, eps: float, **shared) -> None:
        super().__init__(eta=eta, eps=eps, **shared)
        self.again = self.get_encoder()


class NotKept(DeepSAD):
    def __init__(self, *, eta: float, eps: float, **shared) -> None:
        super().__init__(eta=eta, eps=eps, **shared)
        self.register_buffer("scratch", torch.ones(1), persistent=False)

    def loss(self, batch):
        return super().loss(batch) * self.scratch


ZOO = {  # and why a sweep trains it alone; None where torch says so when it is tried, "" where it need not
    OwnOptimizer: "it has its own configure_optimizers",
    TwoOptimizers: "it has its own configure_optimizers",
    Plateau: "it has its own configure_optimizers",
    EpochHook: "it has its own on_train_epoch_start",
    ForwardHook: "has hooks",
    Frozen: "",
    Dropout: None,
    Item: None,
    Mask: None,
    Tied: "its tensors are tied",
    NotKept: "its tensors are tied",
}


def cell_of(settings, kind: type, folder: Path, seed: int) -> Cell:
    target = f"method._target_={kind.__module__}.{kind.__name__}"
    cfg = settings(*SHORT, "pretrain=none", "trainer.accelerator=cpu", target, f"seed={seed}", "method.eta=2")
    folder.mkdir(parents=True)
    return Cell(cfg, folder, "digits", kind.__name__)


class Objective(Plateau):
    def objective(self, batch):
        return super().loss(batch)

    @property
    def updates(self):
        return (Update(self.objective, self.watch),)


def test_a_loss_of_any_name_has_its_curve_and_moves_a_schedule(settings, tmp_path):
    plateau, own = (run_cell(cell_of(settings, kind, tmp_path / kind.__name__, 0)) for kind in (Plateau, Objective))
    assert own.history["train"]["objective_loss"] == plateau.history["train"]["loss"]


@pytest.fixture(scope="module")
def plain() -> dict[str, list[float]]:
    """The losses of Deep SAD itself, trained once."""
    return {}


@pytest.mark.parametrize("kind", ZOO, ids=lambda kind: kind.__name__)
def test_it_trains_in_a_sweep_as_it_trains_alone(kind, plain, settings, tmp_path):
    alone = run_cell(cell_of(settings, kind, tmp_path / "alone", 0))
    torch.manual_seed(5)  # what happens to be drawn elsewhere changes nothing
    packed = run_cells([cell_of(settings, kind, tmp_path / f"packed{seed}", seed) for seed in range(2)], stack=True)
    assert all(isinstance(result, Result) for result in packed), packed
    first, second = (read_arrays(tmp_path / name / "scores.npz", alone.key)["score"] for name in ("alone", "packed0"))
    np.testing.assert_allclose(first, second, rtol=0 if ZOO[kind] != "" else 1e-4)
    tried = ["trained alone, for it can not be stacked" in text for text in packed[1].warnings]
    assert any(tried) == (ZOO[kind] is None)
    if kind not in (Plateau, Frozen, Tied, NotKept):  # else nothing would tell whether its extras were dropped
        if not plain:
            plain.update(run_cell(cell_of(settings, DeepSAD, tmp_path / "plain", 0)).history["train"])
        assert alone.history["train"]["loss"] != plain["loss"]


@pytest.mark.parametrize("kind", ZOO, ids=lambda kind: kind.__name__)
def test_the_plan_says_why_it_trains_alone(kind, make):
    like = make("deep_sad", "table")
    method = kind(network=like.network, optimizer=like.optimizer, eta=1.0, eps=1e-6)
    assert (ZOO[kind] or "") in why_alone(method)
    assert bool(why_alone(method)) == bool(ZOO[kind])


@pytest.mark.parametrize("name", METHODS)
def test_the_methods_of_the_package_can_be_packed(name, make):
    assert why_alone(make(name, "table")) == ""


def test_a_cell_of_the_grid_trains_alone_for_its_method_or_its_callbacks():
    own = f"method._target_={OwnOptimizer.__module__}.OwnOptimizer"
    (cell,) = cells_of(own)
    assert _alone(cell) == "for OwnOptimizer: it has its own configure_optimizers"
    (cell,) = cells_of("+trainer.callbacks=[{_target_:lightning.pytorch.callbacks.Timer}]")
    assert _alone(cell) == "for trainer.callbacks watch one training"
    (cell,) = cells_of("seed=3")
    assert _alone(cell) == ""


def test_what_is_dropped_hangs_on_the_seed_alone(settings, tmp_path):
    """Not on whether the training is shared with cells of other known anomalies, which ``overwrite`` turns off."""
    scores = []
    for number, overwrite in enumerate(("false", "true")):
        target = f"method._target_={__name__}.LabelFreeDropout"
        cfg = settings("method=deep_svdd", *SHORT, "pretrain=none", target, f"overwrite={overwrite}",
                       f"pretrain.cache={tmp_path / 'cache'}")  # fmt: skip
        folder = tmp_path / str(number)
        folder.mkdir()
        result = run_cell(Cell(cfg, folder, "digits", "LabelFreeDropout"))
        assert result.training == "trained"
        scores.append(read_arrays(folder / "scores.npz", result.key)["score"])
    np.testing.assert_array_equal(*scores)
