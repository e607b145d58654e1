"""Errors that a user can cause, each in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """A setting or a file is wrong: the message names the key or file, the rule, the value and the way out."""


class NotDefinedError(InputError):
    """The cell is not defined, such as a classifier without known anomalies: it is skipped, which is no failure."""


class DamagedError(InputError):
    """A file is not what was written there: it was cut, changed or swapped, or another version wrote it.

    Args:
        path: of the file.
        reason: what is wrong with it.
        way_out: what a person should do. Code that can write the file again sets it aside (``files.set_aside``).
    """

    def __init__(self, path: Path, reason: str, way_out: str = "run again what wrote it") -> None:
        super().__init__(f"{path}: {reason}; {way_out}")
        self.reason = reason


@contextmanager
def extra(name: str, what: str, instead: str = "") -> Iterator[None]:
    """In the block packages of an extra are imported; where one is not there, the error says what needs it."""
    try:
        yield
    except ImportError as error:
        is_missing = isinstance(error, ModuleNotFoundError) and error.name is not None
        why = f"needs {str(error.name).split('.')[0]}" if is_missing else f"can not be imported: {error_words(error)}"
        other = f", or {instead}" if instead else ""
        raise InputError(f"{what} {why}; pip install 'sad_lightning[{name}]'{other}") from error


def error_words(error: BaseException) -> str:
    """What another library's error says, all of it on one line; its type if it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def first_line(error: BaseException) -> str:
    """The first line of what another library's error says; its type if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
