"""Cells, grids, caches, reports, predictions, killed again and again: none lost, none doubled, all bits equal."""

import json
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from support.detectors import rows_of, save_model
from support.kills import changes, is_running, run, run_until_the_end, server, start, wait
from support.methods import make as make
from support.pictures import picture_folder
from support.results import write_grid

from sad_lightning.files import read_json

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
SHORT = (
    "logger=none", "trainer.max_epochs=3", "optimizer.milestones=[2]", "pretrain.epochs=2", "trainer.accelerator=cpu",
)  # fmt: skip
DIGITS = ("split.normal_class=0", "split.labeled_ratio=0.05", *SHORT)
GRID = ("--multirun", *SHORT, "split.known_anomaly=0,4", "split.labeled_ratio=0.05")
PICTURES = (
    "data=folder", "data.path=pictures", "data.size=32", "data.unlabeled=[good]", "data.known_anomaly=[scratch]",
    "split.validation_ratio=0", "backbone=efficientnet_lite0", "backbone.size=32",
)  # fmt: skip
# of one run: seconds, and who waited
VARY = {"checksum", "seconds", "environment", "resumed", "pretraining", "training", "state"}


def own_table(folder: Path) -> None:
    columns = rows_of(0, 300)
    labels = np.where(np.arange(300) < 12, "anomaly", "")
    lines = [",".join([*columns, "label"])]
    lines += [",".join([*(f"{values[row]:.6g}" for values in columns.values()), labels[row]]) for row in range(300)]
    (folder / "rows.csv").write_text("\n".join(lines))


def pictures(folder: Path) -> None:
    for place in picture_folder(folder / "pictures", good=30, scratched=6, side=32).rglob("*"):
        os.utime(place, (0, 0))  # the key of a cell hangs on it


def results(folder: Path) -> None:
    write_grid(folder / "runs")


def parts(folder: Path) -> None:
    (folder / "new").mkdir()
    for part in range(6):
        columns = rows_of(part, 400)
        rows = [",".join(f"{value:.6g}" for value in row) for row in zip(*columns.values(), strict=True)]
        (folder / "new" / f"{part}.csv").write_text("\n".join([",".join(columns), *rows]))


class Scenario(NamedTuple):
    """What runs, at once, and what it needs."""

    commands: tuple[tuple[str, ...], ...]
    prepare: Callable[[Path], None] = lambda folder: None


SCENARIOS = {
    "cell": Scenario(((*DIGITS,),)),
    "streams": Scenario(((*DIGITS, "method=dp_vae", "method.anomalies.warm_up=1"),)),
    "ensemble": Scenario(((*DIGITS, "ensemble=2", "method=soft_deep_sad"),)),
    "cardio": Scenario((("data=cardio", *SHORT, "method=hsc"),)),
    "own data": Scenario(
        ((*SHORT, "data=table", "data.path=rows.csv", "data.label=label", "split.test_ratio=0.2"),), own_table
    ),
    "hybrid": Scenario(((*DIGITS, "method=iforest_hybrid"),)),
    "features": Scenario(((*SHORT, *PICTURES),), pictures),
    "grid": Scenario(((*GRID, "split.normal_class=0,3", "hydra.launcher.backend.workers=2", "pack=2"),)),
    "two grids": Scenario(
        tuple((*GRID, "pack=1", "hydra.launcher.backend.workers=1", f"split.normal_class={c}") for c in ("0,3", "0,8"))
    ),
    "two small grids": Scenario(
        tuple(
            ("--multirun", *DIGITS, "pack=1", "hydra.launcher.backend.workers=1", f"split.known_anomaly={known}")
            for known in ("0,4", "4,8")
        )
    ),
    "shared training": Scenario(
        ((*GRID, "method=deep_svdd", "split.normal_class=0", "seed=0,1", "hydra.launcher.backend.workers=1"),)
    ),
    "report": Scenario((("report", "runs", "--out", "report"),), results),
    "predict": Scenario((("predict", "model.pt", "new", "--output", "scores"),), parts),
}


def content(folder: Path) -> dict[str, Any]:
    """What the files of a folder say, by their names."""
    return {
        str(path.relative_to(folder)): _content(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith((".log", ".index", "multirun.yaml", "plan.json"))
    }


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        return plain(read_json(path))
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: (values.dtype.str, values.shape, values.tobytes()) for name, values in arrays.items()}
    if path.suffix in (".ckpt", ".pt"):
        return plain(torch.load(path, weights_only=True))
    if path.suffix == ".jsonl":
        return [plain(json.loads(line.split(" ", 1)[1])) for line in path.read_text().split("\n") if line]
    return re.sub(rb"[\d.]+ seconds|git_commit [0-9a-f]+(-dirty)?", b"", path.read_bytes())


def plain(value: Any) -> Any:
    """Tensors as bytes, and without what is of one run."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.numpy().tobytes()
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if name not in VARY}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


class Unbroken(NamedTuple):
    content: dict[str, Any]
    seconds: float
    changes: int


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> Iterator[Callable[[str, Path], Unbroken]]:
    ran: dict[str, Unbroken] = {}

    def one_by_one(name: str, prepared: Path) -> Unbroken:
        if name not in ran:
            start, made = time.perf_counter(), 0
            for command in SCENARIOS[name].commands:
                assert run(prepared, command) == [0], prepared.with_suffix(".txt").read_text()
                made += changes()
            ran[name] = Unbroken(content(prepared), time.perf_counter() - start, made)
        return ran[name]

    with server():
        assert run(tmp_path_factory.mktemp("server"), ["--version"]) == [0]  # it starts
        yield one_by_one


@pytest.fixture
def folders(name, unbroken, make, tmp_path, request) -> tuple[Unbroken, Path]:
    """What the commands of a scenario leave, and a folder in which they can run."""
    if name == "cardio":
        request.getfixturevalue("real_data")
    for folder in ("unbroken", "broken"):
        (tmp_path / folder).mkdir()
        SCENARIOS[name].prepare(tmp_path / folder)
        if name == "predict":
            save_model(make("deep_sad", "table"), tmp_path / folder)
    return unbroken(name, tmp_path / "unbroken"), tmp_path / "broken"


def assert_equal(folder: Path, expected: Unbroken) -> None:
    ended = content(folder)
    assert ended.keys() == expected.content.keys()
    for file, value in ended.items():
        assert value == expected.content[file], file


def kill(name: str, seed: int, folders: tuple[Unbroken, Path], kills: int) -> None:
    expected, folder = folders
    deaths = run_until_the_end(
        folder, SCENARIOS[name].commands, random.Random(f"{name} {seed}"), kills=kills,
        seconds=expected.seconds, least=expected.changes,
    )  # fmt: skip
    print(f"\n{name} {seed}: {expected.seconds:.1f} s, {expected.changes} changes; {json.dumps(deaths)}")
    assert_equal(folder, expected)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "two small grids"])
def test_what_is_killed_ends_as_if_it_had_not_been(name, seed, folders):
    kill(name, seed, folders, kills=4)


@pytest.mark.parametrize("name", ["two small grids"])
def test_two_grids_at_once_end_as_one_after_the_other(name, folders):
    """On one store and one cache: they share a cell and a pretraining, and are killed on the way."""
    kill(name, 0, folders, kills=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["cell", "own data", "grid", "two grids"])
def test_where_folders_are_deleted_under_way_the_same_command_goes_on(name, seed, folders):
    """It ends by itself, or in one line for each cell that lacked its folder."""
    (expected, folder), generator = folders, random.Random(f"{name} {seed}")
    processes = start(folder, SCENARIOS[name].commands)
    end = time.monotonic() + generator.uniform(0.2, 0.8) * expected.seconds
    while is_running(processes, end):
        pass
    below = [folder / "runs", *(path for path in (folder / "runs").rglob("*") if path.is_dir())]
    gone = generator.choice(below)
    shutil.rmtree(gone, ignore_errors=True)
    codes, told = wait(processes), folder.with_suffix(".txt").read_text()
    print(f"\n{name} {seed}: {gone.relative_to(folder)} is gone; exit codes {codes}")
    assert set(codes) <= {0, 2}, told
    assert "Traceback" not in told
    assert run(folder, *SCENARIOS[name].commands) == [0] * len(codes)
    assert_equal(folder, expected)
