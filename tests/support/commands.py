"""The command line, run in this process."""

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

from hydra.core.global_hydra import GlobalHydra

from sad_lightning.__main__ import main


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@contextmanager
def as_before() -> Iterator[None]:
    """What a command changes in its process is afterwards as it was before."""
    before = sys.argv, list(sys.path), dict(os.environ)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(handlers):  # Hydra's, into the run's folder, which may be gone by now
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        sys.argv, sys.path[:] = before[0], before[1]
        os.environ.clear()
        os.environ.update(before[2])
        GlobalHydra.instance().clear()


def run_main(*arguments: str, path: Path | None = None) -> Outcome:
    """``python -m sad_lightning ARGUMENTS``, in this process: importing lightning takes longer than a cell."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with as_before(), redirect_stdout(out), redirect_stderr(err):
        sys.argv = ["sad_lightning", *arguments]
        if path:
            sys.path.insert(0, str(path))
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
    return Outcome(code, out.getvalue(), err.getvalue())
