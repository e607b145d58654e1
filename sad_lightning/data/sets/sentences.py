"""First sentences of reviews, positive or negative, as daniel2021 appendix H has them from IMDB.

    a folder    train/pos/*.txt, train/neg/*.txt, test/pos/*.txt, test/neg/*.txt    IMDB as it is unpacked (Maas et al.
                2011); both halves together, since the paper draws its own
    a folder    rt-polarity.pos and rt-polarity.neg, or with .gz behind    film reviews, a sentence a line (Pang and
                Lee 2005)
    a table     a column of texts and one of the words positive and negative, or pos and neg, or 1 and 0

Of a review the first sentence counts, if it has as many words as the settings say.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sad_lightning.checks import path_of, whole_number
from sad_lightning.data.arrays import Arrays, data_root
from sad_lightning.data.own.reading import read_table
from sad_lightning.data.own.values import listed
from sad_lightning.data.schema import TextSchema
from sad_lightning.data.words import first_sentence, numbers_of, words_of
from sad_lightning.errors import InputError

CLASSES = ("positive", "negative")
_SHORT = ("pos", "neg")
_CODES = {"positive": 0, "pos": 0, "1": 0, "negative": 1, "neg": 1, "0": 1}
_HALVES = ("train", "test")
_LAYOUTS = "train/pos/*.txt, train/neg/*.txt, ... of IMDB (aclImdb), or rt-polarity.pos.gz and rt-polarity.neg.gz"


def sentences(root: str | None, path: str, text: str, label: str, least: int, most: int) -> Arrays:
    """The sentences of a folder or of a table.

    Args:
        root: the folder that ``path`` is below, unless it is absolute.
        path: of the folder or the table.
        text: the column of the texts; of a model file too, whatever the sentences came from.
        label: the column of the words positive and negative.
        least: the fewest words of a sentence.
        most: the most words.

    Raises:
        InputError: a setting is out of range, nothing is there, it has another layout, or a class has no sentence.
    """
    whole_number("data.least", least)
    whole_number("data.most", most, least=least)
    file = data_root(root) / path_of("data.path", path)
    texts = _of_folder(file) if file.is_dir() else _of_table(file, text, label)
    words, target = [], []
    for code, sentence in texts:
        if least <= len(each := words_of(sentence)) <= most:
            words.append(each)
            target.append(code)
    missing = [name for code, name in enumerate(CLASSES) if code not in target]
    if missing:
        raise InputError(
            f"{file}: must hold sentences of {least} to {most} words of both classes, it holds no {missing[0]} one; "
            f"add some, or change data.least and data.most"
        )
    known = tuple(sorted({word for sentence in words for word in sentence}))
    x = numbers_of(words, known, most)
    return Arrays(x, np.array(target), CLASSES, schema=TextSchema(text, known, most))


def _of_folder(folder: Path) -> Iterator[tuple[int, str]]:
    """The class and the first sentence of each review."""
    for code, short in enumerate(_SHORT):
        lines = [each for end in ("", ".gz") if (each := folder / f"rt-polarity.{short}{end}").is_file()]
        files = [file for half in _HALVES for file in sorted((folder / half / short).glob("*.txt"))]
        if not lines and not files:
            raise InputError(f"{folder}: must hold {_LAYOUTS}; it has nothing of {CLASSES[code]}; put it there")
        for line in _read(lines[0]).split("\n") if lines else ():
            yield code, line
        for file in files:
            yield code, first_sentence(_read(file))


def _of_table(file: Path, text: str, label: str) -> Iterator[tuple[int, str]]:
    if not file.exists():
        raise InputError(f"{file}: is not there; put a folder of {_LAYOUTS}, or give a table with data.path=FILE")
    columns = read_table(file, [text, label])
    for key, name in (("text", text), ("label", label)):
        if name not in columns:
            raise InputError(f"data.{key}={name}: {file} has no such column; it has {listed(list(columns))}")
    other = sorted(set(columns[label].words) - _CODES.keys())
    if other:
        raise InputError(
            f"{file}: column {label} must hold positive and negative, it holds {listed(list(map(repr, other)))}; "
            f"data=table reads other labels"
        )
    for word, review in zip(columns[label].texts(), columns[text].texts(), strict=True):
        if word is not None and review is not None:
            yield _CODES[word], first_sentence(review)


def _read(file: Path) -> str:
    """A text in UTF-8, else in Latin-1, unpacked if its name ends in .gz."""
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{file}: must be a whole gzip file, but reading it fails ({error}); copy it again") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")
