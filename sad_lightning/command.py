"""What all commands have in common: their options, how they report mistakes, and their progress bars."""

import argparse
import io
import os
import select
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn, TypeVar

from sad_lightning.files import printable
from sad_lightning.version import __version__

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")
_LONGEST = 2000  # letters of a mistake
VERSION = f"sad_lightning {__version__}"


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong, and end with exit code 2."""
        self.exit(2, f"{self.prog}: {printable(' '.join(message.split()))}; --help lists the options\n")


def command_parser(name: str, about: str | None, example: str) -> argparse.ArgumentParser:
    """A parser with ``--version``, and with arguments that work as an example in ``--help``."""
    parser = _Parser(
        prog=f"python -m sad_lightning.{name}",
        description=(about or "").replace("``", ""),
        epilog=f"example:\n  python -m sad_lightning.{name} {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=VERSION)
    return parser


@contextmanager
def command_frame(
    name: str, *, interrupted: str = "nothing was written", way_out: str = "choose another with --out"
) -> Iterator[None]:
    """Run a command: a mistake of the user is one line on stderr, begun by its name, and exit code 2.

    That line says the ``way_out`` if a file can not be written. PyTorch's threads sleep while they wait for each other,
    unless OMP_WAIT_POLICY says otherwise.

    Ctrl-C gives exit code 130, and says what becomes of the work (``interrupted``). A reader of stdout that stops
    reading, as ``head`` does, gives 1. Any other exception is a bug and keeps its traceback.
    """
    # Threads that spin take the core from whoever they wait for: beside another job, steps of small networks then take
    # more than ten times as long. It counts if it is set before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.stderr is None:  # it was closed, and Hydra writes to it
        sys.stderr = io.StringIO()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal can write every letter of a name
    try:
        yield
        if sys.stdout is not None:  # as without a terminal
            sys.stdout.flush()
    except KeyboardInterrupt as stop:
        print(f"{name}: {str(stop) or f'interrupted; {interrupted}'}", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes it at exit
            sys.exit(1)
        from sad_lightning.config.mistakes import one_line  # imports Hydra, a quarter of a second

        line = one_line(error, way_out)
        if line is None:
            raise
        print(f"{name}: {printable(_short(' '.join(line.split())))}", file=sys.stderr)
        sys.exit(2)


def _reader_is_gone() -> bool:
    """Whether nobody reads stdout any more."""
    if sys.stdout is None:
        return False
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return True
    if hasattr(select, "poll"):  # not on Windows
        with suppress(OSError, ValueError):  # stdout may be no file
            reader = select.poll()  # with PYTHONUNBUFFERED nothing was left to flush
            reader.register(sys.stdout, 0)
            return any(event & select.POLLERR for _, event in reader.poll(0))
    return False


def _short(line: str) -> str:
    """A line without its middle where it is long: a value in it may be a whole file."""
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"


def announce(what: str) -> None:
    """Say on stderr what takes the next seconds; silent if stderr is no terminal."""
    if sys.stderr.isatty():
        print(f"{what} ...", file=sys.stderr, flush=True)


def progress(items: Iterable[T], *, unit: str, total: int | None = None) -> "tqdm[T]":
    """Iterate over the items with a progress bar on stderr; silent if stderr is no terminal.

    ``unit`` is one item in the singular; ``total`` is needed where items have no length.
    """
    from tqdm import tqdm

    return tqdm(items, total=total, unit=unit, disable=None, file=sys.stderr, dynamic_ncols=True)


def row_progress(total: int | None, *, is_shown: bool = True) -> "tqdm[NoReturn]":
    """A progress bar for rows that come in batches: call ``update(n)``. The total is None if it is not known."""
    from tqdm import tqdm

    disable = None if is_shown else True
    return tqdm(total=total, unit="row", unit_scale=True, disable=disable, file=sys.stderr, dynamic_ncols=True)
