"""What Hydra's own settings want of every job: a grid does it as Hydra's launcher does."""

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hydra.experimental.callback import Callback
from omegaconf import OmegaConf
from support.commands import run_main

from sad_lightning.grid.hydra_job import HydraJob

FAST = ("method=iforest", "logger=none")
GRID, BASIC = "hydra/launcher=grid", "hydra/launcher=basic"


class Notes(Callback):
    """Writes what it sees of each job into a file: in whose folder, under which environment, and how it ended."""

    def __init__(self, path: str) -> None:
        self.path = path

    def on_job_start(self, config, *, task_function, **kwargs) -> None:
        self._note("start", config, Path.cwd().name, os.environ.get("COLOUR"))

    def on_job_end(self, config, job_return, **kwargs) -> None:
        self._note("end", config, job_return.status.name, job_return._return_value)

    def _note(self, event, config, *values) -> None:
        with open(self.path, "a") as file:
            print(event, config.hydra.job.num, config.method._target_, *values, file=file)


class Multirun(Callback):
    """Looks at no job."""

    def on_multirun_end(self, config, **kwargs) -> None:
        print("the sweep is over")


def notes_of(tmp_path, launcher: str, *arguments: str) -> list[str]:
    path = tmp_path / f"{launcher.partition('=')[2]}.txt"
    callback = (f"+hydra.callbacks.notes._target_={__name__}.Notes", f"+hydra.callbacks.notes.path={path}")
    run_main("-m", launcher, f"runs={tmp_path / path.stem}", *FAST, *callback, *arguments)
    return sorted(path.read_text().splitlines()) if path.exists() else []


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Workers import the callbacks as this file does."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(Path(__file__).parent), os.environ.get("PYTHONPATH", ""))))


def test_callbacks_folder_and_environment_are_those_of_hydras_launcher(tmp_path):
    settings = (
        "hydra.job.chdir=true", "+hydra.job.env_set.COLOUR='blue${hydra:job.num}'", "hydra.output_subdir=.hydra",
        "method.trees=9,19",
    )  # fmt: skip
    ours, theirs = (notes_of(tmp_path, launcher, *settings) for launcher in (GRID, BASIC))
    assert ours == theirs
    assert len(ours) == 4
    for launcher in ("grid", "basic"):
        composed = sorted(path.parent.parent.name for path in (tmp_path / launcher).rglob(".hydra/config.yaml"))
        assert len(composed) == 2
        assert all(any(name in line for name in composed) for line in ours if line.startswith("start"))


def test_a_shared_pretraining_has_the_environment_of_a_job():
    cfg = OmegaConf.create({"hydra": {"job": {"name": "train", "env_set": {"COLOUR": "blue"}}}})
    job, seen = SimpleNamespace(cells=(SimpleNamespace(key="a"),), pretrains=True), []
    HydraJob(lambda _: seen.append(os.environ.get("COLOUR")), None, {"a": cfg})(job)
    assert seen == ["blue"]
    assert "COLOUR" not in os.environ


def test_a_callback_sees_that_a_cell_failed(tmp_path):
    notes = notes_of(tmp_path, GRID, "method.trees=-1")
    assert [note.split()[:1] for note in notes] == [["end"], ["start"]]
    assert "FAILED method.trees must be a whole number" in notes[0]


def test_a_grid_says_why_it_does_not_pack(tmp_path):
    for settings, reason in (
        (("+hydra.job.env_set.COLOUR=blue",), "alone, for hydra.job.env_set are of one cell"),
        (("hydra.job.chdir=true", "hydra.output_subdir=.hydra"), "hydra.job.chdir and hydra.output_subdir are of one"),
        ((f"+hydra.callbacks.notes._target_={__name__}.Multirun",), None),
    ):
        one = "hydra.launcher.backend.workers=1"
        outcome = run_main("-m", "plan_only=true", "seed=0,1", f"runs={tmp_path}", "pack=2", one, *settings)
        assert outcome.code == 0, outcome.err
        packs = "1 pack of up to 2 cells" if reason is None else "2 packs of up to 1 cell"
        assert packs in outcome.out
        assert (reason or "pack=2") in outcome.out


@pytest.mark.parametrize("launcher", [GRID, BASIC])
def test_a_cell_may_be_named_by_its_number(launcher, tmp_path):
    named = ("hydra.sweep.subdir='number${hydra.job.num}'", "seed='${hydra:job.num}'", "split.normal_class=3,4")
    outcome = run_main("-m", launcher, f"runs={tmp_path}", "method=knn", "logger=none", *named)
    assert outcome.code == 0, outcome.err
    results = {path.parent.name: path.read_text() for path in tmp_path.glob("*/result.json")}
    assert sorted(results) == ["number0", "number1"]
    for number, text in enumerate(results[name] for name in sorted(results)):
        assert f'"seed": {number},' in text
        assert f'"normal_class": {3 + number},' in text
    if launcher == GRID:
        assert f"sad_lightning.report {os.path.relpath(tmp_path)}\n" in outcome.out


def test_a_number_counts_on_where_hydra_launches_in_batches(tmp_path):
    named = ("hydra.sweep.subdir='${hydra.job.num}'", "hydra.sweeper.max_batch_size=1", "seed=0,1")
    outcome = run_main("-m", GRID, f"runs={tmp_path}", "method=knn", "logger=none", *named)
    assert outcome.code == 0, outcome.err
    assert sorted(path.parent.name for path in tmp_path.glob("*/result.json")) == ["0", "1"]


def test_commands_that_go_on_are_for_the_folder_where_the_command_was_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(300, 2))
    np.savez("rows.npz", X=x, columns=["a", "b"], status=np.where(np.arange(300) < 5, "anomaly", ""))
    table = ("data=table", "data.label=status", "method=iforest", "logger=none", "hydra.job.chdir=true", "runs=here")
    for mode in ((), ("-m", "seed=0,1")):
        outcome = run_main(*mode, *table, "data.path=rows.npz")
        assert outcome.code == 2
        assert "data.path must be a whole path with hydra.job.chdir=true" in outcome.err
        assert f"data.path={tmp_path}/rows.npz" in outcome.err
        assert not list(tmp_path.glob("here/*/*"))
    outcome = run_main(*table, f"data.path={tmp_path}/rows.npz")
    assert outcome.code == 0, outcome.err
    assert "  folder                   here/table/iforest/seed0_" in outcome.out
    assert "sad_lightning.report here " in outcome.out
