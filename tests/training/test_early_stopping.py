"""The epoch that ranks held-out labels best is kept, by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sad_lightning.errors import InputError
from sad_lightning.stats.ranking import auroc, average_precision, recall_at_fpr
from sad_lightning.training.early_stopping import EarlyStopping, ranks, validation_metrics
from sad_lightning.training.trainer import Stage

AREAS = {1: 0.5, 2: 1.0, 3: 0.75, 4: 1.0, 5: 0.5}  # by epoch; the second is the first that is best


class Scripted(torch.nn.Module):
    """Ranks two anomalies and two normals as the script says; its only weight is the number of the epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = torch.nn.Parameter(torch.zeros(()))
        self.device = torch.device("cpu")

    def score(self, x: torch.Tensor) -> torch.Tensor:
        assert not self.training
        rank = {0.5: [1.0, 4.0, 2.0, 3.0], 0.75: [2.0, 4.0, 3.0, 1.0], 1.0: [3.0, 4.0, 1.0, 2.0]}
        return torch.tensor(rank[AREAS[int(self.epoch)]])[x.long()]


class Log(list):
    """Keeps what is logged, by step."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.append((step, metrics))


def callback(patience: int) -> EarlyStopping:
    stage = Stage("train", "key", Log())
    batches = [torch.arange(3), torch.tensor([3])]
    return EarlyStopping(stage, lambda device: iter(batches), np.array([1, 1, 0, 0]), patience=patience, target_fpr=0.5)


def epoch(early_stopping: EarlyStopping, module: Scripted, number: int) -> bool:
    strategy = SimpleNamespace(broadcast=lambda scores: scores)
    trainer = SimpleNamespace(should_stop=False, current_epoch=number - 1, strategy=strategy)
    with torch.no_grad():
        module.epoch.fill_(number)
    early_stopping.on_train_epoch_end(trainer, module)
    assert module.training
    return trainer.should_stop


def test_it_stops_after_its_patience_and_goes_back():
    early_stopping, module = callback(2), Scripted()
    assert [epoch(early_stopping, module, number) for number in (1, 2, 3, 4)] == [False, False, False, True]
    assert early_stopping.aurocs == [0.5, 1.0, 0.75, 1.0]
    early_stopping.on_train_end(None, module)
    assert module.epoch == 2
    assert early_stopping.note() == (
        "epoch 2 of 4 was kept: validation AUROC 1.0000 on 2 known anomalies and 2 other rows"
    )


@pytest.mark.parametrize("broken_after", [1, 2, 3])
def test_it_goes_on_from_its_state(broken_after):
    unbroken, broken = callback(3), callback(3)
    module, other = Scripted(), Scripted()
    stops = [epoch(unbroken, module, number) for number in AREAS]
    resumed_stops = [epoch(broken, other, number) for number in range(1, broken_after + 1)]
    resumed = callback(3)
    resumed.load_state_dict(broken.state_dict())
    resumed_stops += [epoch(resumed, other, number) for number in range(broken_after + 1, 6)]
    assert resumed_stops == stops == [False, False, False, False, True]
    resumed.on_train_end(None, other)
    assert other.epoch == 2


def test_what_had_come_to_its_end_trains_no_further():
    ended, going = callback(2), callback(2)
    module = Scripted()
    for number in (1, 2, 3, 4):
        epoch(ended, module, number)
    for aurocs in (ended.aurocs[:3], []):
        trainer = SimpleNamespace(should_stop=False)
        going.load_state_dict({"aurocs": aurocs, "best": ended.best})
        going.on_train_start(trainer, module)
        assert not trainer.should_stop
    trainer = SimpleNamespace(should_stop=False)
    going.load_state_dict(ended.state_dict())
    going.on_train_start(trainer, module)
    assert trainer.should_stop


def test_its_metrics_are_curves_of_the_stage_and_are_logged():
    early_stopping, module = callback(9), Scripted()
    for number in AREAS:
        epoch(early_stopping, module, number)
    stage = early_stopping.stage
    assert stage.curves == {
        "validation_auroc": [0.5, 1.0, 0.75, 1.0, 0.5],
        "validation_average_precision": [0.75, 1.0, 0.83333, 1.0, 0.75],
        "validation_recall_at_target_fpr": [0.5, 1.0, 1.0, 1.0, 0.5],
    }
    assert [step for step, _ in stage.log] == [0, 1, 2, 3, 4]
    assert set(stage.log[0][1]) == {f"train/{name}" for name in stage.curves}


def test_an_epoch_without_a_value_is_none():
    stage = Stage("train", "key", Log())
    stage.add(1, {"loss": 1.0})
    stage.add(3, {"loss": 2.0})
    assert stage.curves == {"loss": [None, 1.0, None, 2.0]}


@pytest.mark.parametrize(("aurocs", "best"), [([0.5, 0.5 + 1e-8], 0), ([0.5, 0.6, 0.6 + 1e-7], 1), ([0.5, 0.50001], 1)])
def test_a_difference_of_rounding_is_none(aurocs, best):
    early_stopping = callback(9)
    early_stopping.load_state_dict({"aurocs": aurocs, "best": {}})
    assert early_stopping.note().startswith(f"epoch {best + 1} of ")


@pytest.mark.parametrize("target_fpr", [0.0, 0.05, 0.1, 0.5])
@pytest.mark.parametrize("offset", [0.0, 30.0, -1e4, 1e7])
def test_torchmetrics_and_the_exact_statistics_agree(offset, target_fpr):
    generator = np.random.default_rng(0)
    for n in (2, 20, 100, 3000):
        for scale in (1e-3, 1.0, 1e3):
            y = generator.permutation(np.arange(n) < max(1, n // 10)).astype(np.int64)
            scores = offset + np.round(scale * (generator.normal(size=n) + y), 2)  # with ties
            metrics = validation_metrics(target_fpr)
            metrics.update(ranks(torch.from_numpy(scores)), torch.from_numpy(y))
            values = {name: float(value) for name, value in metrics.compute().items()}
            assert values == pytest.approx(
                {
                    "validation_auroc": auroc(y, scores),
                    "validation_average_precision": average_precision(y, scores),
                    "validation_recall_at_target_fpr": recall_at_fpr(y, scores, target_fpr),
                },
                abs=1e-6,
            )


def test_raw_scores_would_be_blurred():
    """Why ranks: if torchmetrics stops squashing scores, they can go."""
    y, scores = torch.tensor([0, 0, 1, 1]), torch.tensor([20.0, 25.0, 35.0, 40.0])
    metrics = validation_metrics(0.05)
    metrics.update(scores, y)
    assert metrics.compute()["validation_auroc"] == 0.5
    metrics.reset()
    metrics.update(ranks(scores), y)
    assert metrics.compute()["validation_auroc"] == 1.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_are_one_line(bad):
    with pytest.raises(InputError, match=r"optimizer\.lr must .* 1 of 3 scores of held-out rows are not finite"):
        ranks(torch.tensor([0.0, bad, 1.0]))
