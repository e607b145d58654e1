"""Settings of the Trainer: a cell heeds them, or refuses them in one line."""

import errno
import json
import os

import lightning
import pytest
import torch
from support.cells import SHORT

from sad_lightning.cell.key import cell_key
from sad_lightning.cell.run import run_cell
from sad_lightning.cell.trainer_settings import check_processes, check_trainer
from sad_lightning.cell.values import Cell
from sad_lightning.errors import InputError

CELL = (*SHORT, "trainer.max_epochs=4", "trainer.accelerator=cpu", "pretrain=none")
SEEN: list[tuple[str, float]] = []


class Watcher(lightning.Callback):
    """A callback of one's own: says what it saw."""

    def __init__(self, name: str) -> None:
        self.name = name

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        SEEN.append((f"{self.name} {type(pl_module).__name__}", float(trainer.callback_metrics["loss"])))


class Breaks(lightning.Callback):
    """A callback with a mistake."""

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        torch.ones(2) @ torch.ones(3)


WATCHER = f"{{_target_:{__name__}.Watcher,name:mine}}"


@pytest.mark.parametrize("members", [1, 2])
def test_callbacks_of_ones_own_see_each_training_and_its_metrics(members, settings, tmp_path):
    SEEN.clear()
    result = run_cell(
        Cell(settings(*CELL, f"+trainer.callbacks=[{WATCHER}]", f"ensemble={members}"), tmp_path, "d", "m")
    )
    losses = [loss for member in range(members) for loss in result.history[f"train{member or ''}"]["loss"]]
    assert [name for name, _ in SEEN] == ["mine DeepSAD"] * 4 * members
    assert [loss for _, loss in SEEN] == pytest.approx(losses, rel=1e-4)


def test_what_fails_with_callbacks_of_ones_own_is_a_line_that_says_where(settings, tmp_path):
    own = f"+trainer.callbacks=[{WATCHER},{{_target_:{__name__}.Breaks}}]"
    told = (
        r"^trainer.callbacks: training fails with Watcher, Breaks: RuntimeError: .+test_trainer_settings.py, line \d+"
    )
    with pytest.raises(InputError, match=rf"{told}\); mend it, or leave it out$"):
        run_cell(Cell(settings(*CELL, own), tmp_path, "d", "m"))


def test_a_full_disk_is_no_fault_of_callbacks(settings, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "x")

    monkeypatch.setattr(Watcher, "on_train_epoch_end", full)
    with pytest.raises(OSError, match="No space left"):
        run_cell(Cell(settings(*CELL, f"+trainer.callbacks=[{WATCHER}]"), tmp_path, "d", "m"))


def test_lightnings_own_early_stopping_stops_by_a_metric_of_the_training(settings, tmp_path):
    stopping = "{_target_:lightning.pytorch.callbacks.EarlyStopping,monitor:loss,min_delta:1e9,patience:1}"
    result = run_cell(Cell(settings(*CELL, f"+trainer.callbacks={{mine:{stopping}}}"), tmp_path, "d", "m"))
    assert len(result.history["train"]["loss"]) == 2
    assert "EarlyStopping" in json.dumps(result.settings["trainer"])  # it changed the numbers, and the record says so


@pytest.mark.parametrize(
    "name",
    ["logger", "default_root_dir", "enable_checkpointing", "fast_dev_run", "min_epochs", "max_steps", "max_time",
     "gradient_clip_val", "limit_predict_batches", "overfit_batches", "reload_dataloaders_every_n_epochs", "nonsense"],
)  # fmt: skip
def test_what_is_not_supported_is_refused(name, settings, tmp_path):
    with pytest.raises(InputError, match=rf"^trainer\.{name} is not supported in a cell; ") as caught:
        run_cell(Cell(settings(f"+trainer.{name}=1"), tmp_path, "d", "m"))
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_no_more_processes_than_cores(settings, tmp_path):
    devices = max(2, os.cpu_count() or 1) + 1
    with pytest.raises(InputError, match=rf"^trainer\.devices must be at most {devices - 1} on this CPU"):
        run_cell(Cell(settings("trainer.accelerator=cpu", f"trainer.devices={devices}"), tmp_path, "d", "m"))


@pytest.mark.parametrize("devices", [2, "auto", "0", [0, 1]])
def test_a_cell_of_a_sweep_has_one_device(devices):
    with pytest.raises(InputError, match=r"^trainer\.devices must be 1 within a sweep"):
        check_trainer({"devices": devices}, sweep=True)
    check_trainer({"devices": devices}, sweep=False)
    for one in (1, [3]):
        check_trainer({"devices": one}, sweep=True)


@pytest.mark.parametrize("name", ["LOCAL_RANK", "RANK", "SLURM_NTASKS"])
def test_a_variable_of_other_processes_is_named(name):
    one = {"devices": 1, "num_nodes": 1}
    check_processes(one, {name: {"SLURM_NTASKS": "1"}.get(name, "0")})
    check_processes(one, {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "interactive"})  # which Lightning knows
    for several in ({"devices": 2}, {"devices": "auto"}, {"devices": 1, "num_nodes": 2}):
        check_processes(several, {name: "2"})
    with pytest.raises(InputError, match=rf"^{name}=2 is set in the environment.*; unset {name}, or "):
        check_processes(one, {name: "2"})


def test_a_profiler_without_a_file_is_refused():
    with pytest.raises(InputError, match="which file it writes"):
        check_trainer({"profiler": "simple"}, sweep=False)


def test_what_changes_no_number_is_no_part_of_the_key(settings):
    key = cell_key(settings())
    for same in ("enable_progress_bar=false", "detect_anomaly=true"):
        assert cell_key(settings(f"+trainer.{same}")) == key
    assert cell_key(settings(f"+trainer.callbacks=[{WATCHER}]")) != key
    assert cell_key(settings("+trainer.limit_train_batches=1")) != key


def test_a_cell_seeds_what_draws_from_the_global_generator_and_leaves_it_as_it_was(settings, tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    run_cell(Cell(settings(*CELL, "+trainer.enable_progress_bar=false"), tmp_path, "d", "m"))
    assert torch.equal(torch.rand(2), expected)
