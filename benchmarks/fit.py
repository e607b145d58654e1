"""What training on one's own table costs: seconds and memory of ``Detector(...).fit`` by the number of rows.

    python benchmarks/fit.py [--rows 2000 50000 1000000] [--columns 20] [--known 1000] [--methods recommended ...]
    python benchmarks/fit.py --rows 2000000 20000000 --columns 10 --methods iforest deep_sad --files 200 --sample 200000

Each fit runs in a process of its own. The table is of normal random numbers, and one row in a hundred is shifted in a
quarter of the columns; at most ``--known`` of these are known anomalies. Seconds are those of ``fit``, with what it
imports; beside them seconds of the CPU, which other work on the machine hardly changes. Memory is the largest resident
set of the process, beside what it held before ``fit``.

With ``--files`` the rows are parquet files below the current folder, some 0.9 GB for 20 million rows of 10 columns,
which are removed in the end. One row in 10,000 is known, and a cell trains on a sample of them, ``data.rows``, or with
``--settings data.renew=true`` on other rows of them in each epoch.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

METHODS = ("recommended", "deep_sad", "hsc", "extra_trees", "iforest")


def fit(method: str, rows: int, columns: int, known: int) -> str:
    """Fit once, in this process; a line of the table."""
    from sad_lightning import Detector

    generator = np.random.default_rng(0)
    x = generator.standard_normal((rows, columns), dtype=np.float32)
    anomalous = np.arange(rows) % 100 == 0
    x[anomalous, : max(1, columns // 4)] += 3
    semi = np.zeros(rows, dtype=np.int8)
    semi[np.flatnonzero(anomalous)[:known]] = -1
    detector = Detector(None if method == "recommended" else method, random_state=0)
    before, start, of_cpu = peak(), time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of small tables, which promise no rate
        detector.fit(x, semi)
    seconds, of_cpu = time.perf_counter() - start, time.process_time() - of_cpu
    return f"{rows:>10,} {method:12} {seconds:8.1f} s, {of_cpu:7.1f} of the CPU  {peak():5.2f} GiB, before {before:.2f}"


def fit_files(method: str, rows: int, columns: int, files: int, sample: int, others: list[str]) -> str:
    """Train once on rows in files, by these other settings, in this process; a line of the table."""
    from sad_lightning.cell.run import run_cell
    from sad_lightning.cell.values import Cell
    from sad_lightning.config.compose import composed

    with tempfile.TemporaryDirectory(dir=".") as folder:
        for file in range(files):
            write(Path(folder, f"part-{file:05}.parquet"), rows // files, columns, seed=file)
        settings = ("data=table", f"data.path={folder}", "data.label=label", f"data.rows={sample}", f"method={method}")
        cfg = composed(
            *settings, "ensemble=1", "logger=none", "trainer.accelerator=cpu", f"runs={folder}/runs", *others
        )
        before, start, of_cpu = peak(), time.perf_counter(), time.process_time()
        result = run_cell(Cell(cfg, Path(folder, "runs"), "table", method))
        seconds, of_cpu = time.perf_counter() - start, time.process_time() - of_cpu
    memory = f"{peak():5.2f} GiB, before {before:.2f}, reading {result.seconds['data']:.1f} s"
    return f"{rows:>10,} {method:12} {seconds:8.1f} s, {of_cpu:7.1f} of the CPU  {memory}"


def write(path: Path, rows: int, columns: int, seed: int) -> None:
    """A file of rows; memory holds no other."""
    import pyarrow as pa
    from pyarrow import parquet

    x = np.random.default_rng(seed).standard_normal((rows, columns), dtype=np.float32)
    known = np.arange(rows) % 10_000 == 0
    x[known, : max(1, columns // 4)] += 3
    label = np.where(known, "anomaly", None)
    parquet.write_table(pa.table({**{f"x{k}": x[:, k] for k in range(columns)}, "label": label}), path)


def peak() -> float:
    """The largest resident set of this process so far, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[2000, 50_000, 1_000_000])
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--known", type=int, default=1000)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--files", type=int, default=0, help="how many parquet files hold the rows; 0 for none")
    parser.add_argument("--sample", type=int, default=200_000, help="rows of the files that are read")
    parser.add_argument("--settings", nargs="*", default=[], help="of the cell on files, beside the benchmark's own")
    parser.add_argument("--here", action="store_true", help="fit in this process, one method on one size")
    options = parser.parse_args()
    if options.here:
        one = options.methods[0], options.rows[0], options.columns
        if options.files:
            print(fit_files(*one, options.files, options.sample, options.settings), flush=True)
        else:
            print(fit(*one, options.known), flush=True)
        return
    print(f"{len(os.sched_getaffinity(0))} cores, {options.columns} columns", flush=True)
    for rows in options.rows:
        for method in options.methods:
            one = ["--rows", str(rows), "--columns", str(options.columns), "--known", str(options.known)]
            one += ["--files", str(options.files), "--sample", str(options.sample), "--settings", *options.settings]
            subprocess.run([sys.executable, __file__, "--here", "--methods", method, *one], check=True)


if __name__ == "__main__":
    main()
