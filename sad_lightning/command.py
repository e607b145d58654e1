"""What all commands have in common: their options, the answer to a mistake, and the bar of what takes long."""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeVar

from sad_lightning.version import __version__

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")
VERSION = f"sad_lightning {__version__}"


def command_parser(name: str, about: str | None, example: str) -> argparse.ArgumentParser:
    """A parser that knows ``--version``, and ``--help`` with an example.

    Args:
        name: the command's, as it is typed.
        about: the docstring of its module.
        example: arguments that work.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m sad_lightning.{name}",
        description=(about or "").replace("``", ""),
        epilog=f"example:\n  python -m sad_lightning.{name} {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=VERSION)
    return parser


@contextmanager
def command(
    name: str, *, interrupted: str = "nothing was written", way_out: str = "choose another with --out"
) -> Iterator[None]:
    """Run a command: a mistake of the user's is one line on stderr and exit code 2.

    Ctrl-C exits with 130, a reader of stdout that goes away with 1, as ``head`` does. Any other exception is a bug and
    keeps its traceback.

    Args:
        name: what the line begins with.
        interrupted: what Ctrl-C means for what was done so far.
        way_out: what to do where a file can not be written.
    """
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt as stop:
        print(f"{name}: {str(stop) or f'interrupted; {interrupted}'}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter flushes it once more
        sys.exit(1)
    except Exception as error:
        from sad_lightning.config.mistakes import one_line  # Hydra: a quarter of a second

        line = one_line(error, way_out)
        if line is None:
            raise
        print(f"{name}: {line}", file=sys.stderr)
        sys.exit(2)


def announce(what: str) -> None:
    """A first line on stderr about what takes seconds; silent where stderr is no terminal."""
    if sys.stderr.isatty():
        print(f"{what} ...", file=sys.stderr, flush=True)


def progress(items: Iterable[T], *, unit: str) -> "tqdm[T]":
    """Walk over the items under a bar on stderr that tells the time left; silent where stderr is no terminal.

    Args:
        items: of a known number.
        unit: what one is, in the singular.
    """
    from tqdm import tqdm

    return tqdm(items, unit=unit, disable=None, file=sys.stderr, dynamic_ncols=True)


def row_progress(total: int | None, *, is_shown: bool = True) -> "tqdm[NoReturn]":
    """The same for rows that come in batches: ``update(n)`` it. The total is None where nobody knows it."""
    from tqdm import tqdm

    disable = None if is_shown else True
    return tqdm(total=total, unit="row", unit_scale=True, disable=disable, file=sys.stderr, dynamic_ncols=True)
