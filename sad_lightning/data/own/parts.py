"""The files that a name stands for: one, or the parts of a data set, by a folder, a pattern or an address."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from sad_lightning.data.own.address import Address, Place, address_of, is_address
from sad_lightning.data.own.reading import SUFFIXES
from sad_lightning.errors import InputError

_SIGNS = "*?["  # of a pattern
_ALL = "**/*"


@dataclass(frozen=True)
class DataPart:
    """One file of a data set; its name is its path below the folder of the data set."""

    place: Place
    name: str

    @property
    def partitions(self) -> Mapping[str, str]:
        """Columns that the folders name, as in ``day=2026-01-31/part-0.parquet``."""
        folders = PurePosixPath(self.name).parts[:-1]
        return dict(folder.split("=", 1) for folder in folders if "=" in folder)

    def state(self) -> str:
        """A mark that changes when the file does."""
        if isinstance(self.place, Path):
            at = self.place.stat()
            return f"{at.st_size} {at.st_mtime_ns}"
        info = self.place.info()
        changed = next((info[key] for key in ("ETag", "etag", "mtime", "LastModified", "created") if key in info), "")
        return f"{info.get('size')} {changed}"


def is_many(names: Sequence[str]) -> bool:
    """Whether they name a data set of several parts: several files, a pattern, or a folder of tables."""
    return len(names) > 1 or _is_pattern(names[0]) or (place_of(names[0]).is_dir() and bool(_below(place_of(names[0]))))


def check_data(names: Sequence[str]) -> None:
    """Refuse files that do not exist."""
    for name in names:
        if not (find_parts([name]) if _is_pattern(name) else place_of(name).exists()):
            rule = "no file fits the pattern" if _is_pattern(name) else "there is no such file"
            raise InputError(f"{name}: {rule}; give the path of one that is there")


def place_of(name: str) -> Place:
    """A file or a folder, by a path or an address."""
    return address_of(name) if is_address(name) else Path(name)


def find_parts(names: Sequence[str]) -> list[DataPart]:
    """All parts, by argument and then by name; files and folders whose names begin with _ or a dot are left out.

    Raises:
        InputError: two have one name, so that their scores would have one place.
    """
    parts = [part for name in names for part in _parts_of(name)]
    count = Counter(part.name for part in parts)
    for part in parts:
        if count[part.name] > 1:
            raise InputError(f"{part.place}: another part is called {part.name} too; give the folder above them")
    return parts


def _parts_of(name: str) -> list[DataPart]:
    if not _is_pattern(name):
        place = place_of(name)
        return [_part(place, each) for each in _below(place)] if place.is_dir() else [DataPart(place, place.name)]
    folder, pattern = _split(name)
    top = place_of(folder)
    below = _below(top, _ALL if "**" in pattern else pattern)  # folders that can not hold one are not looked through
    return [_part(top, each) for each in below if _fits(PurePosixPath(each).parts, pattern.split("/"))]


def _fits(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Whether folders and name fit patterns one by one, ``**`` any number of folders."""
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_fits(parts[k:], patterns[1:]) for k in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _fits(parts[1:], patterns[1:])


def _is_pattern(name: str) -> bool:
    return any(sign in name for sign in _SIGNS) and (is_address(name) or not Path(name).exists())


def _split(name: str) -> tuple[str, str]:
    """The folder above the first part that is a pattern, and the pattern below it."""
    parts = name.split("/")
    first = next(k for k, part in enumerate(parts) if any(sign in part for sign in _SIGNS))
    folder = "/".join(parts[:first])
    if is_address(name):
        return (f"{folder}/" if folder.endswith("/") else folder), "/".join(parts[first:])
    return folder or ("/" if name.startswith("/") else "."), "/".join(parts[first:])


def _part(top: Place, file: str) -> DataPart:
    """A file below a folder, by its path relative to it."""
    if isinstance(top, Path):
        return DataPart(top / file, file)
    path = f"{top.path.rstrip('/')}/{file}"
    return DataPart(Address(f"{top.url.rstrip('/')}/{file}", top.filesystem, path), file)


def _below(top: Place, pattern: str = _ALL) -> list[str]:
    """The tables below a folder, relative to it, by name; of a local folder those that fit a pattern."""
    if isinstance(top, Path):
        files = [file.relative_to(top).as_posix() for file in top.glob(pattern) if file.is_file()]
    else:
        start = top.path.rstrip("/") + "/"
        files = [file.removeprefix("/" if not start.startswith("/") else "").removeprefix(start)
                 for file in top.below()]  # fmt: skip
    hidden = ("_", ".")
    return sorted(
        file for file in files
        if file.lower().endswith(SUFFIXES) and not any(part.startswith(hidden) for part in PurePosixPath(file).parts)
    )  # fmt: skip
