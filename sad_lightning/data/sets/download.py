"""Fetching a file: mirrors, resumed where a broken transfer stopped, moved into place only when whole."""

import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from sad_lightning.errors import InputError

_CHUNK = 1 << 18
_TIMEOUT_SECONDS = 30


def fetch(urls: Sequence[str], path: Path) -> Path:
    """Download the first mirror that answers to ``path``, with a progress bar; a file in place is left alone.

    Bytes arrive in ``path`` + ``.part``; an interrupted transfer continues there with an HTTP range request. What
    arrives is not trusted: the caller checks the content and removes the file where it is wrong.

    Raises:
        InputError: no mirror gave the file; the message says how to put it there by hand.
    """
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"data.root: {path.parent} can not be written ({error.strerror}); choose another folder"
        ) from error
    failures = []
    for url in urls:
        try:
            _transfer(url, path.with_name(path.name + ".part"), path.name)
        except (OSError, http.client.HTTPException) as error:  # urllib's errors are OSErrors
            failures.append(f"{url}: {error}")
            continue
        os.replace(path.with_name(path.name + ".part"), path)
        return path
    raise InputError(
        f"{path}: is not there and no mirror gave it ({'; '.join(failures)}); put the file there by hand or point "
        f"data.root (environment: SAD_DATA_ROOT) at a folder that has it"
    )


def _transfer(url: str, part: Path, name: str) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing left to send, or a part longer than the file: the check will tell
            return
        raise
    with response:
        resumed = response.status == 206
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        with (
            open(part, "ab" if resumed else "wb") as file,
            tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=name) as bar,
        ):
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
            got = file.tell()
    if total is not None and got < total:
        raise OSError(f"the transfer broke off after {got} of {total} bytes; run again to continue it")
