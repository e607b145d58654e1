"""The command line, run in this process."""

import io
import logging
import os
import runpy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra

from sad_lightning.__main__ import main


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def run_main(*arguments: str, path: Path | None = None) -> Outcome:
    """``python -m sad_lightning ARGUMENTS``, in this process: importing lightning takes longer than a cell."""
    return _run(main, "sad_lightning", arguments, path)


def run_script(script: Path, *arguments: str) -> Outcome:
    """``python SCRIPT ARGUMENTS``, in this process."""
    return _run(lambda: runpy.run_path(str(script), run_name="__main__"), str(script), arguments, script.parent)


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


def _run(function: Callable[[], object], name: str, arguments: tuple[str, ...], path: Path | None) -> Outcome:
    out, err, code = io.StringIO(), io.StringIO(), 0
    # Hydra composes all settings to ask whether a file among them wants a sweep, and then once more
    asked = any(
        word in argument for argument in arguments for word in ("experiment", "protocol", "hydra", "config-dir")
    )
    mode = nullcontext() if asked else patch.object(Hydra, "get_mode", lambda *_, **__: None)
    with as_before(), redirect_stdout(out), redirect_stderr(err), mode:
        sys.argv = [name, *arguments]
        if path:
            sys.path.insert(0, str(path))
        try:
            function()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return Outcome(code, out.getvalue(), err.getvalue())
