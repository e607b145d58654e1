"""The command line, run in this process."""

import io
import logging
import os
import runpy
import sys
from collections.abc import Callable
from contextlib import nullcontext, redirect_stderr, redirect_stdout
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


def _run(function: Callable[[], object], name: str, arguments: tuple[str, ...], path: Path | None) -> Outcome:
    out, err, code = io.StringIO(), io.StringIO(), 0
    before = sys.argv, list(sys.path), dict(os.environ)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    sys.argv = [name, *arguments]
    if path:
        sys.path.insert(0, str(path))
    GlobalHydra.instance().clear()
    # Hydra composes all settings to ask whether a file among them wants a sweep, and then once more
    asked = any(
        word in argument for argument in arguments for word in ("experiment", "protocol", "hydra", "config-dir")
    )
    mode = nullcontext() if asked else patch.object(Hydra, "get_mode", lambda *_, **__: None)
    try:
        with redirect_stdout(out), redirect_stderr(err), mode:
            function()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        for handler in set(root.handlers) - set(handlers):  # Hydra's, into the run's folder, which may be gone by now
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        sys.argv, sys.path[:] = before[0], before[1]
        os.environ.clear()
        os.environ.update(before[2])
        GlobalHydra.instance().clear()
    return Outcome(code, out.getvalue(), err.getvalue())
