"""How a grid runs its jobs: what waits for what, what is tried again, what is printed. Nothing is trained here."""

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra._internal.callbacks import Callbacks
from hydra.types import HydraContext
from omegaconf import OmegaConf
from support.grids import cell_named, sweep
from support.results import COORDINATES, edited

from sad_lightning.errors import InputError
from sad_lightning.grid.__main__ import main as grid_main
from sad_lightning.grid.dispatch import WorkerDeath
from sad_lightning.grid.launcher import launch
from sad_lightning.grid.local import Local, gpus
from sad_lightning.grid.plan import Job
from sad_lightning.grid.ray import Ray
from sad_lightning.grid.store import Outcome

SMALL = ("split.normal_class=0,1", "split.known_anomaly=0,1", "split.labeled_ratio=0.0,0.1", "pack=1")


class Inline:
    """Runs a job when its outcome is asked for, the last one first."""

    slots, on_cpu = 2, True

    def __init__(self, limit: int | None = None) -> None:
        self.jobs: list[Job] = []
        self.limit = limit

    def start(self, work: Callable[[Job], list[Outcome] | WorkerDeath], *, accelerator: str, logs: Path) -> None:
        self.work = work

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def next(self) -> tuple[Job, list[Outcome] | WorkerDeath]:
        if self.limit is not None:
            self.limit -= 1
            if self.limit < 0:
                raise KeyboardInterrupt
        job = self.jobs.pop()
        return job, self.work(job)

    def close(self) -> None:
        self.jobs = []


class Work:
    """Finishes every cell, but for those of which something else is said; counts what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[Job] = []

    def __call__(self, job: Job) -> list[Outcome] | WorkerDeath:
        self.asked.append(job)
        return self.pretrain(job) if job.pretrains else self.train(job)

    def pretrain(self, job: Job) -> list[Outcome] | WorkerDeath:
        return []

    def train(self, job: Job) -> list[Outcome] | WorkerDeath:
        return [finished(cell) for cell in job.cells]


def finished(cell) -> Outcome:
    """A result as far as a grid looks at it."""
    folder = Path(cell.folder)
    folder.mkdir(parents=True, exist_ok=True)
    empty = ("normal_classes", "known_classes", "warnings")
    document = {name: [] for name in empty} | {
        name: {} for name in ("settings", "seeds", "counts", "per_class", "seconds", "environment", "history")
    }
    told = {"schema": 3, "coordinates": COORDINATES, "target_fpr": 0.05, "shape": [1, 8, 8], "key": cell.key,
            "data": cell.data, "method": cell.method, "threshold_rows": "",
            "pretraining": "", "resumed": False, "seeds": {}, "counts": {"known_anomaly": 1},
            "metrics": {"auroc": 0.75, "average_precision": 0.5, "recall_at_target_fpr": 0.5, "threshold": 1.0},
            "settings": {"trainer": {"max_epochs": 60}, "split": {}}}  # fmt: skip
    (folder / "result.json").write_text(json.dumps(document | told))
    return Outcome(cell.key, "finished", 0.75)


@pytest.fixture
def run_grid(tmp_path, monkeypatch):
    def grid(work, *arguments: str, backend: Inline | None = None, retries: int = 1):
        monkeypatch.setattr("sad_lightning.grid.launcher.instantiate", instantiate_with(backend or Inline()))
        with sweep(f"runs={tmp_path}", *SMALL, *arguments) as (loader, master, cells):
            context = HydraContext(loader, Callbacks())
            return launch(context, master, cells, OmegaConf.create(), work, retries=retries, first=0)

    return grid


def instantiate_with(backend: Inline):
    from hydra.utils import instantiate

    return lambda settings: instantiate(settings) if "_target_" in settings else backend


def test_what_takes_longest_begins_first_after_what_others_wait_for(run_grid):
    work, backend = Work(), Inline()
    begun: list[Job] = []
    submit = backend.submit
    backend.submit = lambda job: (begun.append(job), submit(job))
    one = ("split.normal_class=0", "split.known_anomaly=0", "split.labeled_ratio=0.1", "pretrain.epochs=2")
    run_grid(work, *one, "trainer.max_epochs=2,30,10", backend=backend)
    assert [job.pretrains for job in begun] == [True, False, False, False]
    assert [job.cells[0].settings["trainer"]["max_epochs"] for job in begun[1:]] == [30, 10, 2]


@pytest.mark.parametrize(
    "wrong", ["batch_size=two", "batch_size=0", "trainer.max_epochs=null", "ensemble=x", "~pretrain.epochs"]
)
def test_a_wrong_setting_is_left_to_its_cell(wrong, run_grid):
    """The plan wants to know how long a cell takes, and is no judge of its settings."""
    work = Work()
    run_grid(work, wrong)
    assert sum(len(job.cells) for job in work.asked if not job.pretrains) == 6


def test_what_is_needed_comes_first_and_equal_cells_run_once(run_grid, tmp_path, capsys):
    work = Work()
    returned = run_grid(work)
    assert [each.return_value for each in returned] == [0.75] * 8
    assert Counter(job.pretrains for job in work.asked) == {True: 2, False: 6}
    for place, job in enumerate(work.asked):
        assert set(job.needs) <= {earlier.number for earlier in work.asked[:place]}
    out = capsys.readouterr().out
    assert "8 cells, 6 distinct: 0 done, 6 to run" in out
    assert "2 pretrainings shared by 6 cells" in out
    assert "6 packs of up to 1 cell (pack=1), 2 at a time" in out
    again = Work()
    assert [each.return_value for each in run_grid(again)] == [0.75] * 8
    assert again.asked == []  # all is there
    assert "8 cells, 6 distinct: 6 done, 0 to run" in capsys.readouterr().out
    more = Work()
    run_grid(more, "overwrite=true")
    assert sum(not job.pretrains for job in more.asked) == 6


def test_each_model_of_an_ensemble_is_a_member_of_the_pack(run_grid, capsys):
    grid = ("split.normal_class=0", "split.known_anomaly=0", "seed=range(0,12)", "pack=auto", "plan_only=true")
    run_grid(Work(), *grid)
    assert "of up to 12 cells" in capsys.readouterr().out  # some for each of two workers
    run_grid(Work(), *grid, "ensemble=50")
    assert "of up to 2 cells" in capsys.readouterr().out


def test_a_plan_is_told_and_nothing_runs(run_grid, tmp_path, capsys):
    work = Work()
    assert run_grid(work, "plan_only=true") == []
    assert work.asked == []
    assert "6 to run" in capsys.readouterr().out
    assert not list(tmp_path.rglob("plan.json"))


def test_what_was_interrupted_goes_on_in_the_packs_it_began_with(run_grid, tmp_path, capsys):
    first = Work()
    with pytest.raises(KeyboardInterrupt, match="to go on: python -m sad_lightning"):
        run_grid(first, "pack=2", backend=Inline(limit=4))
    (plan,) = tmp_path.rglob("plan.json")
    before = plan.read_text()
    packs = {job["number"]: job["cells"] for job in json.loads(before)["jobs"]}
    done = {path.parent.name.split("_")[-1] for path in tmp_path.rglob("result.json")}
    assert 0 < len(done) < 6
    one = next(iter(done))
    folder = next(path.parent for path in tmp_path.rglob("result.json") if path.parent.name.endswith(one))
    (folder / "result.json").unlink()  # as if it had been killed between two results of a pack
    second = Work()
    run_grid(second, "pack=2")
    assert plan.read_text() == before
    assert all([cell.key for cell in job.cells] == packs[job.number] for job in second.asked)
    assert len(list(tmp_path.rglob("result.json"))) == 6
    assert {cell.key for job in second.asked if not job.pretrains for cell in job.cells} >= {one}


def test_a_stored_plan_says_how_cells_are_packed_and_never_what_they_are(run_grid, tmp_path, monkeypatch):
    first = Work()
    with pytest.raises(KeyboardInterrupt):
        run_grid(first, "pack=2", backend=Inline(limit=3))
    (path,) = tmp_path.rglob("plan.json")
    good = path.read_bytes()
    with edited(path) as plan:
        for cell in plan["cells"]:
            cell["settings"] = {"method": {"_target_": "os.system", "command": "exit 1"}}
            cell["folder"] = "../../elsewhere"
    second = Work()
    run_grid(second, "pack=2", backend=Inline(limit=None))
    cells = [cell for job in second.asked for cell in job.cells]
    assert {cell.settings["method"]["_target_"] for cell in cells} == {"sad_lightning.methods.DeepSAD"}
    assert {Path(cell.folder).is_relative_to(tmp_path / "digits") for cell in cells} == {True}
    path.write_bytes(good)
    with edited(path) as plan:
        plan["cells"].append({**plan["cells"][0], "key": "another"})
        plan["jobs"].append({**plan["jobs"][-1], "number": 99, "cells": ["another"]})
    next(tmp_path.rglob("result.json")).unlink()
    third = Work()
    run_grid(third, "pack=2")
    assert {cell.key for job in third.asked for cell in job.cells} <= {cell.key for cell in cells}


@pytest.mark.parametrize("needs", [[0], [7]])
def test_a_plan_whose_jobs_wait_for_themselves_is_planned_again(needs, run_grid, tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        run_grid(Work(), backend=Inline(limit=0))
    (path,) = tmp_path.rglob("plan.json")
    with edited(path) as plan:
        plan["jobs"][0]["needs"] = needs
    run_grid(Work())
    assert f"job 0 needs ({needs[0]},)" in capsys.readouterr().err
    assert len(list(tmp_path.rglob("result.json"))) == 6


def test_where_and_how_cells_run_may_change_from_try_to_try(run_grid, tmp_path, monkeypatch):
    """The plan that is frozen says what trains as one; all that no number depends on is as it is typed now."""
    one, two = Work(), Work()
    run_grid(one, "pack=2")
    state = Path(one.asked[0].cells[0].folder) / "train.x.resume.ckpt"
    state.touch()
    run_grid(two, "pack=2", "overwrite=true", "trainer.accelerator=cpu")
    assert [job.number for job in two.asked] == [job.number for job in one.asked]
    for job in two.asked:
        for cell in job.cells:
            assert cell.settings["overwrite"]
            assert cell.settings["trainer"]["accelerator"] == "cpu"
    assert not state.exists()
    moved = tmp_path.with_name(f"{tmp_path.name}_moved")
    tmp_path.rename(moved)
    next(moved.rglob("result.json")).unlink()
    three = Work()
    run_grid(three, "pack=2", f"runs={moved}")
    assert three.asked
    assert {moved in Path(cell.folder).parents for job in three.asked for cell in job.cells} == {True}
    assert not list(tmp_path.rglob("result.json"))


def test_a_worker_that_dies_is_replaced_and_its_cells_are_tried_again(run_grid, tmp_path, capsys):
    class Mortal(Work):
        def train(self, job):
            again = sum(job.number == other.number for other in self.asked) > 1
            return super().train(job) if again else WorkerDeath("killed")

    work = Mortal()
    assert len(run_grid(work)) == 8
    assert sum(not job.pretrains for job in work.asked) == 12
    assert "killed; tried again: 1 cell" in capsys.readouterr().err


def test_cells_whose_worker_always_dies_have_failed_and_the_others_go_on(run_grid, tmp_path, capsys, monkeypatch):
    class Deadly(Work):
        def train(self, job):
            doomed = any(cell.settings["split"]["normal_class"] == 1 for cell in job.cells)
            return WorkerDeath("killed") if doomed else super().train(job)

    with pytest.raises(InputError, match="3 of 6 cells failed"):
        run_grid(Deadly(), retries=2)
    err = capsys.readouterr().err
    assert err.count("tried again") == 6
    assert "split.normal_class=1 split.known_anomaly=0 split.labeled_ratio=0.1" in err
    assert "once more: python -m sad_lightning" in err
    assert len(list(tmp_path.rglob("result.json"))) == 3
    assert len(list(tmp_path.rglob("failure.json"))) == 3
    monkeypatch.setattr("sys.argv", ["grid", "status", str(tmp_path)])
    grid_main()
    told = capsys.readouterr().out
    assert "8 cells, 6 distinct: 3 failed, 3 finished\n  mean AUROC " in told
    assert told.count("once more: python -m sad_lightning") == 3
    work = Work()
    assert len(run_grid(work)) == 8  # the same command tries them again
    assert not list(tmp_path.rglob("failure.json"))
    assert sum(not job.pretrains for job in work.asked) == 3


def test_cells_of_a_pretraining_that_failed_are_not_tried(run_grid, tmp_path, capsys):
    class Bad(Work):
        def pretrain(self, job):
            return [Outcome(c.key, "failed", line="nan") for c in job.cells if c.settings["split"]["normal_class"] == 0]

    work = Bad()
    with pytest.raises(InputError, match="3 of 6 cells failed"):
        run_grid(work)
    assert "its pretraining failed: nan" in capsys.readouterr().err
    assert sum(not job.pretrains for job in work.asked) == 3


def test_what_is_not_defined_is_skipped_and_not_asked_again(run_grid, tmp_path, capsys):
    class Picky(Work):
        def train(self, job):
            return [
                finished(cell)
                if cell.settings["split"]["labeled_ratio"]
                else Outcome(cell.key, "not defined", line="no")
                for cell in job.cells
            ]

    run_grid(Picky())
    told = capsys.readouterr()
    assert "4 finished, 2 not defined, mean AUROC 75.00 %" in told.out
    assert "2 cells skipped: no" in told.err
    work = Work()
    run_grid(work)
    assert work.asked == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trainer.devices=2"], "trainer.devices must be 1 within a sweep"),
        (["pack=0"], "pack must be a whole number >= 1"),
        (["pack=some"], "pack must be"),
        (["overwrite=maybe"], "overwrite must be true or false"),
        (["plan_only=1"], "plan_only must be true or false"),
        (["seed=range(0,0)"], "the axes of the sweep span no cell"),
        (["hydra.sweep.subdir=one"], "hydra.sweep.subdir must give every cell a folder of its own"),
    ],
)
def test_what_a_grid_refuses(arguments, words, run_grid, tmp_path):
    with pytest.raises(InputError, match=words):
        run_grid(Work(), *arguments)
    assert list(tmp_path.iterdir()) == []


def echo(job: Job) -> list[Outcome]:
    """What a worker of the test does: say where it is, or die."""
    name = job.cells[0].key
    if name == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return [Outcome(name, "finished", line=f"{os.environ['OMP_NUM_THREADS']} {os.environ.get('CUDA_VISIBLE_DEVICES')}")]


def test_local_workers_have_their_threads_and_devices_and_are_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert gpus() == ["5", "7"]
    local = Local(None)
    local.start(echo, accelerator="auto", logs=tmp_path)
    assert (local.slots, local.on_cpu) == (2, False)
    cells = [
        type(cell_named(0))(**{**cell_named(n).__dict__, "key": key}) for n, key in enumerate(["a", "die", "b", "c"])
    ]
    for number, cell in enumerate(cells):
        local.submit(Job(number, (cell,), pretrains=False, needs=(), stack=False))
    ended = [local.next() for _ in cells]
    local.close()
    came = {job.cells[0].key: what for job, what in ended}
    assert isinstance(came["die"], WorkerDeath)
    assert "SIGKILL" in came["die"].reason
    assert {came[key][0].line.split()[1] for key in "abc"} <= {"5", "7"}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpus() == []
    alone = Local(1)
    alone.start(echo, accelerator="cpu", logs=tmp_path)
    alone.submit(Job(0, (cells[0],), pretrains=False, needs=(), stack=False))
    ((_, (outcome,)),) = [alone.next()]
    assert int(outcome.line.split()[0]) == max(1, len(os.sched_getaffinity(0)))  # one worker has all cores
    alone.close()


def test_a_cluster_that_does_not_start_is_one_line(monkeypatch, tmp_path):
    ray = pytest.importorskip("ray", reason="Ray is an extra")

    def init(**_: object) -> None:
        raise Exception("The current node timed out\nand more")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(InputError, match=r"\(The current node timed out\)") as caught:
        Ray(None, 1, 0).start(echo, accelerator="cpu", logs=tmp_path)
    assert "\n" not in str(caught.value)
