"""What a GPU makes of a grid of images, in one call of ten minutes: 90 cells packed and one by one, float32 and bf16.

    python benchmarks/gpu.py [--data fashion_mnist cifar10] [--members 1 10 30 90] [--minutes 9]

For each data set and precision it trains packs of several sizes for a few epochs, first of Deep SAD, then of the
autoencoder that it starts from, and prints of each: milliseconds a step and member; how busy the device is, which is
the time of its kernels over wall time, so that what is left is launches and Python; the largest memory; and the kernels
that take the longest. By these steps it says how long the 90 cells of scenario 1 at one labeled ratio train (ten
autoencoders, shared, and 90 trainings), packed and one by one. Last, what a cell takes beside its steps: rows,
scores and files.

Without a GPU it runs on the CPU, whose kernels are not timed. Images are real where SAD_DATA_ROOT has them, else noise
of the same size: the steps take as long.
"""

import argparse
import logging
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import lightning
import numpy as np
import torch
from hydra.utils import instantiate
from lightning.pytorch.loggers import CSVLogger
from omegaconf import DictConfig
from step import wait
from torch.profiler import ProfilerActivity, profile

from sad_lightning.cell.learner import build_method, with_shape
from sad_lightning.cell.run import run_cells
from sad_lightning.cell.values import Cell
from sad_lightning.config.compose import composed
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.module import DataModule, Rows
from sad_lightning.data.preprocess import Scaling
from sad_lightning.training.population import Population, PopulationData
from sad_lightning.training.trainer import Stage, fit, new_trainer

SHAPES = {"fashion_mnist": (28, 28, 1), "mnist": (28, 28, 1), "cifar10": (32, 32, 3), "digits": (8, 8, 1)}
PRETRAININGS, CELLS, LABELED = 10, 90, 0.05  # of scenario 1 at one labeled ratio
ON_GPU = torch.cuda.is_available()


class Measured(NamedTuple):
    """Training a pack.

    Attributes:
        milliseconds: of a step of a member.
        busy: the share of wall time in which kernels ran; None on a CPU.
        gibibytes: the most memory on the device; None on a CPU.
        kernels: the three that take the longest, with their shares of the time of all.
    """

    milliseconds: float
    busy: float | None
    gibibytes: float | None
    kernels: str


class Clock(lightning.Callback):
    """Times the epochs but for the first, which warms up, and the last, which is profiled.

    Args:
        epochs: that are timed.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs, self.start, self.seconds, self.profiled = epochs, 0.0, 0.0, 0.0
        self.profiler = profile(activities=[ProfilerActivity.CUDA]) if ON_GPU else None

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        wait(pl_module.device)
        if trainer.current_epoch > self.epochs and self.profiler:
            self.profiler.start()
        if trainer.current_epoch in (1, self.epochs + 1):
            self.start = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        wait(pl_module.device)
        if trainer.current_epoch > self.epochs:
            self.profiled = time.perf_counter() - self.start
            if self.profiler:
                self.profiler.stop()
        elif trainer.current_epoch:
            self.seconds = time.perf_counter() - self.start


def arrays_of(data: str, rows: int) -> Arrays:
    """The data set, or noise of its size: ``rows`` a class."""
    if data == "digits" or (Path(os.environ.get("SAD_DATA_ROOT", "")) / f"{data}.npz").is_file():
        return instantiate(composed(f"data={data}").data)
    print(f"{data:13} noise of its size, for SAD_DATA_ROOT has no {data}.npz", flush=True)
    generator, n = np.random.default_rng(0), 10 * rows
    x = generator.integers(0, 256, (n + n // 5, *SHAPES[data]), dtype=np.uint8)
    return Arrays(x, np.arange(len(x)) % 10, tuple(map(str, range(10))), n_train=n)


def rows_of_member(arrays: Arrays, rows: Rows, member: int, most: int, batch_size: int) -> DataModule:
    """The training rows of one cell: a class, and one known anomaly for 19 others."""
    target = arrays.target_class[: arrays.n_train]
    positions = np.flatnonzero(target == member % 10)[:most]
    semi = np.where(np.arange(len(positions)) % 20 == 0, -1, 0).astype(np.int8)
    channels = arrays.x.shape[-1]
    scaling = Scaling(np.full(channels, 1 / 255, dtype=np.float32), np.zeros(channels, dtype=np.float32))
    return DataModule(
        rows, scaling, rows=positions, semi=semi, scored=positions[:2], batch_size=batch_size, seed=member
    )


def measure(cfg: DictConfig, settings: DictConfig, data: list[DataModule], epochs: int, bf16: bool) -> Measured:
    """Train a pack: a method alone, or several as a population."""
    methods = [build_method(settings, seed) for seed in range(len(data))]
    device = torch.device("cuda" if ON_GPU else "cpu")
    for method, own in zip(methods, data, strict=True):
        method.to(device).prepare(own.in_order(device))
    if ON_GPU:
        torch.cuda.reset_peak_memory_stats()
    clock = Clock(epochs)
    with tempfile.TemporaryDirectory() as folder:
        make = instantiate(cfg.trainer, precision="bf16-mixed" if bf16 else "32-true")
        stages = [Stage("train", str(number), CSVLogger(folder, version=number)) for number in range(len(data))]
        trainer = new_trainer(make, stages, epochs=epochs + 2, folder=Path(folder))
        trainer.callbacks.append(clock)
        if len(data) == 1:
            fit(trainer, methods[0], data[0])
        else:
            fit(trainer, Population(methods), PopulationData(data))
    steps = epochs * data[0].step_sizes[0] * len(data)
    if clock.profiler is None:
        return Measured(1000 * clock.seconds / steps, None, None, "")
    kernels = sorted(clock.profiler.key_averages(), key=lambda each: each.self_device_time_total, reverse=True)
    total = sum(each.self_device_time_total for each in kernels)
    longest = ", ".join(f"{short(each.key)} {100 * each.self_device_time_total / total:.0f} %" for each in kernels[:3])
    memory = torch.cuda.max_memory_allocated() / 2**30
    return Measured(1000 * clock.seconds / steps, total / 1e6 / clock.profiled, memory, longest)


def short(kernel: str) -> str:
    """The name of a kernel without namespaces, types and arguments, at most 40 letters."""
    plain = kernel.removeprefix("void ").replace("(anonymous namespace)::", "").split("(")[0].split("<")
    return (plain[0].split("::")[-1] if plain[0].split("::")[-1] != "Kernel" else plain[-1])[:40]


def packs(
    data: str, arrays: Arrays, options: argparse.Namespace, bf16: bool, deadline: float
) -> dict[str, dict[int, Measured]]:
    """Each size of a pack of both methods, until the time is over."""
    cfg = with_shape(composed(f"data={data}"), arrays)
    rows, precision = Rows(arrays.x), "bf16" if bf16 else "fp32"
    methods: dict[str, DictConfig] = {"deep_sad": cfg.method, "ae": cfg.pretrain.method}
    measured: dict[str, dict[int, Measured]] = {name: {} for name in methods}
    for members in options.members:
        for name, settings in methods.items():
            if name == "ae" and members > PRETRAININGS:
                continue
            what = f"{data:13} {precision} {name:8} x {members:<3}"
            if time.perf_counter() > deadline:
                print(f"{what} left out, the time is over", flush=True)
                continue
            own = [rows_of_member(arrays, rows, k, options.rows, options.batch_size) for k in range(members)]
            try:
                one = measured[name][members] = measure(cfg, settings, own, options.epochs, bf16)
            except RuntimeError as error:  # out of memory, or something that this device has not; the others go on
                if not ON_GPU:
                    raise
                print(f"{what} {type(error).__name__}: {str(error).splitlines()[0]}", flush=True)
                continue
            busy = "" if one.busy is None else f"  kernels {100 * one.busy:3.0f} % of the time, {one.gibibytes:.1f} GiB"
            print(f"{what} {one.milliseconds:8.3f} ms a step and member{busy}  {one.kernels}", flush=True)
    return measured


def estimate(data: str, measured: dict[str, dict[int, Measured]], steps: int, precision: str) -> None:
    """How long the trainings of 90 cells take by these steps."""
    if not all(measured.values()):
        return
    best = {name: min(sizes.items(), key=lambda item: item[1].milliseconds) for name, sizes in measured.items()}
    minutes = {
        name: [number * steps * one.milliseconds / 60_000 for one in (best[name][1], measured[name].get(1)) if one]
        for name, number in (("ae", PRETRAININGS), ("deep_sad", CELLS))
    }
    packed = sum(each[0] for each in minutes.values())
    alone = f" against {sum(each[-1] for each in minutes.values()):.1f} one by one" if 1 in measured["ae"] else ""
    sizes = f"packs of {best['ae'][0]} autoencoders and {best['deep_sad'][0]} cells"
    print(f"{data:13} {precision} {CELLS} cells train in {packed:.1f} min in {sizes}{alone}", flush=True)


def beside_steps(data: str, arrays: Arrays, cells: int) -> None:
    """Wall time of a pack of cells that train for one epoch, less its steps."""
    with tempfile.TemporaryDirectory() as runs, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = [f"data={data}", f"split.labeled_ratio={LABELED}", "trainer.max_epochs=1", "optimizer.milestones=[]"]
        settings += ["pretrain=none", "logger=none", f"runs={runs}"]
        cells_of_pack = []
        for number in range(cells):
            cfg = composed(*settings, f"split.normal_class={number % 10}", f"seed={number}")
            folder = Path(runs) / str(number)
            cells_of_pack.append(Cell(cfg, folder, data, "deep_sad", sweep=True, arrays=arrays))
        start = time.perf_counter()
        results = run_cells(cells_of_pack, stack=cells > 1)
        wall = time.perf_counter() - start
    errors = [result for result in results if isinstance(result, Exception)]
    if errors:
        raise errors[0]
    steps = sum(result.seconds["train"] for result in results if not isinstance(result, Exception))
    print(f"{data:13} beside its steps a cell takes {(wall - steps) / cells:.2f} s, of {cells} in a pack", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["fashion_mnist", "cifar10"], choices=SHAPES)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 10, 30, 90], help="sizes of packs (1 10 30 90)")
    parser.add_argument("--epochs", type=int, default=3, help="that are timed (3)")
    parser.add_argument("--rows", type=int, default=6000, help="training rows of a cell, at most (6000)")
    parser.add_argument("--batch-size", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=9.0, help="after which nothing new is begun (9)")
    options = parser.parse_args()
    deadline = time.perf_counter() + 60 * options.minutes
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    where = torch.cuda.get_device_name() if ON_GPU else f"CPU, {torch.get_num_threads()} threads"
    print(f"{where}, torch {torch.__version__}, {len(os.sched_getaffinity(0))} cores", flush=True)
    for data in options.data:
        arrays = arrays_of(data, options.rows)
        rows = min(options.rows, (arrays.n_train or len(arrays.x)) // 10)
        steps = int(composed(f"data={data}").trainer.max_epochs) * (rows // options.batch_size)
        for bf16 in (False, True):
            estimate(data, packs(data, arrays, options, bf16, deadline), steps, "bf16" if bf16 else "fp32")
        if time.perf_counter() < deadline:
            beside_steps(data, arrays, max(options.members) if ON_GPU else 1)


if __name__ == "__main__":
    main()
