"""Commands that are killed, at a random moment or before a random change of a file, and started again until they end.

An interpreter takes seconds to import torch, so commands are forked from multiprocessing's fork server, which imports
``support.kill_server`` and so the package; the workers of a grid come from the same server. What the processes do to
files is counted in memory that all of them share: the one that comes to a given change dies there, by SIGKILL.
"""

import atexit
import mmap
import os
import random
import re
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import forkserver, get_context
from pathlib import Path
from typing import Any

_PLACE = os.environ.setdefault("SAD_KILLS", f"{tempfile.gettempdir()}/sad_kills.{os.getpid()}")
_STATE = struct.Struct("<qq1000s1000s")  # changes so far; the one to die at, 0 for none; the folder; the last change
_CHANGES = {"open": "open", "os.rename": "rename", "os.remove": "remove", "os.mkdir": "make"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_SECONDS_TO_END = 300.0


def _shared_memory() -> mmap.mmap:
    with open(_PLACE, "a+b") as file:
        if file.tell() == 0:  # the process of the test is the first
            atexit.register(os.unlink, _PLACE)
            file.truncate(_STATE.size)
        return mmap.mmap(file.fileno(), _STATE.size)


_memory = _shared_memory()


def _state() -> tuple[int, int, str, str]:
    done, deadly, folder, last = _STATE.unpack(_memory)
    return done, deadly, folder.rstrip(b"\0").decode(), last.rstrip(b"\0").decode(errors="replace")


def _set_state(done: int, deadly: int, folder: str, last: str) -> None:
    _memory[:] = _STATE.pack(done, deadly, folder.encode(), last.encode())


def count_changes(event: str, arguments: tuple) -> None:
    """An audit hook of the server and all its children."""
    if event not in _CHANGES or (event == "open" and not (arguments[2] or 0) & _WRITES):
        return
    done, deadly, folder, _ = _state()
    path = arguments[1 if event == "os.rename" else 0]
    if not folder or not isinstance(path, str | os.PathLike) or not os.path.abspath(path).startswith(folder):
        return
    _set_state(done + 1, deadly, folder, f"{_CHANGES[event]} {_kind(Path(path))}")
    if done + 1 == deadly:
        os.kill(os.getpid(), signal.SIGKILL)


def _kind(path: Path) -> str:
    """What a file is, without keys and numbers."""
    name = path.name
    if name.endswith(".part"):
        name = f"{name[1:].split(f'.{os.uname().nodename}.')[0]} (part)"
    if path.parent.name == "pretrained":
        return f"cache entry{' (part)' if name.endswith(')') else ''}"
    return re.sub(r"\.[0-9a-f]{10,20}(?=\.)|\d+(?=\.(log|csv|png))", "", name) if "." in name else "folder"


def _run(arguments: Sequence[str], folder: Path) -> None:
    from sad_lightning.__main__ import main

    forkserver._forkserver.ensure_running = lambda: None  # workers come from the server that forked this process
    os.chdir(folder)
    output = os.open(folder.with_suffix(".txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["sad_lightning", *arguments]
    main()


def _children() -> list[int]:
    """All processes that the server has forked and that still run."""
    server = forkserver._forkserver._forkserver_pid
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):
            state, parent = stat.read_text().rsplit(")", 1)[1].split()[:2]
            if int(parent) == server and state != "Z":
                found.append(int(stat.parent.name))
    return found


@contextmanager
def server() -> Iterator[None]:
    """A fork server of our own: other tests may have started one, and go on with another afterwards."""
    forkserver._forkserver._stop()
    try:
        yield
    finally:
        forkserver._forkserver._stop()


def start(folder: Path, commands: Sequence[Sequence[str]], *, deadly: int = 0) -> list[Any]:
    """Start commands at once in a folder; their output is in a file of its name and ``.txt`` beside it.

    Args:
        folder: in which they run.
        commands: the arguments of each.
        deadly: at which change of a file below the folder a process dies; 0 for none.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(["support.kill_server"])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))  # by which the server finds it
    _set_state(0, deadly, str(folder), "nothing")
    processes = [context.Process(target=_run, args=(list(arguments), folder)) for arguments in commands]
    for process in processes:
        process.start()
    return processes


def changes() -> int:
    """How many changes of files there were since the start."""
    return _state()[0]


def is_running(processes: Sequence[Any], end: float) -> bool:
    """Wait a moment; whether one of the commands still runs, and it is not yet the time ``end``."""
    time.sleep(0.002)
    return any(process.is_alive() for process in processes) and time.monotonic() < end


def run(folder: Path, *commands: Sequence[str]) -> list[int]:
    """Run commands at once, and return their exit codes."""
    return wait(start(folder, commands))


def wait(processes: Sequence[Any]) -> list[int]:
    """The exit codes of commands, when they and all their workers have ended."""
    for process in processes:
        process.join(_SECONDS_TO_END)
    end = time.monotonic() + 30
    while _children():  # nobody works on for a process that is gone
        assert time.monotonic() < end, "workers outlive the process that asked for them"
        time.sleep(0.01)
    return [process.exitcode for process in processes]


def run_until_the_end(
    folder: Path, commands: Sequence[Sequence[str]], generator: random.Random, *, kills: int, seconds: float, least: int
) -> list[str]:
    """Run commands at once, kill them on the way, and run them again until they end by themselves.

    Args:
        folder: in which they run.
        commands: the arguments of each.
        generator: of the moments.
        kills: the most there are.
        seconds: that the commands take without kills.
        least: of the changes of files that they make without kills.

    Returns:
        For each kill what died, and the last change of a file before.
    """
    deaths: list[str] = []
    while True:
        is_deadly = len(deaths) < kills
        deadly = generator.randint(1, least) if is_deadly and generator.random() < 0.5 else 0
        processes = start(folder, commands, deadly=deadly)
        end = time.monotonic() + (generator.uniform(0, seconds) if is_deadly and not deadly else _SECONDS_TO_END)
        while is_running(processes, end) and not 0 < deadly <= changes():
            pass
        if not any(process.is_alive() for process in processes) and not (deadly and changes() >= deadly):
            if any(codes := wait(processes)):
                raise AssertionError(f"exit codes {codes}: {folder.with_suffix('.txt').read_text()[-3000:]}")
            return deaths
        assert is_deadly, f"{commands} did not end"
        running = _children()
        everything = generator.random() < 0.7
        victims = running if everything else [generator.choice(running)] if running and not deadly else []
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait(processes)
        what, when = "all" if everything else "one", "at a change" if deadly else "at a moment"
        deaths.append(f"{what} {when}, {_state()[3]}")
