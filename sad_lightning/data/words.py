"""Texts as numbers: the words of a text, and the numbers of a sentence, begin, its words, end, padding."""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

PAD, UNKNOWN, BEGIN, END = range(4)
MARKS = 4  # numbers before those of the words
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_END_OF_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+|<br\s*/?>|\n")


def words_of(text: str) -> list[str]:
    """The words of a text in lower case: letters and digits, with apostrophes inside."""
    return _WORD.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


def first_sentence(text: str) -> str:
    """The text to its first full stop, exclamation or question mark that a space follows, or to its first line break.

    An abbreviation with a full stop, such as Mr., ends a sentence too.
    """
    return _END_OF_SENTENCE.split(text.strip(), maxsplit=1)[0]


def numbers_of(sentences: Iterable[Sequence[str]], words: Sequence[str], length: int) -> NDArray[np.float32]:
    """Each sentence as begin, the numbers of its words, end and padding, ``(N, length + 2)``.

    Words after the first ``length`` are left out; the vocabulary is numbered from ``MARKS``, and any other word is
    ``UNKNOWN``.
    """
    number: Mapping[str, int] = {word: k for k, word in enumerate(words, start=MARKS)}
    rows = []
    for sentence in sentences:
        row = [BEGIN, *(number.get(word, UNKNOWN) for word in sentence[:length]), END]
        rows.append(row + [PAD] * (length + 2 - len(row)))
    return np.array(rows, dtype=np.float32).reshape(-1, length + 2)
