"""How a text file spells its rows, guessed from its beginning and, for the encoding, from all of it."""

import codecs
import csv
import gzip
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from sad_lightning.data.schema import Dialect
from sad_lightning.errors import InputError

ENCODINGS = ("utf-8", "cp1252", "latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32")  # each that is guessed
_USUAL, _OTHERS = ",;\t|", "^~"  # delimiters
_NO_TEXT = {  # files by another name, by their beginning, and what to do
    rb"PK\x03\x04|\xd0\xcf\x11\xe0": "a workbook or a zip archive; save it as CSV or parquet",
    rb"PAR1": "a parquet; name it .parquet",
    rb"\x1f\x8b": "packed by gzip; name it .csv.gz",
    rb"BZh|\xfd7zXZ|\x28\xb5\x2f\xfd": "packed; unpack it",
    rb"ARROW1|\x89HDF|SQLite format|\x93NUMPY|%PDF": "no text; write it as CSV or parquet",
    rb"\s*<(!doctype|html|\?xml|table)": "HTML or XML; save it as CSV or parquet",
    rb"\s*(\{\s*\"|\[\s*[{[])": "JSON; write it as CSV or parquet",
}
_LINES = 200  # that are looked at
_BLOCK = 1 << 20
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")
_NUMBER = re.compile(r"-?\d*[.,]?\d+([eE][-+]?\d+)?")


def guess_dialect(path: Path) -> Dialect:
    """The dialect of a CSV: encoding, lines before the header, delimiter, whether there is a header, decimal point.

    Raises:
        InputError: the file is empty, or packed and damaged.
    """
    encoding = _encoding(path)
    lines = _whole_lines(_first_lines(path, encoding))
    if not any(line.strip() for line in lines):
        raise InputError(f"{path}: must hold a line of column names and rows, it is empty; give another file")
    named = re.fullmatch(r"sep=(.)", lines[0].strip())
    delimiter = named[1] if named else _delimiter(lines)
    lines = _without_blanks(lines) if delimiter == " " else lines
    skip = 1 if named else _lines_before_the_header(lines, delimiter)
    rows = [row for row in csv.reader(lines[skip:], delimiter=delimiter) if row]
    header = _has_header(rows)
    fields = [field.strip() for row in rows[header:] for field in row if field.strip()]
    commas = delimiter != "," and any(_DECIMAL_COMMA.fullmatch(field) for field in fields)
    points = any(re.fullmatch(r"-?\d+\.\d+", field) for field in fields)
    first = lines[skip]
    usual = max(_USUAL, key=first.count)  # what is taken where nothing is said
    return Dialect(
        delimiter=None if delimiter == usual else delimiter,
        decimal="," if commas and not points else ".",
        encoding=encoding,
        header=header,
        skip_rows=sum(line.count("\n") or 1 for line in lines[:skip]),
    )


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    with open(path, "rb") as file:
        if path.suffix.lower() != ".gz":
            yield file
            return
        with gzip.open(file) as unpacked:
            yield cast(IO[bytes], unpacked)


def _encoding(path: Path) -> str:
    try:
        with _open(path) as file:
            start = file.read(1 << 12)
        for beginning, what in _NO_TEXT.items():
            if re.match(beginning, start, re.IGNORECASE):
                raise InputError(f"{path}: must be a table as text, and is {what}")
        if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
            return "utf-32"
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        for encoding, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
            if 2 * zeros.count(0) > len(zeros):
                return encoding
        return next(name for name in ENCODINGS[:3] if _decodes(path, name))  # the last one always does
    except (EOFError, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: must be a whole gzip file, but reading it fails ({error}); pack it again") from error


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with _open(path) as file:
            while block := file.read(_BLOCK):
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _first_lines(path: Path, encoding: str) -> list[str]:
    lines: list[str] = []
    with _open(path) as file, codecs.getreader("utf-8-sig" if encoding == "utf-8" else encoding)(file) as text:
        for line in text:
            if len(line) > csv.field_size_limit():
                raise InputError(f"{path}: must be a table, but has a line of {len(line):,} letters; give another file")
            lines.append(line)
            if len(lines) == _LINES:
                break
    return lines


def _whole_lines(lines: list[str]) -> list[str]:
    """The lines, joined with the next one where a quoted field goes on in it."""
    whole: list[str] = []
    for line in lines:
        if whole and whole[-1].count('"') % 2 and line.count('"') % 2:
            whole[-1] += line
        else:
            whole.append(line)
    return whole


def _has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names columns: it holds neither numbers alone nor numbers beside words that come back."""
    words = {at: field.strip() for at, field in enumerate(rows[0]) if field.strip()}
    names = {at: word for at, word in words.items() if not _NUMBER.fullmatch(word)}
    repeated = all(any(row[at].strip() == name for row in rows[1:] if at < len(row)) for at, name in names.items())
    return bool(names) and not (repeated and len(names) < len(words))


def _without_blanks(lines: list[str]) -> list[str]:
    """The lines with one blank where there are several, and none around them."""
    return [re.sub(" +", " ", line).strip(" ") for line in lines]


def _delimiter(lines: list[str]) -> str:
    """The one that stands equally often in most lines; blanks, any number of them, where no other stands in half."""

    def agreement(delimiter: str) -> tuple[int, int]:
        counts = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter) if row)
        fields, times = max(counts.items(), key=lambda item: (item[0] > 1, item[1]))
        return (times if fields > 1 else 0, fields)

    best = max(_USUAL + _OTHERS, key=agreement)
    if 2 * agreement(best)[0] < len(lines):
        parted = Counter(len(line.split()) for line in lines if line.strip()).most_common(1)[0]
        return " " if parted[0] > 1 and 2 * parted[1] > len(lines) else best
    return best


def _lines_before_the_header(lines: list[str], delimiter: str) -> int:
    """Titles, comments and blank lines: what has fewer fields than most rows."""
    fields = [len(next(csv.reader([line], delimiter=delimiter), [])) for line in lines]
    usual = Counter(count for count in fields if count).most_common(1)[0][0]
    ends = all(line.rstrip("\r\n").endswith(delimiter) for line in lines[1:] if line.strip())
    for skip, count in enumerate(fields):
        if ends and skip == 0 and count == usual - 1:  # a delimiter ends each row, and not the header
            return 0
        if count == usual and not (lines[skip].startswith("#") and skip + 1 < len(lines) and usual == 1):
            return skip
    return 0
