"""What scoring many files costs: by one process, by Ray on two nodes of which one is killed, and by MLflow's server.

    python benchmarks/parts.py [--parts 200] [--rows 100000] [--columns 10] [--ways here ray mlflow]

Parquet files of random numbers, below the current folder and removed in the end, are scored by a network of random
weights. Scores of every way are compared with those of one process, bit by bit. Ray's second node is killed, raylet and
workers, when a quarter of the parts is done. MLflow's server is asked over loopback, 10,000 rows a request.

Seconds of the CPU and memory are those of all processes that score, memory the largest resident set of any of them;
beside Ray's and MLflow's they hold no cluster and no client.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from predict import Cost, cost, write_model
from pyarrow import csv, json, parquet

from sad_lightning.data.schema import Column, TableSchema
from sad_lightning.export.mlflow_model import save_mlflow

WAYS = ("here", "ray", "mlflow")
_REQUEST = 10_000  # rows


def write_parts(folder: Path, parts: int, rows: int, columns: int) -> TableSchema:
    names = [f"x{k}" for k in range(columns)]
    for part in range(parts):
        x = np.random.default_rng(part).standard_normal((rows, columns), dtype=np.float32)
        parquet.write_table(pa.table(dict(zip(names, x.T, strict=True))), folder / f"part-{part:05}.parquet")
    return TableSchema(tuple(map(Column, names)))


def by_ray(model: Path, rows: Path, output: Path, parts: int) -> Cost:
    """A cluster of two nodes; the second is killed on the way."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    node = cluster.add_node(num_cpus=1)
    os.environ["RAY_ADDRESS"] = cluster.address

    def kill() -> None:
        while (done := len(list(output.glob("*.parquet")))) < parts / 4:
            time.sleep(0.1)
        cluster.remove_node(node, allow_graceful=False)
        print(f"ray: a node was killed when {done} parts were done", flush=True)

    threading.Thread(target=kill, daemon=True).start()
    try:
        with watched(lambda name: name.startswith("ray::_score_there")) as usage:
            command = ("-m", "sad_lightning.predict", model, rows, "--engine", "ray", "--output", output)
            seconds = cost(*command).seconds
    finally:
        cluster.shutdown()
        del os.environ["RAY_ADDRESS"]
    return Cost(seconds, *usage())


def by_mlflow(model: Path, rows: Path, output: Path) -> Cost:
    """MLflow's server; the scores of each part are written as ``predict`` writes them."""
    served, port = model.with_name("served"), free_port()
    save_mlflow(model, served)
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "-m", str(served)]
    command += ["--port", str(port), "--workers", "1"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # MLflow calls uvicorn by its name
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "PATH": path}
    server = subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(server, f"http://127.0.0.1:{port}/ping")
        output.mkdir()
        start = time.perf_counter()
        with watched(lambda name: f"port {port}" in name or "mlflow" in name) as usage:
            for path in sorted(rows.iterdir()):
                table = parquet.read_table(path)
                answers = [ask(port, table.slice(first, _REQUEST)) for first in range(0, len(table), _REQUEST)]
                parquet.write_table(pa.concat_tables(answers), output / path.name)
        return Cost(time.perf_counter() - start, *usage())
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def ask(port: int, table: pa.Table) -> pa.Table:
    """The answer to some rows; a float32 is spelt as its shortest text, which reads back in every bit."""
    sink = pa.BufferOutputStream()
    csv.write_csv(table, sink, csv.WriteOptions(include_header=False))
    data = sink.getvalue().to_pybytes().rstrip(b"\n").replace(b"\n", b"],[")
    names = ",".join(f'"{name}"' for name in table.column_names).encode()
    body = b'{"dataframe_split":{"columns":[%b],"data":[[%b]]}}' % (names, data)
    url, headers = f"http://127.0.0.1:{port}/invocations", {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
        text = answer.read()
    lines = text[text.index(b"[") + 1 : text.rindex(b"]")].replace(b"}, {", b"}\n{")
    return json.read_json(pa.BufferReader(lines))


def wait_for(server: "subprocess.Popen[bytes]", url: str) -> None:
    while server.poll() is None:
        try:
            urllib.request.urlopen(url).close()
            return
        except OSError:
            time.sleep(0.5)
    raise SystemExit(f"MLflow's server ended with status {server.returncode}")


def free_port() -> int:
    with socket.socket() as here:
        here.bind(("127.0.0.1", 0))
        return int(here.getsockname()[1])


@contextmanager
def watched(which: Callable[[str], bool]) -> Iterator[Callable[[], tuple[float, float]]]:
    """Seconds of the CPU and the largest resident set, GiB, of processes of such a command line."""
    seen: dict[str, tuple[float, float]] = {}
    ended = threading.Event()

    def look() -> None:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if which((process / "cmdline").read_bytes().replace(b"\0", b" ").decode()):
                    ticks = (process / "stat").read_text().rpartition(")")[2].split()[11:13]
                    peak = (process / "status").read_text().partition("VmHWM:")[2].split()[0]
                    seen[process.name] = sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"), int(peak) / 2**20
            except (OSError, IndexError):  # it has ended
                continue

    def keep_looking() -> None:
        while not ended.wait(1.0):
            look()

    thread = threading.Thread(target=keep_looking)
    thread.start()
    try:
        yield lambda: (sum(one for one, _ in seen.values()), max((peak for _, peak in seen.values()), default=np.nan))
    finally:
        look()
        ended.set()
        thread.join()


def equal(here: Path, there: Path) -> str:
    """Whether all scores are those of one process."""
    names = sorted(path.name for path in here.glob("*.parquet"))
    if names != sorted(path.name for path in there.glob("*.parquet")):
        return "parts are missing"
    columns = ("score", "p_value", "anomaly")
    unequal = [name for name in names if any(not np.array_equal(*pair) for pair in (
        [parquet.read_table(folder / name, columns=[column])[column].to_numpy() for folder in (here, there)]
        for column in columns
    ))]  # fmt: skip
    return f"{len(unequal)} parts differ, {unequal[0]} first" if unequal else "equal in every bit"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=int, default=200)
    parser.add_argument("--rows", type=int, default=100_000, help="of a part")
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--method", default="deep_sad")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name).resolve()
        model, rows = folder / "model.pt", folder / "rows"
        rows.mkdir()
        write_model(model, write_parts(rows, options.parts, options.rows, options.columns), options.method)
        run = {
            "here": lambda out: cost("-m", "sad_lightning.predict", model, rows, "--output", out),
            "ray": lambda out: by_ray(model, rows, out, options.parts),
            "mlflow": lambda out: by_mlflow(model, rows, out),
        }
        print(f"{options.parts} parts of {options.rows:,} rows and {options.columns} columns", flush=True)
        for way in dict.fromkeys(("here", *options.ways)):
            one = run[way](folder / way)
            told = "" if way == "here" else f", {equal(folder / 'here', folder / way)}"
            print(
                f"{way:6} {one.seconds:8.1f} s, {one.of_cpu:7.1f} s of the CPU, {one.gibibytes:.2f} GiB{told}",
                flush=True,
            )


if __name__ == "__main__":
    main()
