"""What was read from the files of a store, kept in one file beside them, so that 100,000 results are read in seconds.

A line of an index holds what one file says, and the file's size, inode and times: where one of these has changed, the
file is read again. Each line has a checksum; one that is cut, damaged or of another version does not count. Deleting an
index loses nothing.
"""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sad_lightning.files import whole_file

Stamp = tuple[int, ...]
# Control characters and surrogates, as JSON spells them; ``files.read_json`` has replaced them.
_UNPRINTABLE = re.compile(rb"\\u00(?:[01]|7f|[89])|\\[bf]|\\ud[89a-f]")


class Index:
    """What is remembered of the files below a folder.

    Args:
        path: of the index.
        version: of what it remembers of a file; lines of another version do not count.
    """

    def __init__(self, path: Path, version: str) -> None:
        self.path, self._version = path, version.encode()
        self._content: dict[str, tuple[Stamp, dict[str, Any]]] = {}
        self._shared: dict[str, Any] = {}
        self._new: list[bytes] = []
        self._lines = 0
        self._may_open = path.is_file() or not os.path.lexists(path)  # a pipe would wait, a device never end
        with suppress(OSError):  # there is none, or it is somebody else's: all files are read
            if self._may_open:
                with open(path, "rb") as file:
                    for line in file:
                        self._read(line)

    def get(self, name: str, stamp: Stamp) -> dict[str, Any] | None:
        """What the file of that name, relative to the folder, says; None where it is not known or the file has changed.

        It must not be changed.
        """
        known = self._content.get(name)
        return known[1] if known is not None and known[0] == stamp else None

    def put(self, name: str, stamp: Stamp, content: Mapping[str, Any]) -> dict[str, Any]:
        """Remember what a file says, as plain data; its stamp is from before it was read.

        Returns the content, in whose ``settings`` files share what is equal. It must not be changed.
        """
        settings, short, shared = dict(content.get("settings", {})), {}, {}
        for key, value in settings.items():
            if not isinstance(value, dict):
                short[key] = value
                continue
            shared[key] = digest = blake2b(json.dumps(value).encode(), digest_size=8).hexdigest()
            if digest not in self._shared:
                self._shared[digest] = value
                self._write([digest, value])
            settings[key] = self._shared[digest]
        self._write([name, stamp, {**content, "settings": short}, shared])
        known = {**content, "settings": settings}
        self._content[name] = stamp, known
        return known

    def save(self) -> None:
        """Write what is new; where the folder can not be written, it is read again the next time."""
        if not self._new or not self._may_open:
            return
        with suppress(OSError):
            if self._lines > 3 * len(self._content) + 1000:  # most of it is about files that have changed
                self._rewrite()
            else:
                with open(self.path, "ab") as file:
                    file.write(b"\n" + b"".join(self._new))  # ends a line that was cut
        self._lines += len(self._new)
        self._new = []

    def _rewrite(self) -> None:
        known, self._content, self._shared, self._new, self._lines = self._content, {}, {}, [], 0
        for name, (stamp, content) in known.items():
            self.put(name, stamp, content)
        with whole_file(self.path) as part:
            part.write_bytes(b"".join(self._new))

    def _write(self, entry: list[Any]) -> None:
        text = json.dumps(entry).encode()
        self._new.append(self._checksum(text) + b" " + text + b"\n")

    def _checksum(self, text: bytes) -> bytes:
        return blake2b(text, digest_size=12, key=self._version).hexdigest().encode()

    def _read(self, line: bytes) -> None:
        text = line[25:-1]
        if line[:24] != self._checksum(text) or _UNPRINTABLE.search(text):
            return
        self._lines += 1
        entry = json.loads(text)
        if len(entry) == 2:
            self._shared[entry[0]] = entry[1]
            return
        name, stamp, content, shared = entry
        with suppress(KeyError):  # the line of a value is damaged
            content["settings"] |= {key: self._shared[digest] for key, digest in shared.items()}
            self._content[name] = tuple(stamp), content


def stamp_of(at: os.stat_result) -> Stamp:
    """What changes when a file is written or replaced."""
    return at.st_size, at.st_ino, at.st_mtime_ns, at.st_ctime_ns
