"""Files that are whole or not there, and that say when they are not what was written.

What is read back carries a checksum of its content and the name of its format. An archive (``.pt``, ``.ckpt``,
``.npz``) is a zip file and carries them as the comment that zip files may end with: torch and numpy read it as any
other. A JSON document carries ``checksum`` as its first key; one without it is from before there were any.
"""

import errno
import io
import json
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any

from sad_lightning.errors import DamagedError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NAMELESS = (*FULL, errno.EROFS, errno.EIO)  # what writing fails with, often without the name of the file
_SEAL = re.compile(rb"sad_lightning ([^\n]{1,200}) [0-9a-f]{32}\Z")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # moves a terminal, or has no bytes

MODEL_FILE = "model.pt"  # what a training on own data leaves in its folder


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it takes the name ``path`` when the block ends well, else it is removed.

    Its content is on the disk before it takes the name.

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
        with open(part, "rb+") as file:
            os.fsync(file.fileno())  # or a crash could leave the name without the content
        os.replace(part, path)
    except OSError as error:
        if error.filename == str(part) or (error.filename is None and error.errno in _NAMELESS):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        with suppress(OSError):  # where nothing can be written, there is nothing to remove
            part.unlink(missing_ok=True)


def write_archive(path: Path, kind: str, write: Callable[[io.BytesIO], object]) -> None:
    """Write a zip archive that ``read_archive`` knows again: whole, or not at all.

    Args:
        path: of the file.
        kind: what it is, with its format's version, and whose it is where it belongs to one cell alone.
        write: writes the archive into a buffer, as ``torch.save`` and ``numpy.savez`` do.

    Raises:
        OSError: it can not be written.
    """
    buffer = io.BytesIO()
    write(buffer)
    content = buffer.getbuffer()[:-2]  # an archive ends with the length of its comment, and there is none
    with whole_file(path) as part, open(part, "wb") as file:
        file.write(content)
        file.write(_seal(kind, content))


def read_archive(path: Path, kind: str) -> io.BytesIO:
    """The bytes of an archive that ``write_archive`` wrote.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: it is not what was written, or of another kind.
    """
    content = path.read_bytes()
    seal = _SEAL.search(content, max(len(content) - 300, 0))
    if seal is None:
        raise DamagedError(path, f"must be a {kind}, but it is cut or something else")
    if seal[1] != kind.encode():
        raise DamagedError(path, f"must be a {kind}, it is a {seal[1].decode(errors='replace')}")
    whole = seal.start() - 2
    if content[whole:] != _seal(kind, memoryview(content)[:whole]):
        raise DamagedError(path, f"must be a {kind}, but its checksum does not fit: it was changed")
    return io.BytesIO(content)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document with its checksum: whole, or not at all.

    Raises:
        OSError: it can not be written.
    """
    plain = json.loads(json.dumps(document, allow_nan=False))
    text = json.dumps({"checksum": _checksum(plain), **plain}, indent=1)
    with whole_file(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The document of a file, without its checksum, and without characters that would move a terminal.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: it is no document, or not the one that was written.
    """
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError, MemoryError) as error:
        raise DamagedError(path, f"is cut or damaged ({error})") from error
    if not isinstance(document, dict):
        raise DamagedError(path, f"must be a JSON object, it is a {type(document).__name__}")
    checksum = document.pop("checksum", None)
    if checksum is not None and checksum != _checksum(document):
        raise DamagedError(path, "its checksum does not fit: it was changed")
    printable: dict[str, Any] = _printable(document)
    return printable


def set_aside(path: Path, error: DamagedError) -> None:
    """Keep a damaged file under another name, and say so: the work that it stood for is done again."""
    names = (path.with_name(f"{path.name}.damaged{number or ''}") for number in count())
    kept = next(name for name in names if not name.exists())
    with suppress(FileNotFoundError):  # another process was quicker
        path.rename(kept)
    print(
        f"sad_lightning: {path}: {error.reason}; it is kept as {kept.name}, what it held is done again", file=sys.stderr
    )


def _seal(kind: str, content: memoryview) -> bytes:
    """The end of an archive: the length of its comment, and the comment."""
    comment = f"sad_lightning {kind} {blake2b(content, digest_size=16).hexdigest()}".encode()
    return len(comment).to_bytes(2, "little") + comment


def _checksum(document: Mapping[str, Any]) -> str:
    return blake2b(json.dumps(document, sort_keys=True).encode(), digest_size=16).hexdigest()


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return _UNPRINTABLE.sub("?", value)
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return {_printable(key): _printable(item) for key, item in value.items()} if isinstance(value, dict) else value


def _runs(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True
