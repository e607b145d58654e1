"""Whole grids, really trained: every way of running one ends in the same numbers, also when it is killed on the way."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from omegaconf import OmegaConf

from sad_lightning.cell import run as running
from sad_lightning.cell import values
from sad_lightning.cell.run import pretrain_cells, run_cell, run_cells
from sad_lightning.cell.values import Cell
from sad_lightning.result import Result
from sad_lightning.tracking.logger import CellLog
from sad_lightning.training import members
from sad_lightning.training.resume import ResumeCheckpoint

ROOT = Path(__file__).resolve().parent.parent.parent
SHORT = ("trainer.max_epochs=3", "optimizer.milestones=[2]", "logger=none")
AXES = ("split.normal_class=0,3", "split.known_anomaly=0,4", "split.labeled_ratio=0.0,0.05")  # 8 cells, 6 distinct


def command(runs: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "sad_lightning", "--multirun", f"runs={runs}", *SHORT, *AXES, *arguments]


def grid(runs: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command(runs, *arguments), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return done


def numbers(runs: Path) -> dict[str, tuple[dict[str, float], np.ndarray]]:
    """Metrics and scores of every cell by its key."""
    found = {}
    for path in runs.rglob("result.json"):
        result = json.loads(path.read_text())
        found[result["key"]] = (result["metrics"], np.load(path.with_name("scores.npz"))["score"])
    return found


def assert_equal(runs: Path, others: Path, rtol: float) -> None:
    mine, theirs = numbers(runs), numbers(others)
    assert len(mine) == 6
    assert mine.keys() == theirs.keys()
    for key, (metrics, scores) in mine.items():
        np.testing.assert_allclose(scores, theirs[key][1], rtol=rtol)
        if rtol == 0:
            assert metrics == theirs[key][0]
        assert metrics["auroc"] == pytest.approx(theirs[key][0]["auroc"], abs=1e-4)


def assert_nothing_is_left_over(runs: Path) -> None:
    left = [path for path in runs.rglob("*") if path.name.endswith((".part", ".resume.ckpt", ".tmp"))]
    assert left == []
    assert not any(path.is_symlink() for path in runs.rglob("*"))


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Path:
    """The grid as it runs by itself."""
    runs = tmp_path_factory.mktemp("packed")
    out = grid(runs).stdout
    assert "8 cells, 6 distinct: 0 done, 6 to run" in out
    assert "2 pretrainings shared by 6 cells" in out
    assert "6 finished, mean AUROC" in out
    return runs


def test_packed_and_alone_and_by_hydra_are_the_same_grid(packed, tmp_path):
    grid(tmp_path / "basic", "hydra/launcher=basic", "hydra/sweeper=basic")
    grid(tmp_path / "alone", "pack=1")
    assert_equal(tmp_path / "alone", tmp_path / "basic", rtol=0)
    assert_equal(packed, tmp_path / "basic", rtol=1e-4)
    assert_nothing_is_left_over(packed)
    results = [json.loads(path.read_text()) for path in packed.rglob("result.json")]
    assert {result["pretraining"] for result in results} == {"cached"}
    assert all(set(result["history"]) == {"pretrain", "train"} for result in results)


def test_started_again_it_has_nothing_to_do_and_imports_nothing_heavy(packed):
    script = (
        "import sys; sys.argv = ['sad_lightning', *sys.argv[1:]]; from sad_lightning.__main__ import main; main(); "
    )
    script += "sys.exit('torch' in sys.modules)"
    arguments = command(packed)[3:]
    again = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "8 cells, 6 distinct: 6 done, 0 to run" in again.stdout


@pytest.mark.slow
def test_a_ray_cluster_of_two_nodes_is_the_same_grid(packed, tmp_path):
    pytest.importorskip("ray", reason="Ray is an extra")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        grid(tmp_path, "hydra/launcher=ray", f"hydra.launcher.backend.address='{cluster.address}'")
    finally:
        cluster.shutdown()
    assert_equal(tmp_path, packed, rtol=0)


@pytest.mark.slow
def test_submitit_is_the_same_grid(packed, tmp_path):
    pytest.importorskip("submitit", reason="submitit is an extra")
    backend = "hydra.launcher.backend"
    grid(tmp_path, "hydra/launcher=slurm", f"{backend}.cluster=local", f"{backend}.slots=2", f"{backend}.seconds=0.1")
    assert_equal(tmp_path, packed, rtol=0)


def killed(runs: Path, undisturbed: Path, seconds: float, moments: int, seed: int) -> None:
    """Kill the grid or one of its workers ``moments`` times, at random, and let it end in the numbers that it owes."""
    generator = random.Random(seed)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for moment in range(moments):
        process = subprocess.Popen(
            command(runs), cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        below: list[int] = []
        try:
            process.wait(generator.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            below = descendants(process.pid)
            victim = generator.choice(below) if below and moment % 2 else process.pid
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        process.wait(600)
        for _ in range(600):  # nobody works on for a process that is gone
            if not any(Path(f"/proc/{pid}").exists() for pid in below):
                break
            time.sleep(0.1)
        else:
            raise AssertionError("workers outlive the process that asked for them")
    grid(runs)
    assert_equal(runs, undisturbed, rtol=0)
    assert_nothing_is_left_over(runs)


def descendants(pid: int) -> list[int]:
    """The processes below a process, those that answer to nobody else."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
    found, front = [], [pid]
    while front:
        front = [child for child, parent in parents.items() if parent in front]
        found += front
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_a_grid_that_is_killed_goes_on_and_ends_in_the_same_numbers(packed, tmp_path):
    killed(tmp_path, packed, seconds=25, moments=3, seed=0)


@pytest.mark.slow
def test_a_grid_that_is_killed_twenty_times(packed, tmp_path):
    for seed in range(4):
        killed(tmp_path / str(seed), packed, seconds=30, moments=5, seed=seed)


def to_run(settings, runs: Path, *cells: str) -> list[Cell]:
    """One cell for each, its overrides separated by spaces."""
    made = []
    for number, overrides in enumerate(cells):
        folder = runs / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        cfg = settings(*SHORT, f"pretrain.cache={runs / 'cache'}", *overrides.split())
        made.append(Cell(cfg, folder, "digits", cfg.method._target_.split(".")[-2]))
    return made


def test_members_of_a_pack_end_where_they_end_alone(settings, tmp_path):
    """100 steps, classes of different sizes; rounding differs between one and many and grows with the rate."""
    options = "pretrain=none trainer.max_epochs=25 optimizer.milestones=[] optimizer.lr=1e-5 split.labeled_ratio=0.05"
    cells = [f"{options} split.normal_class={c} seed={c}" for c in (0, 3, 8)]
    packed = run_cells(to_run(settings, tmp_path / "packed", *cells), stack=True)
    for number, cell in enumerate(to_run(settings, tmp_path / "alone", *cells)):
        alone = run_cell(Cell(cell.cfg, cell.folder, "digits", "deep_sad"))
        together = packed[number]
        assert isinstance(together, Result)
        assert together.metrics["auroc"] == pytest.approx(alone.metrics["auroc"], abs=1e-4)
        assert together.counts == alone.counts
        assert together.history.keys() == alone.history.keys()
        np.testing.assert_allclose(together.history["train"]["loss"], alone.history["train"]["loss"], rtol=1e-3)
        states = [
            torch.load(folder / "model.ckpt", weights_only=True)["state_dict"]
            for folder in (tmp_path / "packed" / str(number), cell.folder)
        ]
        for name, value in states[1].items():
            distance = torch.linalg.vector_norm((states[0][name] - value).double())
            # a tie in a max-pool goes the other way here and there; tables keep 1e-5 (the contract suite)
            assert distance <= 1e-4 * torch.linalg.vector_norm(value.double()), name


def test_a_pack_that_is_killed_goes_on(settings, tmp_path, monkeypatch):
    cells = [f"trainer.max_epochs=6 split.known_anomaly={k} split.labeled_ratio=0.05" for k in range(3)]
    expected = run_cells(to_run(settings, tmp_path / "unbroken", *cells), stack=True)
    real = values.new_trainer

    class Kill(Callback):
        def on_train_epoch_end(self, trainer, pl_module) -> None:
            if trainer.current_epoch == 4:
                raise KeyboardInterrupt

    def killing(make, stages, **kwargs):
        trainer = real(make, stages, **kwargs)
        for callback in trainer.callbacks:
            if isinstance(callback, ResumeCheckpoint):
                callback.seconds = 0
        if stages and stages[0].name == "train":
            trainer.callbacks.insert(0, Kill())
        return trainer

    monkeypatch.setattr(values, "new_trainer", killing)
    with pytest.raises(KeyboardInterrupt):
        run_cells(to_run(settings, tmp_path / "broken", *cells), stack=True)
    assert len(list((tmp_path / "broken").rglob("train.*.resume.ckpt"))) == 1
    monkeypatch.setattr(values, "new_trainer", real)
    again = run_cells(to_run(settings, tmp_path / "broken", *cells), stack=True)
    for one, other in zip(again, expected, strict=True):
        assert one.resumed
        assert one.metrics == other.metrics
        assert one.history["train"] == other.history["train"]
    assert_nothing_is_left_over(tmp_path / "broken")


@pytest.mark.parametrize("written", range(4))
def test_a_pack_that_is_killed_between_the_entries_of_its_cache_goes_on(written, settings, tmp_path, monkeypatch):
    """Else the members whose entries are missing would train in a smaller population, which rounds otherwise."""
    cells = [f"method=deep_svdd pretrain=none split.normal_class={c} split.labeled_ratio=0.05" for c in (0, 3, 8)]
    expected = run_cells(to_run(settings, tmp_path / "unbroken", *cells), stack=True)
    real, before = members._write, iter(range(4))

    def write(path, document) -> None:
        if next(before) == written:
            raise KeyboardInterrupt
        real(path, document)

    monkeypatch.setattr(members, "_write", write)
    with pytest.raises(KeyboardInterrupt):
        run_cells(to_run(settings, tmp_path / "broken", *cells), stack=True)
    monkeypatch.setattr(members, "_write", real)
    again = run_cells(to_run(settings, tmp_path / "broken", *cells), stack=True)
    for number, (one, other) in enumerate(zip(again, expected, strict=True)):
        assert one.metrics == other.metrics
        scores = [np.load(tmp_path / name / str(number) / "scores.npz")["score"] for name in ("unbroken", "broken")]
        assert np.array_equal(*scores)
    assert {path.suffix for path in (tmp_path / "broken" / "cache").iterdir()} == {".pt"}
    assert_nothing_is_left_over(tmp_path / "broken")


def test_what_stops_one_cell_of_a_pack_does_not_stop_the_others(settings, tmp_path, monkeypatch):
    cells = ["split.labeled_ratio=0.05", "split.labeled_ratio=0.9", "split.labeled_ratio=0.05 seed=1"]
    real = running.start

    def spoil(cell):
        started = real(cell)
        if started.seed == 1:
            with torch.no_grad():
                next(started.learner.trainings[0].method.parameters()).fill_(float("nan"))
        return started

    monkeypatch.setattr(running, "start", spoil)
    healthy, impossible, diverged = run_cells(to_run(settings, tmp_path, *cells), stack=True)
    assert isinstance(healthy, Result)
    assert "split.labeled_ratio" in str(impossible)
    assert "optimizer.lr must let the training converge" in str(diverged)
    assert [path.parent.name for path in tmp_path.rglob("result.json")] == ["0"]


def test_a_method_that_does_not_look_at_labels_trains_once_for_all_of_them(settings, tmp_path):
    cells = [f"method=deep_svdd split.known_anomaly={k} split.labeled_ratio={r}" for k in (0, 5) for r in (0.05, 0.2)]
    results = run_cells(to_run(settings, tmp_path, *cells))
    assert [result.training for result in results] == ["trained", "cached", "cached", "cached"]
    assert all(result.metrics == results[0].metrics for result in results)
    assert all(result.history == results[0].history for result in results)
    assert [result.counts["known_anomaly"] for result in results] == [7, 34, 7, 34]
    (later,) = run_cells(to_run(settings, tmp_path, "method=deep_svdd split.known_anomaly=7 split.labeled_ratio=0.05"))
    assert later.training == "cached"
    (sees,) = run_cells(to_run(settings, tmp_path / "x", "method=deep_sad split.labeled_ratio=0.05"))
    assert sees.training == "trained"


def test_a_pretraining_by_itself_opens_no_logger(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(CellLog, "open", lambda log: pytest.fail("it is the cell's to log"))
    assert pretrain_cells(to_run(settings, tmp_path, "pretrain.epochs=1")) == [None]
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_cells_that_train_together_log_each_to_its_own(settings, tmp_path):
    made = to_run(settings, tmp_path, "seed=0", "seed=1")
    for cell in made:
        cell.cfg.logger = OmegaConf.create(
            {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(cell.folder), "name": "logs"}
        )
    run_cells(made, stack=True)
    texts = [next(cell.folder.rglob("metrics.csv")).read_text() for cell in made]
    assert all("train/loss" in text and "pretrain/loss" in text and "test/auroc" in text for text in texts)
    assert texts[0] != texts[1]
