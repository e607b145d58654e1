"""What a grid is made of: its cells, what they share, what trains as one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.grids import cell_named, cells_of
from support.results import COORDINATES, write_cell

from sad_lightning.cell.key import cell_key, contents_of
from sad_lightning.config.compose import composed
from sad_lightning.data.sets.images import digits
from sad_lightning.errors import InputError
from sad_lightning.files import whole_file
from sad_lightning.grid.estimate import Estimate, estimate_duration, seconds_of_steps
from sad_lightning.grid.plan import Job, PlannedCell, jobs_of
from sad_lightning.grid.store import (
    Grid,
    Outcome,
    command_of,
    failure_of,
    grid_name,
    grids,
    outcome_of,
    outcomes_of,
    write_outcome,
)
from sad_lightning.result import FAILURE
from sad_lightning.training.stacking import stacking_pays


def test_the_whole_scenario_is_planned_and_equal_cells_are_one():
    cells = cells_of("+experiment=digits_scenario1")
    assert len(cells) == 450
    distinct = {cell.key: cell for cell in reversed(cells)}
    assert len(distinct) == 370  # at ratio 0 the nine known classes are one
    assert len({cell.shares for cell in cells}) == 10  # an autoencoder for each normal class
    assert len({cell.folder for cell in distinct.values()}) == 370
    zero = [cell for cell in cells if cell.settings["split"]["labeled_ratio"] == 0]
    assert len({cell.key for cell in zero}) == 10
    jobs = jobs_of(list(distinct.values()), size=lambda _: 100, slots=2)
    assert [len(job.cells) for job in jobs if job.pretrains] == [5, 5]
    assert sorted(len(job.cells) for job in jobs if not job.pretrains) == [10, 90, 90, 90, 90]
    assert all(job.needs == (0, 1) for job in jobs if not job.pretrains)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ("runs=/elsewhere", True),
        ("trainer.accelerator=cpu", True),
        ("logger=csv", True),
        ("pack=7", True),
        ("patience=0", True),
        ("split.known_weights=null", True),
        ("patience=3", False),
        ("hydra/launcher=basic", True),
        ("pretrain.cache=/elsewhere", True),
        ("overwrite=true", True),
        ("trainer.precision=bf16-mixed", False),
        ("seed=1", False),
        ("method.eta=2.0", False),
        ("split.known_anomaly=1", False),
        ("network.rep_dim=64", False),
    ],
)
def test_a_key_names_what_determines_numbers_and_nothing_else(change, same):
    (plain,), (changed,) = cells_of("logger=none"), cells_of("logger=none", change)
    assert (plain.key == changed.key) == same


def test_own_files_are_named_by_their_content_also_where_an_audit_wraps_them(tmp_path):
    (tmp_path / "labels.csv").write_text("file,label")
    data = {"path": str(tmp_path), "labels": str(tmp_path / "labels.csv")}
    before = contents_of(data)
    assert before.keys() == {"data_content", "labels_content"}
    assert contents_of({"path": data["path"], "data": data}) == before
    assert contents_of({"path": "???", "root": None}) == {}  # rows in memory
    (tmp_path / "labels.csv").write_text("file,label,group")
    assert contents_of({"path": data["path"], "data": data})["labels_content"] != before["labels_content"]


def test_settings_of_a_pretraining_that_there_is_not_do_not_count():
    (one,), (other,) = cells_of("method=ae"), cells_of("method=ae", "pretrain.epochs=3")
    assert one.key == other.key
    assert one.shares == ""
    (deep,), (longer,) = cells_of("method=deep_sad"), cells_of("method=deep_sad", "pretrain.epochs=3")
    assert deep.key != longer.key
    assert deep.shares != longer.shares


@pytest.mark.parametrize(
    ("change", "shared"),
    [
        ("split.known_anomaly=5", True),
        ("split.labeled_ratio=0.2", True),
        ("method=soft_deep_sad", True),
        ("method=ocsvm_hybrid", True),
        ("method.eta=3.0", True),
        ("split.normal_class=2", False),
        ("split.pollution_ratio=0.1", False),
        ("seed=1", False),
        ("pretrain.optimizer.lr=0.01", False),
    ],
)
def test_what_shares_an_autoencoder(change, shared):
    (one,), (other,) = cells_of("split.labeled_ratio=0.1"), cells_of("split.labeled_ratio=0.1", change)
    assert (one.shares == other.shares) == shared
    (one,), (other,) = (cells_of("pretrain.rows=all", *more) for more in ((), ("split.known_anomaly=5",)))
    assert one.shares != other.shares  # the code of ruff2020: known anomalies train it too


@pytest.mark.parametrize("swept", ["backbone.stages=[a],[b]", "features=raw,patches", "backbone.size=32,64"])
def test_cells_on_patches_have_the_keys_that_hydra_composes(swept):
    cells = cells_of("data=digits", "+preset=defects", "backbone.cache=c", swept)
    assert len({cell.key for cell in cells}) == 2
    for cell in cells:
        assert cell.key == cell_key(composed(*cell.overrides))


def test_packs_leave_every_worker_some_and_hold_one_kind_each():
    cells = [cell_named(n) for n in range(60)]
    assert [len(job.cells) for job in jobs_of(cells, size=lambda _: 100, slots=2)] == [30, 30]
    assert [len(job.cells) for job in jobs_of(cells, size=lambda _: 25, slots=2)] == [20, 20, 20]
    assert [len(job.cells) for job in jobs_of(cells, size=lambda _: 1, slots=2)] == [1] * 60
    mixed = [cell_named(n, kind) for n in range(10) for kind in "abcdef"]
    jobs = jobs_of(mixed, size=lambda _: 100, slots=2)
    assert [len(job.cells) for job in jobs] == [10] * 6
    assert all(len({cell.kind for cell in job.cells}) == 1 for job in jobs)
    assert {cell.key for job in jobs for cell in job.cells} == {cell.key for cell in mixed}
    assert all(job.stack for job in jobs)


def test_a_pretraining_is_a_job_of_its_own_where_several_packs_need_it():
    shared = [cell_named(n, kind, "s1") for kind in "ab" for n in range(2)]
    alone = [cell_named(9, "c", "s2")]
    jobs = jobs_of([*shared, *alone], size=lambda _: 100, slots=1)
    assert (jobs[0].pretrains, len(jobs[0].cells), jobs[0].needs) == (True, 1, ())
    needs = {job.cells[0].kind: (len(job.cells), job.needs) for job in jobs[1:]}
    assert needs == {"a": (2, (0,)), "b": (2, (0,)), "c": (1, ())}  # nobody else needs what the last one pretrains
    assert [job.number for job in jobs] == [0, 1, 2, 3]
    (one,) = jobs_of(shared[:2], size=lambda _: 100, slots=1)  # one pack pretrains for itself
    assert not one.pretrains


def test_neighbours_differ_in_their_normal_class():
    """Two workers do not train twice what a method without an eye for labels trains once."""
    cells = [PlannedCell(**{**cell_named(n).__dict__, "key": f"{n}{k}"}) for n in range(3) for k in range(2)]
    order = [job.cells[0].settings["split"]["normal_class"] for job in jobs_of(cells, size=lambda _: 1, slots=2)]
    assert order == [0, 1, 2, 0, 1, 2]


def test_baselines_come_one_normal_class_after_the_other():
    """A worker keeps its last fit of what has no eye for labels; a mixture of such has no network that others read."""
    classes = ("split.normal_class=0,1,2", "split.known_anomaly=0,1", "split.labeled_ratio=0.05")
    for method, order in {
        "method=knn": [0, 0, 1, 1, 2, 2],
        '+voices.a=["method=knn"]': [0, 0, 1, 1, 2, 2],
        '+voices.a=["method=deep_sad"]': [0, 1, 2, 0, 1, 2],
    }.items():
        jobs = jobs_of(sorted(cells_of(method, *classes), key=lambda cell: cell.key), size=lambda _: 1, slots=2)
        found = [job.cells[0].settings["split"]["normal_class"] for job in jobs if not job.pretrains]
        assert [found.index(number) for number in found] == [order.index(number) for number in order]


def test_stacking_pays_where_steps_are_overhead():
    assert stacking_pays((21,), on_cpu=True).pays
    assert stacking_pays((1, 8, 8), on_cpu=True).pays
    large = stacking_pays((1, 28, 28), on_cpu=True)
    assert (large.pays, large.limit) == (False, 1)
    assert stacking_pays((3, 32, 32), on_cpu=False).limit > 1


def test_a_plan_reads_back_and_damage_is_told(tmp_path):
    cells = tuple(replace(cell_named(n, kind, "s1"), folder=f"{tmp_path}/d/{n}") for n, kind in enumerate("ab"))
    jobs = tuple(jobs_of(cells, size=lambda _: 1, slots=1))
    grid = Grid(grid_name(cells, "auto"), "python -m sad_lightning -m", 3, "0", None, cells, jobs)
    grid.write(tmp_path)
    assert list(grids(tmp_path)) == [grid.with_cells([replace(cell, settings={}) for cell in cells])]
    (moved,) = grids(tmp_path.rename(tmp_path.with_name("moved")))
    assert [cell.folder for cell in moved.cells] == [f"{tmp_path.with_name('moved')}/d/{n}" for n in range(2)]
    tmp_path.with_name("moved").rename(tmp_path)
    assert grid_name(cells, "auto") != grid_name(cells, 1)
    (path,) = tmp_path.rglob("plan.json")
    for damage in ("", "[]", '{"schema": 1}', path.read_text().replace('"schema": 2', '"schema": 0')):
        path.write_text(damage)
        with pytest.raises(InputError, match=r"plan\.json"):
            Grid.read(path)


def test_how_a_cell_ended_is_kept_until_it_ends_well(tmp_path):
    cell = PlannedCell(**{**cell_named(0).__dict__, "folder": str(tmp_path / "cell")})
    assert outcome_of(cell) is None
    write_outcome(cell, Outcome(cell.key, "failed", line="too bad", trace="Traceback ..."))
    assert outcome_of(cell) == Outcome(cell.key, "failed", line="too bad")
    failure = failure_of(Path(cell.folder))
    assert failure["trace"] == "Traceback ..."
    assert failure["command"] == command_of(cell) == "python -m sad_lightning x=1 hydra.mode=RUN"
    other = PlannedCell(**{**cell.__dict__, "key": "another"})
    assert outcome_of(other) is None  # what another cell left there
    (tmp_path / "cell" / FAILURE).write_text("{")
    assert outcome_of(cell) is None
    write_outcome(cell, Outcome(cell.key, "finished", 0.9))
    assert not (tmp_path / "cell" / FAILURE).exists()


def test_a_folder_that_holds_another_cell_is_refused_and_what_a_kill_left_is_removed(tmp_path):
    known = write_cell(tmp_path, "deep_sad", 2.0)
    (folder,) = (path.parent for path in tmp_path.rglob("result.json"))
    folder = folder.rename(tmp_path / "mine")
    (folder / "train.abc.resume.ckpt").touch()
    cell = cells_of("seed=1", f"runs={tmp_path}")[0]
    with pytest.raises(InputError, match="holds the result of another cell"):
        outcomes_of([replace(cell, folder=str(folder))], tmp_path, again=True)
    whole = replace(cell, folder=str(folder), key=known.key)
    for again in (False, True):
        assert (folder / "train.abc.resume.ckpt").exists()
        assert outcomes_of([whole], tmp_path, again=again)[known.key].status == "finished"
    assert not (folder / "train.abc.resume.ckpt").exists()


def test_an_estimate_is_based_on_finished_cells_and_else_on_steps(tmp_path):
    cells = cells_of("split.known_anomaly=0,1", f"runs={tmp_path}")
    jobs = [Job(0, tuple(cells), pretrains=False, needs=(), stack=True)]
    settings = {**cells[0].settings, "pretrain": {"batch_size": 32, "epochs": 60}}
    # 174 eights, 139 of them train: 4 steps of 32 an epoch, 60 epochs
    training = 4 * 60 * (0.09 * 64 * 32 / 200 / 1000)
    assert seconds_of_steps(jobs[0]._replace(needs=(1,)), settings, digits()) == pytest.approx(2 * training)
    assert seconds_of_steps(jobs[0]._replace(pretrains=True), settings, digits()) == pytest.approx(2 * 2 * training)
    work = [seconds_of_steps(job, settings, digits()) for job in jobs]
    assert work == [pytest.approx(2 * 3 * training)]  # two cells, each with its own pretraining
    rough = estimate_duration(jobs, work, tmp_path, slots=2, on_cpu=True)
    assert rough.seconds == pytest.approx(3 * training)  # two cells at a time
    assert estimate_duration(jobs, work, tmp_path, slots=2, on_cpu=False).seconds is None
    folder = tmp_path / "digits" / "deep_sad" / "one"
    folder.mkdir(parents=True)
    document = {
        "schema": 3, "key": "k", "data": "digits", "method": "deep_sad", "normal_classes": [], "known_classes": [],
        "settings": {"trainer": {"max_epochs": 60}, "split": {}}, "seeds": {}, "threshold_rows": "",
        "coordinates": COORDINATES, "target_fpr": 0.05, "shape": [1, 8, 8],
        "counts": {"known_anomaly": 0},
        "metrics": {"auroc": 0.9, "average_precision": 0.9, "recall_at_target_fpr": 0.9, "threshold": 1.0},
        "pretraining": "", "resumed": False, "per_class": {}, "seconds": {"train": 8.0, "score": 2.0},
        "environment": {"device": "cuda NVIDIA H100"}, "history": {}, "warnings": [],
    }  # fmt: skip
    (folder / "result.json").write_text(json.dumps(document))
    assert estimate_duration(jobs, work, tmp_path, slots=2, on_cpu=False).seconds == 10.0  # two cells at a time
    assert estimate_duration(jobs, work, tmp_path, slots=2, on_cpu=True).seconds == rough.seconds  # a CPU is no GPU
    assert str(Estimate(7200.0, "x")) == "about 2.0 hours (x)"
    assert "not known" in str(Estimate(None, "x"))


def test_what_a_killed_process_left_of_a_file_goes_with_the_next_try(tmp_path):
    with whole_file(tmp_path / "a.json") as part:
        part.write_text("1")
        alive = part.name
    dead = tmp_path / alive.replace(alive.split(".")[-2], "4194304")  # above the largest pid
    other = tmp_path / ".b.json.elsewhere.17.part"
    dead.write_text("half")
    other.write_text("somebody's")
    with whole_file(tmp_path / "a.json") as part:
        part.write_text("2")
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", other.name}
    assert (tmp_path / "a.json").read_text() == "2"
