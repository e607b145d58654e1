"""Files that are whole or not there."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODEL_FILE = "model.pt"  # what a training on own data leaves in its folder


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes the name ``path`` when the block ends well, else it is removed.

    What a killed process of this machine left of an earlier try is removed too.

    Raises:
        OSError: it can not be written; the error names ``path``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    here = socket.gethostname()
    for left in path.parent.glob(f".{path.name}.{here}.*.part"):
        if not _runs(left.name.split(".")[-2]):
            left.unlink(missing_ok=True)
    part = path.with_name(f".{path.name}.{here}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        full = error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # has no name
        if full or error.filename == str(part):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        part.unlink(missing_ok=True)


def _runs(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True
