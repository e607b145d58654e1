"""What scoring a large table costs: seconds and memory of ``python -m sad_lightning.predict``, imports included.

    python benchmarks/predict.py [--rows 1000000] [--columns 30] [--method deep_sad]

A table of random numbers, three of its columns words, is written as CSV and as parquet, and scored by a network of the
size that training would give it, with random weights. Memory is the largest resident set of the process so far.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from hydra import compose, initialize_config_dir
from pyarrow import csv, parquet

from sad_lightning.cell.learner import build_method
from sad_lightning.config.location import CONF
from sad_lightning.data.preparation import Preparation
from sad_lightning.data.preprocess import Scaling
from sad_lightning.data.schema import Column, TableSchema
from sad_lightning.model import Model

_WORDS = ("copper", "glass", "iron", "wood")
_BLOCK = 100_000


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
    ).save(path)  # fmt: skip


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
        environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        for suffix in ("parquet", "csv"):
            path, output = folder / f"table.{suffix}", folder / f"scores.{suffix}"
            command = [
                sys.executable,
                "-m",
                "sad_lightning.predict",
                folder / "model.pt",
                path,
                "--output",
                output,
            ]
            start = time.perf_counter()
            subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, env=environment)
            seconds = time.perf_counter() - start
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20  # of the largest child so far
            print(
                f"{suffix}: {arguments.rows:,} rows x {arguments.columns} columns, {path.stat().st_size / 1e6:.0f} MB: "
                f"{seconds:.1f} s, at most {peak:.2f} GB"
            )


if __name__ == "__main__":
    main()
