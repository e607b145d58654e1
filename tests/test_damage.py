"""Every file that is read back: damaged in any way it is known as damaged, and what it held is done again.

And every file that is written: where that fails, nothing is half there, and the same command goes on.
"""

import contextlib
import errno
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from support.cells import SHORT
from support.commands import run_main
from support.grids import cell_named
from support.results import COORDINATES, edited, write_cell

from sad_lightning.cell import values
from sad_lightning.cell.checkpoint import load_model
from sad_lightning.cell.run import run_cell
from sad_lightning.cell.values import Cell
from sad_lightning.errors import DamagedError, InputError
from sad_lightning.files import read_json, write_archive, write_json
from sad_lightning.grid.plan import Job, jobs_of
from sad_lightning.grid.store import Grid, Outcome, outcome_of, write_outcome
from sad_lightning.grid.worker import work
from sad_lightning.methods.deep_sad import DeepSAD
from sad_lightning.report.gather.groups import read
from sad_lightning.result import FAILURE, Result, finished, read_arrays, write_arrays
from sad_lightning.results import Results
from sad_lightning.training.resume import ResumeCheckpoint


def cut(path: Path, other: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path, other: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 4
    path.write_bytes(content)


def swap(path: Path, other: Path) -> None:
    shutil.copy(other, path)


def empty(path: Path, other: Path) -> None:
    path.write_bytes(b"")


def of_another_version(path: Path, other: Path) -> None:
    """The same content, written by a version that wrote it otherwise."""
    if path.suffix == ".json":
        write_json(path, {**read_json(path), "schema": 99})
    else:
        content = path.read_bytes()
        end = content.rindex(b"sad_lightning ")
        kind = content[end:].split(b" ", 1)[1].rsplit(b" ", 1)[0].decode()
        whole = content[: end - 2] + b"\0\0"
        write_archive(path, f"{kind} 99", lambda file: file.write(whole))


DAMAGES = (cut, flip, swap, empty, of_another_version)


class Stop(lightning.Callback):
    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt


def train(settings, folder: Path, seed: int = 0) -> np.ndarray:
    cfg = settings(*SHORT, "trainer.max_epochs=3", f"seed={seed}", f"pretrain.cache={folder / 'cache'}")
    result = run_cell(Cell(cfg, folder, "digits", "deep_sad"))
    return read_arrays(folder / "scores.npz", result.key)["score"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def cells(settings, kept, tmp_path, monkeypatch) -> Path:
    """A folder of three cells: 0 and 1 were pretrained and stopped in their second epoch, whole is 0 to its end."""
    if not any(kept.iterdir()):
        real = values.new_trainer

        def stopping(make, stages, **kwargs):
            trainer = real(make, stages, **kwargs)
            for callback in trainer.callbacks:
                if isinstance(callback, ResumeCheckpoint):
                    callback.seconds = 0
            if stages and stages[0].name == "train":
                trainer.callbacks.append(Stop())
            return trainer

        with monkeypatch.context() as patch:
            patch.setattr(values, "new_trainer", stopping)
            for seed in range(2):
                with pytest.raises(KeyboardInterrupt):
                    train(settings, kept / str(seed), seed)
        train(settings, kept / "whole")
    return shutil.copytree(kept, tmp_path / "cells")


@pytest.mark.parametrize("damage", [cut, flip, swap], ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("pattern", ["train.*.resume.ckpt", "cache/*.pt"])
def test_what_a_training_reads_is_set_aside_and_done_again(pattern, damage, cells, settings, capsys):
    (path,), (other,) = (list((cells / str(seed)).glob(pattern)) for seed in range(2))
    if pattern.startswith("cache"):
        next((cells / "0").glob("train.*.resume.ckpt")).unlink()  # or it would go on behind its pretraining
    damage(path, other)
    scores = train(settings, cells / "0")
    whole = Result.read(cells / "whole")
    assert np.array_equal(scores, read_arrays(cells / "whole" / "scores.npz", whole.key)["score"])
    told = capsys.readouterr().err
    assert told == f"{told.splitlines()[0]}\n"
    assert f"{path}: " in told
    assert "what it held is done again" in told
    assert path.with_name(f"{path.name}.damaged").exists()


def test_a_network_whose_code_has_changed_does_not_go_on_from_the_state_of_the_old_one(cells, settings, capsys):
    (path,) = (cells / "0").glob("train.*.resume.ckpt")
    state = torch.load(path, weights_only=True)
    state["state_dict"] = {f"{name}2": value for name, value in state["state_dict"].items()}
    kind = re.search(rb"sad_lightning (.+) [0-9a-f]{32}$", path.read_bytes())[1].decode()
    write_archive(path, kind, lambda file: torch.save(state, file))
    train(settings, cells / "0")
    assert "of a network of other shapes" in capsys.readouterr().err


def write_result(folder: Path, number: int) -> Path:
    key = write_cell(folder, "ae", 1.0, seed=number, scores=False).key
    return next(folder.rglob("result.json")).parent.rename(folder / f"cell_{key}") / "result.json"


def write_scores(folder: Path, number: int) -> Path:
    write_arrays(folder / "scores.npz", f"key{number}", {"score": np.arange(300.0), "row": np.arange(300)})
    return folder / "scores.npz"


def write_plan(folder: Path, number: int) -> Path:
    cells = (cell_named(number),)
    Grid(f"grid{number}", "", 1, "0", None, cells, tuple(jobs_of(cells, size=lambda _: 1, slots=1))).write(folder)
    return folder / "grids" / f"grid{number}" / "plan.json"


READ = {
    write_result: lambda path: finished(path.parent, path.parent.name[5:], again=False),
    write_scores: lambda path: read_arrays(path, "key0"),
    write_plan: Grid.read,
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("write", READ, ids=lambda write: write.__name__)
def test_what_a_command_reads_is_known_as_damaged(write, damage, tmp_path):
    path, other = write(tmp_path / "a", 0), write(tmp_path / "b", 1)
    READ[write](path)
    damage(path, other)
    with pytest.raises(DamagedError) as caught:
        READ[write](path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def folder(path: Path) -> None:
    path.mkdir()


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")  # never ends


@pytest.mark.parametrize("other", [folder, device, os.mkfifo], ids=lambda other: other.__name__)
@pytest.mark.parametrize("write", READ, ids=lambda write: write.__name__)
def test_what_is_no_file_is_damaged(write, other, tmp_path):
    path = write(tmp_path, 0)
    path.unlink()
    other(path)
    with pytest.raises(DamagedError, match="must be a file"):
        READ[write](path)


@pytest.mark.parametrize("other", [folder, device, os.mkfifo], ids=lambda other: other.__name__)
def test_an_index_that_is_no_file_is_left_alone(other, tmp_path):
    result = Result.read(write_result(tmp_path, 0).parent)
    other(tmp_path / ".results.index")
    for _ in range(2):
        results = Results(tmp_path)
        assert results.read(f"cell_{result.key}").metrics == result.metrics
        results.save()


@pytest.mark.parametrize("write", READ, ids=lambda write: write.__name__)
def test_a_flip_of_any_bit_is_known_or_changes_nothing(write, tmp_path):
    path = write(tmp_path, 0)
    good, expected = path.read_bytes(), repr(READ[write](path))
    generator = np.random.default_rng(0)
    for place in generator.integers(len(good), size=150):
        content = bytearray(good)
        content[place] ^= 1 << generator.integers(8)
        path.write_bytes(content)
        with contextlib.suppress(DamagedError):
            assert repr(READ[write](path)) == expected, place


@pytest.mark.parametrize("damage", DAMAGES[:-1], ids=lambda damage: damage.__name__)
def test_a_cell_whose_failure_is_damaged_is_to_be_run(damage, tmp_path):
    cells = [replace(cell_named(number), folder=str(tmp_path / str(number))) for number in range(2)]
    for cell in cells:
        write_outcome(cell, Outcome(cell.key, "failed", line="too bad"))
    damage(*(Path(cell.folder) / FAILURE for cell in cells))
    assert outcome_of(cells[0]) is None


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_checkpoint_is_told(damage, cells, settings):
    result, path = Result.read(cells / "whole"), cells / "whole" / "model.ckpt"
    other = cells / "other.ckpt"
    write_archive(other, "Lightning checkpoint of cell another", lambda file: file.write(path.read_bytes()))
    load_model(path, result.settings)
    damage(path, other)
    with pytest.raises(InputError, match="must be the checkpoint of the cell"):
        load_model(path, result.settings)


STRANGE = {
    "metrics": {"auroc": 1e308, "average_precision": 0.5, "recall_at_target_fpr": 0.5, "threshold": 1},
    "coordinates": {**COORDINATES, "seed": 10**400},
    "counts": {"known_anomaly": "many"},
    "normal_classes": None,
    "known_classes": [1, None],
    "settings": {"trainer": None, "split": "x"},
    "history": {"train": {"loss": ["a"]}},
    "per_class": {"a": {"auroc": -1}},
    "warnings": "abc",
    "trained_on": ["x"],
    "target_fpr": "x",
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_result_of_other_types_is_damaged_though_its_checksum_fits(name, tmp_path):
    path, _ = write_result(tmp_path / "a", 0), write_result(tmp_path / "b", 1)
    with edited(path) as document:
        document[name] = STRANGE[name]
    with pytest.raises(DamagedError, match="must be the result of a cell"):
        Result.read(path.parent)
    (told,) = read([tmp_path]).problems
    assert str(path) in told


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_result_is_set_aside(damage, tmp_path, capsys):
    path, other = write_result(tmp_path / "a", 0), write_result(tmp_path / "b", 1)
    key = Result.read(path.parent).key
    assert finished(path.parent, key).key == key
    damage(path, other)
    assert finished(path.parent, key) is None
    assert [each.name for each in path.parent.iterdir()] == ["result.json.damaged"]
    told = capsys.readouterr().err
    assert told.count("\n") == told.count("it is kept as result.json.damaged") == 1


def test_a_cell_whose_result_is_damaged_is_run_again(tmp_path):
    options = ("method=mahalanobis", f"runs={tmp_path}", "split.normal_class=0", "logger=none")
    assert run_main(*options).code == 0
    (path,) = tmp_path.rglob("result.json")
    before = Result.read(path.parent)
    flip(path, path)
    again = run_main(*options)
    assert again.code == 0
    assert again.err.startswith(f"sad_lightning: {path}: ")
    assert again.err.endswith("; it is kept as result.json.damaged, what it held is done again\n")
    assert again.err.count("\n") == 1
    assert Result.read(path.parent).metrics == before.metrics


@pytest.fixture
def full_disk(monkeypatch):
    """A disk that is full from the n-th file on; None makes room."""
    written = []

    def fill(after: int | None) -> None:
        written.clear()

        def fsync(descriptor: int) -> None:
            written.append(descriptor)
            if after is not None and len(written) > after:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("sad_lightning.files.os.fsync", fsync)

    return fill


def test_a_full_disk_is_one_line_and_the_same_command_goes_on(tmp_path, full_disk):
    """Four files: model.npz, scores.npz, calibration.npz and, last, result.json."""
    options = ("method=mahalanobis", "split.normal_class=0", "logger=none")
    for count in range(4):
        full_disk(count)
        told = run_main(*options, f"runs={tmp_path / 'full'}")
        assert told.code == 2
        assert told.err.count("\n") == 1
        assert "No space left on device; make room, or choose a folder" in told.err
        assert not list((tmp_path / "full").rglob("result.json")) + list((tmp_path / "full").rglob(".*"))
    full_disk(None)
    assert run_main(*options, f"runs={tmp_path / 'full'}").code == 0
    assert run_main(*options, f"runs={tmp_path / 'roomy'}").code == 0
    one, two = (Result.read(next((tmp_path / name).rglob("result.json")).parent) for name in ("full", "roomy"))
    assert one.metrics == two.metrics


def test_scores_that_overflow_are_told_and_nothing_is_written(tmp_path, monkeypatch):
    """As those of float16 do above 65,504."""
    real = DeepSAD.score
    options = ("split.normal_class=0", "trainer.max_epochs=1", "pretrain=none", "logger=none", f"runs={tmp_path}")
    monkeypatch.setattr(DeepSAD, "score", lambda method, x: (1e6 * real(method, x)).half().float())
    told = run_main(*options)
    assert told.code == 2
    assert told.err.count("\n") == 1
    assert "scores: must be finite" in told.err
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} <= {"model.ckpt"}
    monkeypatch.undo()
    assert run_main(*options).code == 0


def test_a_disk_that_is_full_for_the_logger_is_one_line_and_the_same_command_goes_on(tmp_path, monkeypatch):
    """W&B writes its offline files before those of the result: without room a cell is not finished."""
    options = ("method=mahalanobis", "split.normal_class=0", f"runs={tmp_path}")

    def full(*_, **__) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("lightning.pytorch.loggers.WandbLogger.log_hyperparams", full)
    told = run_main(*options, "logger=wandb")
    assert told.code == 2
    assert told.err.count("\n") == 1
    assert "No space left on device; make room" in told.err
    assert not list(tmp_path.rglob("result.json"))
    assert run_main(*options, "logger=none").code == 0


def test_a_cell_that_could_not_be_written_has_failed_and_the_grid_goes_on(tmp_path, full_disk, capsys):
    cell = replace(cell_named(0), folder=str(tmp_path / "0"))
    full_disk(0)
    write_outcome(cell, Outcome(cell.key, "failed", line="No space left on device"))
    assert "No space left on device: it does not say why the cell failed" in capsys.readouterr().err
    assert outcome_of(cell) is None  # to be run
    blocked = tmp_path / "file"
    blocked.touch()
    job = Job(0, (replace(cell, folder=str(blocked / "cell")),), pretrains=False, needs=(), stack=False)
    (outcome,) = work(job)
    assert (outcome.status, outcome.trace) == ("failed", "")
    assert "Not a directory; choose a folder that can be written" in outcome.line
