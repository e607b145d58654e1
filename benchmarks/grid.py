"""What packing and sharing are worth: whole grids, one after the other in one run.

    python benchmarks/grid.py odds          six ODDS sets x ten seeds, packed and one by one (an hour on two cores)
    python benchmarks/grid.py cardio        cardio x sixty seeds, packed and one by one
    python benchmarks/grid.py sharing       Fashion-MNIST, 3 x 9 cells, with shared pretraining and without
    python benchmarks/grid.py memory        200 cells in a row in one worker: how its memory grows
    python benchmarks/grid.py digits        two seeds of Deep SAD on the digits, packed and one by one: a smoke test
    python benchmarks/grid.py ledger        where the seconds of an ODDS grid go: six sets x ten seeds, packed

Each side is the command that a person types, from nothing, imports included; beside it what follows the imports, which
take as long on both sides. SAD_DATA_ROOT names the data.

The ledger has the seconds of all workers, which add up to wall time times workers: until planning begins, planning,
until the first job starts, waiting for a job, and in jobs what is not training, dispatch and arithmetic. Dispatch is
what a step costs whatever its rows (Python, PyTorch's dispatcher, the Trainer): the time of the step of such a pack on
two rows a member, as its share of the same step on a whole batch. Arithmetic is the rest of training.
"""

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

_BEGAN = time.time()
ODDS = ("arrhythmia", "cardio", "satellite", "satimage-2", "shuttle", "thyroid")


class Seconds(NamedTuple):
    """What a grid takes.

    Attributes:
        whole: the command, with the imports.
        work: from the first worker's first moment to the end.
    """

    whole: float
    work: float


def grid(*arguments: str) -> Seconds:
    """Run a grid from nothing."""
    with tempfile.TemporaryDirectory() as runs:
        command = [sys.executable, "-m", "sad_lightning", f"runs={runs}", "logger=none", *arguments]
        start = began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            if began == start and any(Path(runs).glob("grids/*/worker*.log")):
                began = time.perf_counter()
            time.sleep(0.1)
        if process.returncode:
            raise SystemExit(f"exit code {process.returncode}: {' '.join(command)}")
        end = time.perf_counter()
        return Seconds(end - start, end - began)


def compared(name: str, one: tuple[str, ...], other: tuple[str, ...], epochs: int | None) -> None:
    """Time both sides and print their ratio."""
    short = (f"trainer.max_epochs={epochs}", "optimizer.milestones=[]") if epochs else ()
    first, second = (grid(*side, *short) for side in (one, other))
    for what in Seconds._fields:
        mine, others = getattr(first, what), getattr(second, what)
        print(f"{name}, {what}: {mine:.1f} s against {others:.1f} s, {others / mine:.2f} times as fast", flush=True)


def memory(epochs: int) -> None:
    """Run 200 cells in one worker, one by one, and print its resident memory along the way."""
    with tempfile.TemporaryDirectory() as runs:
        sweep = ("--multirun", "pack=1", "hydra.launcher.backend.workers=1", "seed=range(0,200)", "pretrain=none")
        command = [sys.executable, "-m", "sad_lightning", f"runs={runs}", "logger=none", *sweep]
        process = subprocess.Popen([*command, f"trainer.max_epochs={epochs}", "optimizer.milestones=[]"])
        samples: list[tuple[int, float]] = []
        done = threading.Event()

        def watch() -> None:
            while not done.wait(1.0):
                finished = sum(1 for _ in Path(runs).rglob("result.json"))
                samples.append((finished, max(map(resident, workers_below(process.pid)), default=0.0)))

        watcher = threading.Thread(target=watch)
        watcher.start()
        process.wait()
        done.set()
        watcher.join()
    for least, most in itertools.pairwise((10, 50, 100, 150, 201)):
        mine = [mebibytes for finished, mebibytes in samples if least <= finished < most]
        print(f"cells {least} to {most - 1}: {sum(mine) / max(1, len(mine)):.0f} MiB resident")


def workers_below(pid: int) -> list[int]:
    """All processes below a process."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = dict(tuple(map(int, line.split())) for line in listed.splitlines())
    found, front = [], [pid]
    while front:
        front = [child for child, parent in parents.items() if parent in front]
        found += front
    return found


def resident(pid: int) -> float:
    """MiB."""
    try:
        match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(match[1]) / 1024 if match else 0.0


def timed(book: Path, job: Any) -> Any:
    """Run a job of a grid in its worker, and write down when it began and ended."""
    from sad_lightning.grid.worker import work

    began = time.time()
    outcomes = work(job)
    with open(book, "a") as file:
        file.write(json.dumps([began, time.time()]) + "\n")
    return outcomes


def ledger(data: list[str], epochs: int | None) -> None:
    """Run a grid from this process with a clock at each of its joints, and print where its seconds went."""
    from sad_lightning.grid import launcher, worker
    from sad_lightning.train.__main__ import main as train

    moments = {"begin": _BEGAN}

    def watched(name: str) -> None:
        inner = getattr(launcher, name)

        def at(*args: Any, **kwargs: Any) -> Any:
            moments[name] = time.time()
            return inner(*args, **kwargs)

        setattr(launcher, name, at)

    watched("launch")
    watched("run_jobs")
    short = [f"trainer.max_epochs={epochs}", "optimizer.milestones=[]"] if epochs else []
    with tempfile.TemporaryDirectory() as runs:
        book = Path(runs) / "ledger"
        worker.work = partial(timed, book)  # type: ignore[assignment]
        sys.argv[1:] = [
            "--multirun",
            f"data={','.join(data)}",
            "seed=range(0,10)",
            f"runs={runs}",
            "logger=none",
            *short,
        ]
        train()
        end = time.time()
        jobs = [json.loads(line) for line in book.read_text().splitlines()]
        results = [json.loads(path.read_text()) for path in Path(runs).rglob("result.json")]
        workers = len(list(Path(runs).glob("grids/*/worker*.log")))
    training = sum(each["seconds"].get(stage, 0.0) for each in results for stage in ("pretrain", "train"))
    inside = sum(last - first for first, last in jobs)
    first = min(job[0] for job in jobs)
    share = dispatch_share(data[0])
    seconds = {
        "imports of the command": workers * (moments["launch"] - moments["begin"]),
        "planning": workers * (moments["run_jobs"] - moments["launch"]),
        "imports of the workers": workers * (first - moments["run_jobs"]),
        "waiting": workers * (end - first) - inside,
        "rows, scores, files": inside - training,
        "dispatch": share * training,
        "arithmetic": (1 - share) * training,
    }
    total = workers * (end - moments["begin"])
    print(f"{len(results)} cells in {end - moments['begin']:.1f} s on {workers} workers; seconds of all workers:")
    for name, value in seconds.items():
        print(f"{name:25}{value:8.1f}  {100 * value / total:5.1f} %")


def dispatch_share(data: str, members: int = 10, epochs: int = 2) -> float:
    """The seconds of a step of a pack on two rows a member, over those on a whole batch."""
    from sad_lightning.cell.run import run_cells
    from sad_lightning.cell.values import Cell
    from sad_lightning.config.compose import composed

    def step(*settings: str) -> float:
        with tempfile.TemporaryDirectory() as runs:
            words = (f"data={data}", f"trainer.max_epochs={epochs}", "optimizer.milestones=[]", "pretrain=none")
            cfgs = [composed(*words, "logger=none", *settings, f"seed={seed}") for seed in range(members)]
            cells = [Cell(cfg, Path(runs) / str(k), data, "deep_sad", sweep=True) for k, cfg in enumerate(cfgs)]
            results = [result for result in run_cells(cells, stack=True) if not isinstance(result, Exception)]
        rows, seconds = results[0].counts["train"], sum(result.seconds["train"] for result in results)
        return seconds / (rows // min(rows, int(cfgs[0].batch_size)))

    step("batch_size=64")  # warms up
    return min(1.0, step("batch_size=2") / step())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("odds", "cardio", "sharing", "memory", "digits", "ledger"))
    parser.add_argument("--epochs", type=int, help="of both trainings, instead of the papers' 150")
    parser.add_argument("--data", nargs="*", help="of the ODDS sets, only these")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(json.dumps({"what": given.what, "epochs": given.epochs, "cores": len(os.sched_getaffinity(0))}))
    if given.what == "odds":
        sets = (f"data={','.join(given.data)}",) if given.data else ()
        compared(
            "packed against one by one",
            ("+experiment=odds", *sets),
            ("+experiment=odds", *sets, "pack=1"),
            given.epochs,
        )
    if given.what == "cardio":
        sweep = ("--multirun", "data=cardio", "seed=range(0,60)")
        compared("packed against one by one", sweep, (*sweep, "pack=1"), given.epochs)
    if given.what == "digits":
        sweep = ("--multirun", "seed=0,1", "split.validation_ratio=0.0")
        compared("packed against one by one", sweep, (*sweep, "pack=1"), given.epochs)
    if given.what == "sharing":
        sweep = ("+experiment=fmnist_scenario1", "split.normal_class=0,1,2", "split.labeled_ratio=0.05")
        compared("shared against unshared", sweep, (*sweep, "pretrain.rows=all"), given.epochs or 10)
    if given.what == "memory":
        memory(given.epochs or 5)
    if given.what == "ledger":
        ledger(given.data or list(ODDS), given.epochs)


if __name__ == "__main__":
    main()
