"""The results below a folder, each read once: what they say is remembered in an index beside them."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from sad_lightning.result import FILE, SCHEMA, Coordinates, Result
from sad_lightning.results.index import Index, Stamp, stamp_of

_FIELDS = [field.name for field in fields(Result) if field.name != "history"]


class Results:
    """Reads results through an index. Their ``history`` is left out, most of a file: ``Result.read`` has it.

    Args:
        folder: above all of them; the index lies in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index = Index(folder / ".results.index", f"1 of schema {SCHEMA}")

    def read(self, name: str, stamp: Stamp | None = None) -> Result:
        """The result of a cell, by the name of its folder below that of the results, and its stamp if it is known.

        Raises:
            FileNotFoundError: there is no result.
            DamagedError: it is damaged or of another schema.
        """
        path = os.path.join(self.folder, name)
        stamp = stamp or stamp_of(os.stat(os.path.join(path, FILE)))
        content = self._index.get(name, stamp)
        if content is None:
            result = Result.read(Path(path))
            plain = {field: getattr(result, field) for field in _FIELDS} | {"coordinates": vars(result.coordinates)}
            content = self._index.put(name, stamp, plain)
        return Result(**{**content, "coordinates": Coordinates.read(content["coordinates"])}, history={})

    def save(self) -> None:
        """Keep what was read for the next time."""
        self._index.save()


@contextmanager
def nothing_is_garbage() -> Iterator[None]:
    """No search for garbage in the block, nor later in what it leaves.

    100,000 results are millions of values that all stay, and to look through them again and again took a third of the
    time of a report.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def files_below(folder: Path, ends: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Stamp]]]:
    """Every folder that holds files with such ends: its name relative to the folder, and its files, in order.

    The stamp of what is no file, as of a broken link, is empty.
    """
    waiting = [""]
    while waiting:
        name = waiting.pop()
        files: dict[str, Stamp] = {}
        below = []
        try:
            with os.scandir(os.path.join(folder, name)) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        below.append(os.path.join(name, entry.name))
                    elif entry.name.endswith(ends):
                        files[entry.name] = _stamp(entry)
        except OSError:  # it is gone, or somebody else's
            continue
        waiting += sorted(below, reverse=True)
        if files:
            yield name, files


def _stamp(entry: "os.DirEntry[str]") -> Stamp:
    try:
        return stamp_of(entry.stat()) if entry.is_file() else ()
    except OSError:  # a link that leads to itself
        return ()
