"""Worker processes on this machine, each with a device of its own. A worker that dies takes one job with it."""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hydra.core.utils import env_override

from sad_lightning.checks import whole_number
from sad_lightning.errors import InputError
from sad_lightning.grid.dispatch import Work, WorkerDeath
from sad_lightning.grid.plan import Job
from sad_lightning.grid.store import Outcome

_SECONDS_TO_STOP = 10


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Any
    job: Job | None = None


class Local:
    """Runs jobs on processes of this machine.

    Args:
        workers: how many; None for one a GPU, or one a core where no GPU is used.

    Raises:
        InputError: ``workers`` is not a whole number above zero.
    """

    def __init__(self, workers: int | None) -> None:
        self.given = None if workers is None else whole_number("hydra.launcher.backend.workers", workers)

    def start(self, work: Work, *, accelerator: str, logs: Path) -> None:
        """Get ready to run jobs."""
        self.work, self.logs = work, logs
        self.waiting, self.workers = deque[Job](), dict[int, _Worker]()
        self.gpus = gpus() if accelerator in {"auto", "gpu", "cuda"} else []
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.slots = self.given or (len(self.gpus) or cores)
        self.threads = max(1, cores // self.slots)
        self.on_cpu = not self.gpus and accelerator != "mps"
        # Forking a server that has imported everything is the fastest; but a GPU must not be in use before a fork.
        self.context: Any = get_context("spawn" if self.gpus else "forkserver")
        if not self.gpus:
            self.context.set_forkserver_preload(["sad_lightning.cell.run"])

    def submit(self, job: Job) -> None:
        """Queue a job; it starts when a worker is free."""
        self.waiting.append(job)

    def next(self) -> tuple[Job, list[Outcome] | WorkerDeath]:
        """Wait until a job ends."""
        while True:
            self._assign()
            ends = {worker.pipe: slot for slot, worker in self.workers.items() if worker.job is not None}
            for ready in connection.wait(list(ends)):
                slot = ends[ready]
                worker = self.workers[slot]
                assert worker.job is not None  # only those with a job are waited for
                try:
                    outcomes: list[Outcome] = worker.pipe.recv()
                except (EOFError, OSError):
                    worker.process.join()
                    del self.workers[slot]
                    return worker.job, WorkerDeath(_reason(worker.process.exitcode))
                job, worker.job = worker.job, None
                return job, outcomes

    def close(self) -> None:
        """Stop the workers and the jobs that they run."""
        for worker in self.workers.values():
            worker.pipe.close()  # a worker that waits for a job stops
            if worker.job is not None:
                worker.process.terminate()
        for worker in self.workers.values():
            worker.process.join(_SECONDS_TO_STOP)
            worker.process.kill()
            worker.process.join()
        self.workers = {}

    def _assign(self) -> None:
        for slot in range(self.slots):
            if not self.waiting:
                return
            if slot not in self.workers:
                self.workers[slot] = self._new(slot)
            worker = self.workers[slot]
            if worker.job is None:
                worker.job = self.waiting.popleft()
                with suppress(OSError):  # next() sees by its pipe that a worker is gone
                    worker.pipe.send(worker.job)

    def _new(self, slot: int) -> _Worker:
        ours, theirs = self.context.Pipe()
        variables = {"OMP_NUM_THREADS": str(self.threads), "MKL_NUM_THREADS": str(self.threads)}
        if self.gpus:
            variables["CUDA_VISIBLE_DEVICES"] = self.gpus[slot % len(self.gpus)]
        self.logs.mkdir(parents=True, exist_ok=True)
        log = self.logs / f"worker{slot}.log"
        with env_override(variables):  # the child must have them before it imports torch
            process = self.context.Process(target=_serve, args=(theirs, self.work, str(log), self.threads, variables))
            try:
                process.start()
            except OSError as error:
                if "AF_UNIX" not in str(error):
                    raise
                raise InputError(f"TMPDIR must be a shorter path, a socket does not fit below it: {error}") from error
        theirs.close()
        return _Worker(process, ours)


def _serve(pipe: Any, work: Work, log: str, threads: int, variables: dict[str, str]) -> None:
    """Run jobs in a worker process until the pipe closes or the parent process ends."""
    os.environ.update(variables)  # a fork has those of the server, which an earlier grid may have started
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = parent_process()
    assert parent is not None  # multiprocessing started it

    def stop_with_parent() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=stop_with_parent, daemon=True).start()
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError:  # the disk is full, which the first cell that writes says
        file = os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(file, 1)
    os.dup2(file, 2)
    import torch
    from tqdm import tqdm

    torch.set_num_threads(threads)
    tqdm.set_lock(threading.RLock())  # the default lock is shared by processes and leaks when one is killed
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(work(job))


def gpus() -> list[str]:
    """The names of the CUDA devices that may be used, found without importing torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in {"", "-1"}]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [str(number) for number in range(sum(line.startswith("GPU ") for line in listed.splitlines()))]


def _reason(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        return f"the worker was killed by {name}" + (", often for want of memory" if name == "SIGKILL" else "")
    return f"the worker ended with exit code {exitcode}"
