"""One training on two processes; two CPU processes stand in for two GPUs.

They are forked from this one, which has imported torch, and are told who they are by the variables that Lightning sets:
all tests here take some 20 s, where one command on two processes takes 30.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import Callback
from support.cells import SHORT
from support.methods import METHODS

from sad_lightning.cell import values
from sad_lightning.cell.run import run_cell
from sad_lightning.cell.values import Cell
from sad_lightning.errors import InputError
from sad_lightning.result import Result
from sad_lightning.training.resume import ResumeCheckpoint

ROOT = Path(__file__).resolve().parent.parent.parent
# two updates; densities of scores; pairs of rows; means over known and other rows; a quantile; means over some rows
CHEAP = ["dp_vae", "overlap", "prenet", "pu_svdd", "soft_deep_svdd", "ss_dgm"]
SYNTHETIC = (
    "data=synthetic", "data.n_train=301", "data.n_train_anomalies=60", "data.n_test=200", "data.n_test_anomalies=50",
)  # fmt: skip
BRIEF = (
    "batch_size=63", "trainer.accelerator=cpu", "trainer.max_epochs=3", "optimizer.milestones=[2]", "pretrain.epochs=1",
    "pretrain.batch_size=64", "network.normalize=false",
)  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")


def as_rank(rank: int, port: int, cells: Sequence[Cell], deadly: int | None) -> None:
    """What one of two processes does: it runs the cells, and dies in the second epoch if its rank is ``deadly``."""
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with kills(rank == deadly):
        try:
            for cell in cells:
                run_cell(cell)
        except InputError as error:
            print(error)
            sys.exit(2 if "another process of this training has ended" in str(error) else 1)


@contextmanager
def kills(this: bool) -> Iterator[None]:
    """Save a resume checkpoint after every epoch; ``this`` process kills itself after the second one."""

    class Kill(Callback):
        def on_train_epoch_end(self, trainer, pl_module) -> None:
            if this and trainer.current_epoch == 1 and pl_module.stage == "train":
                os.kill(os.getpid(), signal.SIGKILL)

    def new_trainer(make, stages, **settings):
        trainer = original(make, stages, **settings)
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ResumeCheckpoint):
                callback.seconds = 0
        trainer.callbacks.append(Kill())
        return trainer

    original, values.new_trainer = values.new_trainer, new_trainer
    try:
        yield
    finally:
        values.new_trainer = original


def on_two_processes(cells: Sequence[Cell], deadly: int | None = None) -> list[int]:
    """Run cells on two processes, and return their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [get_context("fork").Process(target=as_rank, args=(k, port, cells, deadly)) for k in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    return [process.exitcode for process in processes]


@pytest.fixture
def cell_of(settings, tmp_path):
    def cell(method: str, name: str, *overrides: str, data: Sequence[str] = SYNTHETIC) -> Cell:
        folder = tmp_path / name / method
        folder.mkdir(parents=True)
        cache = f"pretrain.cache={tmp_path / name / 'cache'}"
        cfg = settings(*data, *BRIEF, f"method={method}", cache, *overrides)
        if "anomalies" in cfg.method:
            cfg.method.anomalies.warm_up = 0
        return Cell(cfg, folder, "synthetic", method)

    return cell


@pytest.fixture
def own_table(tmp_path) -> tuple[str, ...]:
    """The settings of a table of one's own."""
    x = np.random.default_rng(0).normal(size=(300, 4))
    labels = ["anomaly" if k % 6 == 0 else "normal" for k in range(300)]
    lines = [f"{','.join(map(str, row + (label == 'anomaly')))},{label}" for row, label in zip(x, labels, strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,c,d,label", *lines]))
    return (
        "data=table", f"data.path={tmp_path / 'rows.csv'}", "data.label=label", "split.validation_ratio=0.3",
        "target_fpr=0.1",
    )  # fmt: skip


def scores_of(cell: Cell) -> np.ndarray:
    return np.load(cell.folder / "scores.npz")["score"]


@pytest.mark.parametrize("methods", [CHEAP, pytest.param(METHODS, marks=pytest.mark.slow, id="all")])
def test_two_processes_end_in_the_scores_of_one(methods, cell_of):
    """Batches of 63 rows, so that the halves differ; without BatchNorm, which learns the statistics of each half."""
    pairs = [
        (cell_of(method, "one"), cell_of(method, "two", "trainer.devices=2", "trainer.strategy=ddp"))
        for method in methods
    ]
    for one, _ in pairs:
        run_cell(one)
    assert on_two_processes([two for _, two in pairs]) == [0, 0]
    for one, two in pairs:
        state, same = (torch.load(each.folder / "model.ckpt", weights_only=True)["state_dict"] for each in (one, two))
        for name, value in state.items():
            torch.testing.assert_close(same[name], value, rtol=1e-3, atol=1e-4, msg=f"{one.method} {name}")
        scores = scores_of(one)
        np.testing.assert_allclose(scores_of(two), scores, rtol=0, atol=1e-5 * np.abs(scores).max(), err_msg=one.method)
        curves = Result.read(two.folder).history
        assert curves.keys() == Result.read(one.folder).history.keys()
        assert sorted(path.name for path in one.folder.iterdir()) == sorted(path.name for path in two.folder.iterdir())


@pytest.mark.parametrize("deadly", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_killed_process_takes_the_other_along_and_both_resume(deadly, cell_of):
    ddp = ("trainer.devices=2", "trainer.strategy=ddp", "network.normalize=true")
    whole, killed = cell_of("deep_svdd", "whole", *ddp), cell_of("deep_svdd", "killed", *ddp)
    assert on_two_processes([whole]) == [0, 0]
    codes = on_two_processes([killed], deadly)
    assert codes[deadly] == -signal.SIGKILL
    assert codes[1 - deadly] == 2
    assert on_two_processes([killed]) == [0, 0]
    assert Result.read(killed.folder).resumed
    assert scores_of(killed).tolist() == scores_of(whole).tolist()


def test_what_processes_do_not_share_is_said(cell_of, own_table):
    """BatchNorm's statistics are those of each process, which would stop early at different epochs: one decides."""
    ddp = ("trainer.devices=2", "trainer.strategy=ddp", "network.normalize=true")
    ensemble, forest = cell_of("ae", "ensemble", *ddp, "ensemble=2"), cell_of("iforest", "forest", *ddp)
    early = cell_of("hsc", "early", *ddp, "patience=1", "ensemble=1", "trainer.max_epochs=8", data=own_table)
    assert on_two_processes([ensemble, forest, early]) == [0, 0]
    notes = [" ".join(Result.read(cell.folder).warnings) for cell in (ensemble, forest, early)]
    assert "train1: trained one network after the other, not stacked, since 2 processes share each batch" in notes[0]
    assert "trainer.devices: IForest was fitted by one process" in notes[1]
    assert "was kept: validation AUROC" in notes[2]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["deep_sad", "dp_vae"])
def test_a_command_starts_the_processes_and_ends_in_one_result(method, tmp_path):
    options = ("trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp", f"method={method}")
    command = [sys.executable, "-m", "sad_lightning", f"runs={tmp_path}", *SHORT, *options]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.count("AUROC") == 1  # one process speaks
    assert len(list(tmp_path.rglob("result.json"))) == 1
    assert not list(tmp_path.rglob("*.part")) + list(tmp_path.rglob("*.resume.ckpt"))
