"""A file that does not lie on this machine, by an address that pyarrow or fsspec reads: s3://, gs://, abfs://, ..."""

from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from sad_lightning.errors import InputError


class Address(NamedTuple):
    """What reading a table needs of a path, of a file elsewhere.

    Attributes:
        url: as it was typed.
        filesystem: fsspec's.
        path: within it.
    """

    url: str
    filesystem: Any
    path: str

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.path).name

    @property
    def suffix(self) -> str:
        """The last ending of the name."""
        return PurePosixPath(self.path).suffix

    @property
    def suffixes(self) -> list[str]:
        """All endings of the name."""
        return PurePosixPath(self.path).suffixes

    def exists(self) -> bool:
        """Whether something is there."""
        return bool(self.filesystem.exists(self.path))

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return bool(self.filesystem.isdir(self.path))

    def open(self) -> Any:
        """Its bytes, as a file that can be sought in."""
        return self.filesystem.open(self.path, "rb")

    def __str__(self) -> str:
        return self.url


Place = Path | Address


def is_address(text: str) -> bool:
    """Whether a file is named by an address and not by a path."""
    return "://" in text


def address_of(url: str) -> Address:
    """The file of an address; pyarrow's own file systems first, for they need no further package.

    Raises:
        InputError: nothing that is installed reads such addresses.
    """
    try:
        return _by_pyarrow(url)
    except (ImportError, ValueError, OSError):  # of a kind that it does not know
        pass
    import fsspec  # torch brings it

    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InputError(f"{url}: can not be read ({' '.join(str(error).split())}); install what reads it") from error
    return Address(url, filesystem, path)


def _by_pyarrow(url: str) -> Address:
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow import fs

    filesystem, path = fs.FileSystem.from_uri(url)
    return Address(url, ArrowFSWrapper(filesystem), path)
