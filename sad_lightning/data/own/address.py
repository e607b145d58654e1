"""Files on other machines, by an address that pyarrow or fsspec can read: s3://, gs://, abfs://, ..."""

from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from sad_lightning.errors import InputError, error_words


class Address(NamedTuple):
    """A file on another machine, with those functions of a ``Path`` that reading a table needs.

    The url is as it was typed; the path is within a file system of fsspec.
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
        """Whether there is a file or a folder."""
        return bool(self._ask("exists"))

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return bool(self._ask("isdir"))

    def open(self, mode: str) -> Any:
        """The file, opened; it can seek."""
        return self._ask("open", mode)

    def info(self) -> dict[str, Any]:
        """Its size, and when it was changed, by the names that the file system has for them."""
        return dict(self._ask("info"))

    def below(self) -> list[str]:
        """The paths of all files below the folder."""
        return list(map(str, self._ask("find")))

    def _ask(self, what: str, *arguments: str) -> Any:
        """Call a function of the file system with the path.

        Raises:
            InputError: the other machine does not answer, or refuses.
        """
        try:
            return getattr(self.filesystem, what)(self.path, *arguments)
        except Exception as error:  # each file system has errors of its own
            reason = error_words(error)[:300]
            raise InputError(f"{self.url}: can not be read now ({reason}); the same command tries again") from error

    def __str__(self) -> str:
        return self.url


Place = Path | Address


def is_address(text: str) -> bool:
    """Whether a file is named by an address and not by a path."""
    return "://" in text


def address_of(url: str) -> Address:
    """The file of an address; pyarrow's own file systems come first, since they need no further package.

    Raises:
        InputError: nothing that is installed reads such addresses.
    """
    try:
        return _by_pyarrow(url)
    except (ImportError, ValueError, OSError):  # pyarrow does not know this kind
        pass
    import fsspec  # torch brings it

    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        raise InputError(f"{url}: can not be read ({error_words(error)}); install what reads it") from error
    return Address(url, filesystem, path)


def _by_pyarrow(url: str) -> Address:
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow import fs

    filesystem, path = fs.FileSystem.from_uri(url)
    return Address(url, ArrowFSWrapper(filesystem), path)
