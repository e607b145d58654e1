"""Files that are written whole or not at all, and whose checksums show when they were changed.

Every file that is read back holds a checksum of its content and the name of its format. An archive (``.pt``, ``.ckpt``,
``.npz``) is a zip file and holds them in the comment at its end, so that torch and numpy read it like any other zip
file. A JSON document holds ``checksum`` as its first key; documents of older versions have none.
"""

import errno
import glob
import io
import json
import os
import re
import socket
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from sad_lightning.errors import DamagedError

T = TypeVar("T")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# errors of writing that often do not name the file
_NAMELESS = (*FULL, errno.EROFS, errno.EIO, errno.ENOENT, errno.EACCES, errno.EPERM)
_SEAL = re.compile(rb"sad_lightning ([^\n]{1,200}) [0-9a-f]{32}\Z")
# Control characters, which a terminal would obey, those that turn the direction of a text, and surrogates, which can
# not be encoded.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_MAY_MOVE = re.compile(rb"\\[ubfr]|[\x7f-\xff]")  # bytes of JSON without which a text holds none of them

MODEL_FILE, CARD_FILE = "model.pt", "detector.html"  # in the folder of a cell of own data
HUB_FILE = "model.safetensors"  # in a folder that export writes for a model hub


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path``, which is renamed to ``path`` after the block, or removed after an exception.

    Its content is on the disk before it is renamed. Temporary files of killed processes of this machine are removed.

    Raises:
        OSError: it can not be written; the error names ``path``.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_left(path.parent, glob.escape(path.name))
    part = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.part")
    try:
        yield part
        with open(part, "rb+") as file:
            os.fsync(file.fileno())  # else a crash could leave an empty file of that name
        os.replace(part, path)
    except OSError as error:
        if error.filename == str(part) or (error.filename is None and error.errno in _NAMELESS):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        with suppress(OSError):  # where nothing can be written, there is nothing to remove
            part.unlink(missing_ok=True)


def remove_left(folder: Path, pattern: str) -> None:
    """Remove the temporary files that killed processes of this machine left of the files whose names fit a pattern."""
    for part in folder.glob(f".{pattern}.{glob.escape(socket.gethostname())}.*.part"):
        if not _runs(part.name.split(".")[-2]):
            part.unlink(missing_ok=True)


def model_file(path: Path) -> Path:
    """The model file: the path itself, or the file in the folder of a run or of a model hub."""
    if not path.is_dir():
        return path
    is_hub = (path / HUB_FILE).is_file() and not (path / MODEL_FILE).is_file()
    return path / (HUB_FILE if is_hub else MODEL_FILE)


def write_archive(path: Path, kind: str, write: Callable[[io.BytesIO], object]) -> None:
    """Write a zip archive for ``read_archive``, as ``torch.save`` and ``numpy.savez`` do: whole, or not at all.

    Its kind names a format with a version, and the cell that it belongs to, if it belongs to one.
    """
    buffer = io.BytesIO()
    write(buffer)
    content = buffer.getbuffer()[:-2]  # without the length of the comment, which is 0
    with whole_file(path) as part, open(part, "wb") as file:
        file.write(content)
        file.write(_seal(kind, content))


def read_archive(path: Path, kind: str) -> io.BytesIO:
    """The bytes of an archive that ``write_archive`` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedError: it is not what was written, or of another kind.
    """
    content = _content(path)
    seal = _SEAL.search(content, max(len(content) - 300, 0))
    if seal is None:
        raise DamagedError(path, f"must be a {kind}, but it is cut or something else")
    if seal[1] != kind.encode():
        raise DamagedError(path, f"must be a {kind}, it is a {seal[1].decode(errors='replace')}")
    whole = seal.start() - 2
    if content[whole:] != _seal(kind, memoryview(content)[:whole]):
        raise DamagedError(path, f"must be a {kind}, but its checksum does not fit: it was changed")
    return io.BytesIO(content)


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Write the texts below a folder, by the names of their files: each whole, or not at all."""
    for name, text in texts.items():
        with whole_file(folder / name) as part:
            part.write_text(text, encoding="utf-8")


def write_json(path: Path, document: Mapping[str, Any], *, indent: int | None = 1) -> None:
    """Write a document with its checksum: whole, or not at all.

    ``indent`` is None for one long line, which is written ten times as fast.
    """
    plain = json.loads(json.dumps(document, allow_nan=False))
    text = json.dumps({"checksum": _checksum(plain), **plain}, indent=indent)
    write_texts(path.parent, {path.name: text + "\n"})


def read_json(path: Path, *, as_written: bool = False) -> dict[str, Any]:
    """The document of a file, without its checksum and without control characters, which a terminal would obey.

    They are kept in values that are compared with data, which stay ``as_written``.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedError: it is no JSON object, or not the one that was written.
    """
    content = _content(path)
    try:
        document = json.loads(content)
    except (ValueError, RecursionError, MemoryError) as error:
        raise DamagedError(path, f"is cut or damaged ({error})") from error
    if not isinstance(document, dict):
        raise DamagedError(path, f"must be a JSON object, it is a {type(document).__name__}")
    checksum = document.pop("checksum", None)
    if checksum is not None and checksum != _checksum(document):
        raise DamagedError(path, "its checksum does not fit: it was changed")
    plain: dict[str, Any] = document
    if not as_written and _MAY_MOVE.search(content):
        plain = printable(document)
    return plain


def _content(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedError: it is a folder, a pipe or a device, which may never end.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise DamagedError(path, "must be a file, and is a folder, a pipe or a device")
    return path.read_bytes()


def set_aside(path: Path, error: DamagedError) -> None:
    """Rename a damaged file, and print that its content will be computed again."""
    names = (path.with_name(f"{path.name}.damaged{number or ''}") for number in count())
    target = next(name for name in names if not name.exists())
    with suppress(FileNotFoundError):  # another process was quicker
        path.rename(target)
    print(
        f"sad_lightning: {path}: {error.reason}; it is kept as {target.name}, what it held is done again",
        file=sys.stderr,
    )


def unless_damaged(path: Path, read: Callable[[], T]) -> T | None:
    """What ``read`` returns of a file; None where it is not there, or is damaged and set aside."""
    try:
        return read()
    except FileNotFoundError:
        return None
    except DamagedError as error:
        set_aside(path, error)
        return None


def _seal(kind: str, content: memoryview) -> bytes:
    """The end of an archive: the length of its comment, and the comment."""
    comment = f"sad_lightning {kind} {blake2b(content, digest_size=16).hexdigest()}".encode()
    return len(comment).to_bytes(2, "little") + comment


def _checksum(document: Mapping[str, Any]) -> str:
    return blake2b(json.dumps(document, sort_keys=True).encode(), digest_size=16).hexdigest()


def printable(value: Any) -> Any:
    """Plain data without the characters that would move a terminal or have no bytes: ``?`` stands for each."""
    if isinstance(value, str):
        return _UNPRINTABLE.sub("?", value)
    if isinstance(value, list):
        return [printable(item) for item in value]
    return {printable(key): printable(item) for key, item in value.items()} if isinstance(value, dict) else value


def _runs(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:  # a process of another user
        return True
    return True
