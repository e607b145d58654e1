"""Downloads by torchvision, to a temporary folder: only checked files are kept, and a failure is one line."""

import http.client
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError

from sad_lightning.errors import InputError, error_words

_TIMEOUT_SECONDS = 30.0


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
