"""The epoch that ranks held-out labels best is kept, by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sad_lightning.training.early_stopping import EarlyStopping

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


def callback(patience: int) -> EarlyStopping:
    return EarlyStopping(lambda device: iter([torch.arange(3), torch.tensor([3])]), np.array([1, 1, 0, 0]), patience)


def epoch(chooser: EarlyStopping, module: Scripted, number: int) -> bool:
    trainer = SimpleNamespace(should_stop=False)
    with torch.no_grad():
        module.epoch.fill_(number)
    chooser.on_train_epoch_end(trainer, module)
    assert module.training
    return trainer.should_stop


def test_it_stops_after_its_patience_and_goes_back():
    chooser, module = callback(2), Scripted()
    assert [epoch(chooser, module, number) for number in (1, 2, 3, 4)] == [False, False, False, True]
    assert chooser.curve == [0.5, 1.0, 0.75, 1.0]
    chooser.on_train_end(None, module)
    assert module.epoch == 2
    assert chooser.note() == ("epoch 2 of 4 was kept: validation AUROC 1.0000 on 2 known anomalies and 2 other rows")


@pytest.mark.parametrize("broken_after", [1, 2, 3])
def test_it_goes_on_from_its_state(broken_after):
    unbroken, broken = callback(3), callback(3)
    module, other = Scripted(), Scripted()
    stops = [epoch(unbroken, module, number) for number in AREAS]
    found = [epoch(broken, other, number) for number in range(1, broken_after + 1)]
    resumed = callback(3)
    resumed.load_state_dict(broken.state_dict())
    found += [epoch(resumed, other, number) for number in range(broken_after + 1, 6)]
    assert found == stops == [False, False, False, False, True]
    resumed.on_train_end(None, other)
    assert other.epoch == 2


def test_what_had_come_to_its_end_trains_no_further():
    ended, going = callback(2), callback(2)
    module = Scripted()
    for number in (1, 2, 3, 4):
        epoch(ended, module, number)
    for chooser, curve in ((going, ended.curve[:3]), (going, [])):
        trainer = SimpleNamespace(should_stop=False)
        chooser.load_state_dict({"curve": curve, "best": ended.best})
        chooser.on_train_start(trainer, module)
        assert not trainer.should_stop
    trainer = SimpleNamespace(should_stop=False)
    going.load_state_dict(ended.state_dict())
    going.on_train_start(trainer, module)
    assert trainer.should_stop
