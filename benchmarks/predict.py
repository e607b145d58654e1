"""What scoring a large table costs: seconds and memory of ``python -m sad_lightning.predict``, imports included.

    python benchmarks/predict.py [--rows 1000000] [--columns 30] [--method deep_sad]

A table of random numbers, three of its columns words, is written as CSV and as parquet, and scored by a network of the
size that training would give it, with random weights. Memory is the largest resident set of the process.

Before that the start: 2,000 rows from a cold interpreter beside ``import torch`` and ``import lightning``, whose module
each network here is. Seconds of the CPU stand beside wall time, as other work on the machine hardly changes them.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from hydra import compose, initialize_config_dir
from pyarrow import csv, parquet

from sad_lightning.cell.learner import build_method
from sad_lightning.config.options import CONF
from sad_lightning.data.preparation import Preparation
from sad_lightning.data.preprocess import Scaling
from sad_lightning.data.schema import Column, TableSchema
from sad_lightning.model import Model

_WORDS = ("copper", "glass", "iron", "wood")
_BLOCK = 100_000
_FEW = 2000


def write_table(folder: Path, rows: int, columns: int) -> TableSchema:
    generator, writers = np.random.default_rng(0), {}
    names = [f"x{k}" for k in range(columns - 3)]
    for start in range(0, rows, _BLOCK):
        n = min(_BLOCK, rows - start)
        content = {name: generator.normal(10, 5, n).round(6) for name in names}
        content |= {f"word{k}": np.array(_WORDS)[generator.integers(0, 4, n)] for k in range(3)}
        table = pa.table(content)
        if not writers:
            writers = {
                "csv": csv.CSVWriter(folder / "table.csv", table.schema),
                "parquet": parquet.ParquetWriter(folder / "table.parquet", table.schema),
            }
        for writer in writers.values():
            writer.write_table(table)
    for writer in writers.values():
        writer.close()
    return TableSchema((*(Column(n) for n in names), *(Column(f"word{k}", "category", _WORDS) for k in range(3))))


def write_model(path: Path, schema: TableSchema, method: str) -> None:
    size = schema.shape[0]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=["data=table", f"method={method}", f"network.shape=[{size}]"])
    scaling = Scaling(np.full(size, 0.2, dtype=np.float32), np.zeros(size, dtype=np.float32))
    calibration = torch.rand(100_000, generator=torch.Generator().manual_seed(0))
    Model(
        Preparation(schema, scaling), build_method(cfg.method, 0), calibration=calibration,
        calibration_rows="validation", target_fpr=0.05, card={"method": method},
        examples=torch.zeros(5, len(schema.columns)),
    ).save(path)  # fmt: skip


class Cost(NamedTuple):
    """What a process takes: wall seconds, those of the CPU, and its largest resident set in GiB."""

    seconds: float
    of_cpu: float
    gibibytes: float


def cost(*arguments: object) -> Cost:
    """Run Python in a process of its own, on all cores."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    command = [sys.executable, *map(str, arguments)]
    start = time.perf_counter()
    process = os.posix_spawn(sys.executable, command, environment, file_actions=quiet)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"status {status}: {' '.join(command)}")
    return Cost(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20)


def start(model: Path, table: Path) -> None:
    """Print what the first rows cost, beside the imports."""
    predict = ("-m", "sad_lightning.predict", model, table, "--output", table.with_name("few.csv"))
    commands = {
        "import torch": ("-c", "import torch"),
        "import lightning": ("-c", "import lightning.pytorch"),
        f"predict {_FEW:,} rows": predict,
    }
    costs = {name: cost(*command) for name, command in commands.items()}
    for name, one in costs.items():
        ratio = one.of_cpu / costs["import torch"].of_cpu
        print(
            f"{name:20} {one.seconds:6.1f} s, {one.of_cpu:6.1f} s of the CPU, {ratio:.2f} times import torch",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--method", default="deep_sad")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        schema = write_table(folder, arguments.rows, arguments.columns)
        write_model(folder / "model.pt", schema, arguments.method)
        (folder / "few").mkdir()
        write_table(folder / "few", _FEW, arguments.columns)
        start(folder / "model.pt", folder / "few" / "table.csv")
        for suffix in ("parquet", "csv"):
            path, output = folder / f"table.{suffix}", folder / f"scores.{suffix}"
            one = cost("-m", "sad_lightning.predict", folder / "model.pt", path, "--output", output)
            print(
                f"{suffix}: {arguments.rows:,} rows x {arguments.columns} columns, {path.stat().st_size / 1e6:.0f} MB: "
                f"{one.seconds:.1f} s, {one.of_cpu:.1f} s of the CPU, {one.gibibytes:.2f} GiB"
            )


if __name__ == "__main__":
    main()
