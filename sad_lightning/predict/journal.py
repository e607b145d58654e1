"""The files of the scores of a data set's parts, and which of them are done."""

import json
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from typing import Any

from sad_lightning.data.own.parts import DataPart
from sad_lightning.errors import InputError

JOURNAL = "_predict.jsonl"  # lists the parts that are done, in the folder of the scores


def output_of(part: DataPart, folder: Path, suffix: str | None) -> Path:
    """The file of the scores of a part: the same name, with an ending that can be written."""
    name = part.name.removesuffix(".gz")
    own = PurePosixPath(name).suffix.lower()
    return folder / PurePosixPath(name).with_suffix(suffix or (own if own in (".parquet", ".npz") else ".csv"))


class Journal:
    """A file in the folder of the scores, with one line for each part that is done; a damaged line does not count.

    Args:
        folder: of the scores.
        run: what determines the scores besides the parts; a run that differs in it is refused.

    Raises:
        InputError: the folder holds the scores of another run.
    """

    def __init__(self, folder: Path, run: Mapping[str, Any]) -> None:
        self.path = folder / JOURNAL
        self._run = blake2b(json.dumps(run, sort_keys=True).encode(), digest_size=8).hexdigest()
        self.done: dict[str, dict[str, Any]] = {}
        for record in self._read():
            if record["run"] != self._run:
                raise InputError(
                    f"{folder}: holds scores of another model or other options; choose another folder with --output"
                )
            self.done[record["part"]] = record

    def _read(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        for line in self.path.read_bytes().splitlines():
            checksum, _, text = line.partition(b" ")
            if checksum == _checksum(text):  # else it is empty, was cut by a kill, or was changed
                yield json.loads(text)

    def is_done(self, part: DataPart, output: Path, state: str) -> bool:
        """Whether there are scores of the part in this state."""
        record = self.done.get(part.name)
        return record is not None and output.exists() and record["state"] == state

    def write(self, part: DataPart, state: str, **numbers: Any) -> None:
        """Add a part that is done, with its state before it was read."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        record = json.dumps({"run": self._run, "part": part.name, "state": state, **numbers}).encode()
        with open(self.path, "ab") as file:
            file.write(b"\n%b %b" % (_checksum(record), record))  # what a kill has cut stays a line of its own


def _checksum(text: bytes) -> bytes:
    return blake2b(text, digest_size=8).hexdigest().encode()


def file_digest(file: Path) -> str:
    """The digest of the content of a file."""
    return blake2b(file.read_bytes(), digest_size=8).hexdigest()
