"""What a user can get wrong, said in one line."""

from pathlib import Path


class InputError(ValueError):
    """A setting or a file is wrong: the message names the key or file, the rule, the value and the way out."""


class NotDefinedError(InputError):
    """The cell has no meaning, such as a classifier without known anomalies: it is skipped, it has not failed."""


class DamagedError(InputError):
    """A file is not what was written there: it was cut, changed or swapped, or another version wrote it.

    Args:
        path: of the file.
        reason: what is wrong with it.
        way_out: for a person; whoever can do the work again sets the file aside instead (``files.set_aside``).
    """

    def __init__(self, path: Path, reason: str, way_out: str = "run again what wrote it") -> None:
        super().__init__(f"{path}: {reason}; {way_out}")
        self.reason = reason
