"""Every way to one number: how far scores are from those of a cell that trains alone, for every method.

    python benchmarks/parity.py                                        every method and way, half an hour on two cores
    python benchmarks/parity.py --methods hsc --ways packed resumed    some of them: a smoke test

The data is a small table with known anomalies, two seeds of each method. Ways to train: in a pack, killed and resumed,
from the cache, with two threads, on two processes (DDP, without BatchNorm, whose statistics are those of each half),
on a GPU alone and in a pack, and as a sweep on this machine, by Ray and by Slurm's stand-in, where there are these.
Ways to score: the checkpoint, the model file, Detector, ONNX and torch.export.

A number is the largest difference of a score, relative to the largest score. The exit code is 1 if one is above the
bound of its way.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from numpy.typing import NDArray

from sad_lightning.cell import values
from sad_lightning.cell.checkpoint import CHECKPOINT, load_model
from sad_lightning.cell.run import run_cells
from sad_lightning.cell.values import Cell
from sad_lightning.config.compose import composed
from sad_lightning.config.options import options_of
from sad_lightning.detector import Detector
from sad_lightning.errors import InputError
from sad_lightning.export.graph import to_graph
from sad_lightning.model import Model
from sad_lightning.result import Result, read_arrays
from sad_lightning.training.resume import ResumeCheckpoint

Floats = NDArray[np.float64]
ROWS, COLUMNS, SEEDS = 400, 6, (0, 1)
SHORT = (
    "logger=none", "trainer.max_epochs=4", "trainer.accelerator=cpu", "optimizer.milestones=[2]", "pretrain.epochs=2",
    "split.test_ratio=0.5", "split.validation_ratio=0.2", "target_fpr=0.1",
)  # fmt: skip
BOUNDS = {
    "packed": 1e-4, "resumed": 0.0, "cached": 0.0, "threads": 1e-3, "processes": 1e-4, "gpu": 1e-3, "gpu_packed": 1e-3,
    "sweep": 0.0, "ray": 0.0, "slurm": 0.0, "checkpoint": 1e-5, "model": 1e-5, "detector": 1e-5, "onnx": 1e-4,
    "pt2": 1e-4,
}  # fmt: skip
LAUNCHERS = {
    "sweep": (),
    "ray": ("hydra/launcher=ray",),
    "slurm": ("hydra/launcher=slurm", "hydra.launcher.backend.cluster=local", "hydra.launcher.backend.seconds=0.1"),
}
NEEDS = {"ray": "ray", "slurm": "submitit", "onnx": "onnxruntime"}


class Unlike(Exception):
    """A way that there is not, for a method."""


class Alone(NamedTuple):
    """A cell that trained alone.

    Attributes:
        folder: of its files.
        result: what it wrote.
        scores: of its test rows.
    """

    folder: Path
    result: Result
    scores: Floats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=list(options_of("method")), help="all of them")
    parser.add_argument("--ways", nargs="+", default=list(BOUNDS), choices=list(BOUNDS), help="all of them")
    given = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    warnings.simplefilter("ignore")  # of the methods about such short trainings
    ways = [way for way in given.ways if find_spec(NEEDS.get(way, "torch"))]
    if not torch.cuda.is_available():
        ways = [way for way in ways if not way.startswith("gpu")]
    apart: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_table(Path("rows.csv"))
        swept = {way: sweep(way, given.methods) for way in LAUNCHERS if way in ways}
        for method in given.methods:
            apart[method] = dict(differences(method, ways, swept))
            print(line(method, [text(apart[method], way) for way in ways]), flush=True)
    print(f"\n{line('method', ways)}")
    for method, row in apart.items():
        print(line(method, [text(row, way) for way in ways]))
    print(line("bound", [f"{BOUNDS[way]:.0e}" if BOUNDS[way] else "equal" for way in ways]))
    beyond = [f"{method} {way}" for method, row in apart.items() for way, far in row.items() if far > BOUNDS[way]]
    if beyond:
        raise SystemExit(f"beyond its bound: {', '.join(beyond)}")


def line(name: str, cells: Sequence[str]) -> str:
    """A line of the table."""
    return f"{name:<20}" + "".join(f"{cell:>11}" for cell in cells)


def text(row: dict[str, float], way: str) -> str:
    """A number of the table; a dash where the method has no such way."""
    if way not in row:
        return "-"
    return "equal" if row[way] == 0 else "refused" if math.isinf(row[way]) else f"{row[way]:.1e}"


def write_table(path: Path) -> None:
    """Rows of two clouds, a few of them known anomalies."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS, COLUMNS)) @ generator.normal(size=(COLUMNS, COLUMNS))
    labels = np.where(np.arange(ROWS) % 10 == 0, "anomaly", "normal")
    x[labels == "anomaly"] += 3
    labels[np.arange(ROWS) % 4 > 0] = np.where(labels == "anomaly", "anomaly", "")[np.arange(ROWS) % 4 > 0]
    names = [f"x{number}" for number in range(COLUMNS)]
    lines = [",".join([*(f"{value:.6g}" for value in row), label]) for row, label in zip(x, labels, strict=True)]
    path.write_text("\n".join([",".join([*names, "label"]), *lines]))


def settings_of(method: str, seed: int, *more: str) -> tuple[str, ...]:
    """The overrides of a cell."""
    return ("data=table", "data.path=rows.csv", "data.label=label", *SHORT, f"method={method}", f"seed={seed}", *more)


def cell_of(method: str, seed: int, folder: Path, cache: str, *more: str) -> Cell:
    """A cell below a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    cfg = composed(*settings_of(method, seed, f"pretrain.cache={cache}", *more))
    return Cell(cfg, folder, "table", method)


def scores_of(folder: Path) -> Floats:
    """Of the test rows, as the cell wrote them."""
    return read_arrays(folder / "scores.npz", Result.read(folder).key)["score"]


def train(method: str, way: str, seeds: Sequence[int] = SEEDS, *more: str, stack: bool | None = None) -> list[Alone]:
    """Train cells as ``way``, with a cache of its own."""
    folders = [Path(way, method, str(seed)) for seed in seeds]
    cells = [
        cell_of(method, seed, folder, f"{way}/{method}/cache", *more)
        for seed, folder in zip(seeds, folders, strict=True)
    ]
    outcomes = run_cells(cells, stack=stack) if stack else [outcome for cell in cells for outcome in run_cells([cell])]
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return [Alone(folder, Result.read(folder), scores_of(folder)) for folder in folders]


def differences(
    method: str, ways: Sequence[str], swept: dict[str, dict[tuple[str, int], Floats]]
) -> Iterator[tuple[str, float]]:
    """Every way that the method has, and how far its scores are from those of cells that trained alone."""
    alone = train(method, "alone")
    for way in ways:
        try:
            if way in swept:
                others = [swept[way][method, seed] for seed in SEEDS]
                yield way, max(difference(other, one.scores) for other, one in zip(others, alone, strict=True))
            else:
                yield way, WAYS[way](method, alone)
        except Unlike:
            pass


def difference(scores: Floats, expected: Floats) -> float:
    """The largest difference, relative to the largest score."""
    return float(np.abs(scores - expected).max() / np.abs(expected).max())


def furthest(others: Sequence[Alone], alone: Sequence[Alone]) -> float:
    """The largest difference of several cells."""
    return max(difference(other.scores, one.scores) for other, one in zip(others, alone, strict=True))


def packed(method: str, alone: Sequence[Alone]) -> float:
    """Two seeds as one population."""
    if not (alone[0].folder / CHECKPOINT).exists() or alone[0].result.settings["voices"]:
        raise Unlike
    return furthest(train(method, "packed", stack=True), alone)


class Kill(Callback):
    """Ends the training after its second epoch."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt


@contextmanager
def kills() -> Iterator[None]:
    """Kill each training after two epochs, of which there is a resume checkpoint."""
    real = values.new_trainer

    def new_trainer(make: Callable[..., Trainer], stages: Sequence[values.Stage], **settings: object) -> Trainer:
        trainer = real(make, stages, **settings)  # type: ignore[arg-type]
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ResumeCheckpoint):
                callback.seconds = 0
        if stages and stages[0].name != "pretrain":
            trainer.callbacks.append(Kill())  # type: ignore[attr-defined]
        return trainer

    with patch.object(values, "new_trainer", new_trainer):
        yield


def resumed(method: str, alone: Sequence[Alone]) -> float:
    """Killed in its second epoch, and started again."""
    try:
        with kills():
            train(method, "resumed", SEEDS[:1])
    except KeyboardInterrupt:
        again = train(method, "resumed", SEEDS[:1])
        assert again[0].result.resumed
        return furthest(again, alone[:1])
    raise Unlike


def cached(method: str, alone: Sequence[Alone]) -> float:
    """With the pretraining of the cell that trained alone."""
    if alone[0].result.pretraining != "trained":
        raise Unlike
    folder = Path("cached", method)
    (outcome,) = run_cells([cell_of(method, SEEDS[0], folder, f"alone/{method}/cache")])
    assert isinstance(outcome, Result), outcome
    assert outcome.pretraining == "cached"
    return difference(scores_of(folder), alone[0].scores)


def threads(method: str, alone: Sequence[Alone]) -> float:
    """Two threads instead of one."""
    torch.set_num_threads(2)
    try:
        return furthest(train(method, "threads", SEEDS[:1]), alone[:1])
    finally:
        torch.set_num_threads(1)


def processes(method: str, alone: Sequence[Alone]) -> float:
    """Two processes, each with half of a batch, against one."""
    if not alone[0].result.history:
        raise Unlike
    more = ("network.normalize=false", "batch_size=64")
    one = train(method, "one", SEEDS[:1], *more)
    command(*settings_of(method, SEEDS[0], *more, "runs=two", "trainer.devices=2", "trainer.strategy=ddp"))
    (folder,) = (path.parent for path in Path("two", "table", method).rglob("result.json"))
    return difference(scores_of(folder), one[0].scores)


def gpu(method: str, alone: Sequence[Alone]) -> float:
    """Trained on a GPU."""
    if not alone[0].result.history:
        raise Unlike
    return furthest(train(method, "gpu", SEEDS, "trainer.accelerator=gpu"), alone)


def gpu_packed(method: str, alone: Sequence[Alone]) -> float:
    """Two seeds as one population on a GPU."""
    if not (alone[0].folder / CHECKPOINT).exists() or alone[0].result.settings["voices"]:
        raise Unlike
    return furthest(train(method, "gpu_packed", SEEDS, "trainer.accelerator=gpu", stack=True), alone)


def sweep(way: str, methods: Sequence[str]) -> dict[tuple[str, int], Floats]:
    """All cells as one sweep; the scores of each by method and seed."""
    seeds = ",".join(map(str, SEEDS))
    overrides = settings_of(",".join(methods), 0, f"runs={way}", "pack=1")
    command("--multirun", *(each for each in overrides if each != "seed=0"), f"seed={seeds}", *LAUNCHERS[way])
    found = {}
    for path in Path(way, "table").rglob("result.json"):
        result = Result.read(path.parent)
        found[result.method, result.coordinates.seed] = scores_of(path.parent)
    return found


def command(*arguments: str) -> None:
    """Run the command line as a person does."""
    ended = subprocess.run([sys.executable, "-m", "sad_lightning", *arguments], capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{' '.join(arguments)}\n{ended.stderr}")


def raw_rows(one: Alone, model: Model) -> NDArray[np.float32]:
    """The test rows of a cell as its file has them."""
    table = np.genfromtxt("rows.csv", delimiter=",", skip_header=1, usecols=range(COLUMNS), dtype=np.float32)
    rows: NDArray[np.float32] = table[read_arrays(one.folder / "scores.npz", one.result.key)["row"]]
    return rows


def checkpoint(method: str, alone: Sequence[Alone]) -> float:
    """``model.ckpt`` on prepared rows."""
    one, model = alone[0], Model.load(alone[0].folder)
    try:
        scorer = load_model(one.folder / CHECKPOINT, one.result.settings)
    except InputError as error:
        raise Unlike from error
    with torch.no_grad():
        x = model.preparation(torch.from_numpy(raw_rows(one, model)))
        return difference(scorer.score(x).double().numpy(), one.scores)


def model_file(method: str, alone: Sequence[Alone]) -> float:
    """``model.pt`` on raw rows."""
    model = Model.load(alone[0].folder)
    return difference(model.score_rows(raw_rows(alone[0], model)), alone[0].scores)


def detector(method: str, alone: Sequence[Alone]) -> float:
    """The estimator of the model file."""
    path = alone[0].folder
    return difference(Detector.load(path).anomaly_score(raw_rows(alone[0], Model.load(path))), alone[0].scores)


def graph(kind: str) -> Callable[[str, Sequence[Alone]], float]:
    """The model as one graph."""

    def way(method: str, alone: Sequence[Alone]) -> float:
        model = Model.load(alone[0].folder)
        try:
            return to_graph(model, kind, torch.from_numpy(raw_rows(alone[0], model)))[1]
        except InputError as error:
            print(f"{method}, {kind}: {error}", flush=True)
            return math.inf

    return way


WAYS: dict[str, Callable[[str, Sequence[Alone]], float]] = {
    "packed": packed, "resumed": resumed, "cached": cached, "threads": threads, "processes": processes,
    "gpu": gpu, "gpu_packed": gpu_packed, "checkpoint": checkpoint, "model": model_file, "detector": detector,
    "onnx": graph("onnx"), "pt2": graph("pt2"),
}  # fmt: skip


if __name__ == "__main__":
    main()
