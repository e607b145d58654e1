"""Published data sets: read from a file, else downloaded to it; only checked files are kept, a failure is one line."""

import http.client
import os
import socket
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.arrays import Arrays, content_digest, data_root
from sad_lightning.errors import InputError, error_words
from sad_lightning.files import whole_file

Raw = dict[str, NDArray[np.generic]]

_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Published:
    """A data set that was published as one content.

    Attributes:
        file: its name below the folder of all data sets.
        digest: of its arrays.
        read: the arrays of such a file.
        fetch: downloads what is published, and writes such a file to a temporary folder.
    """

    file: str
    digest: str
    read: Callable[[Path], Raw]
    fetch: Callable[[Path], None]

    def load(self, root: str | None, arrays_of: Callable[[Path, Raw], Arrays]) -> Arrays:
        """The data set that ``arrays_of`` makes of its file, with a warning where this holds another content.

        Raises:
            InputError: the file is damaged, or is not there and can not be fetched.
        """
        path = data_root(root) / self.file
        raw = self.read(path) if path.exists() else self._download(path)
        arrays = arrays_of(path, raw)
        if content_digest(raw) != self.digest:
            warnings.warn(
                f"{path.name}: is not what was published, and its numbers compare with no others; remove it to have it "
                f"fetched again",
                stacklevel=3,
            )
        return arrays

    def verify(self, root: str | None) -> bool:
        """Whether the file holds exactly what was published.

        Raises:
            InputError: the file is damaged.
        """
        return content_digest(self.read(data_root(root) / self.file)) == self.digest

    def _download(self, path: Path) -> Raw:
        with download_folder(path) as folder:
            part = folder / path.name
            self.fetch(part)
            try:
                raw = self.read(part)
            except InputError as error:
                raise InputError(
                    f"{path}: what was downloaded is not a whole {path.suffix} file; try again later"
                ) from error
            found = content_digest(raw)
            if found != self.digest:
                raise InputError(
                    f"{path}: what was downloaded is not the published data (its sha256 differs: {found}, expected "
                    f"{self.digest}); try again later, or put the file there by hand"
                )
            with whole_file(path) as kept:
                os.replace(part, kept)
        return raw


@contextmanager
def download_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to download to, beside the file that the block writes in the end; removed after the block.

    torchvision sets no time limit: within the block a transfer that stalls is an error after 30 seconds.

    Raises:
        InputError: the folder of ``path`` can not be written, or a download fails; the message says how to put the
            file there by hand.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise InputError(
            f"data.root: {path.parent} can not be written ({error.strerror}); choose another folder"
        ) from error
    limit = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)
    try:
        with folder as name:
            yield Path(name)
    except (RuntimeError, OSError, http.client.HTTPException) as error:  # what torchvision raises
        if isinstance(error, HTTPError):
            error.close()  # it holds the connection
        reason = error_words(error)
        raise InputError(
            f"{path}: is not there and downloading it fails ({reason}); try again later, put the file there by hand, "
            f"or point data.root (environment: SAD_DATA_ROOT) at a folder that has it"
        ) from error
    finally:
        socket.setdefaulttimeout(limit)
