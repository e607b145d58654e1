"""The values of a column and their words, from any kind of file."""

import json
import re
import shlex
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sad_lightning.data.own.address import Place
from sad_lightning.errors import InputError

_WHOLE = re.compile(r"^(-?\d+)\.0+$")
NOT_TEXT = "text that is not UTF-8"
_ADDRESS = r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.|$)){4}$"  # of a computer, as 205.174.165.1
LIKE_A_NUMBER = re.compile(  # as 1,5
    rf"(?!{_ADDRESS})(?=[-+]?[.,]?\d)[-+]?(\d{{1,3}}([.,]\d{{3}})+|\d+)?([.,]\d*)?([eE][-+]?\d+)?"
)
_DIGITS = r"\d[\d.,'\s]*+(?:[eE][-+]?\d+\s*)?+"
_LONGEST_NUMBER = 60  # letters, with its unit
_CURRENCY = "[$\u20ac\u00a3\u00a5]"
_UNIT = rf"[^\W\d_]{{1,12}}(?:/[^\W\d_]{{1,3}})?[23]?|[%\u00b0]\w?|{_CURRENCY}"
_ODD_NUMBER = re.compile(  # as $ 9.90, 12 km, 1,234.5 m/s, -3 %, (12), 12-, 1 000, 1.5D+03, or with the sign U+2212
    rf"[-+]?({_CURRENCY})\s*[-+]?{_DIGITS}|[-+]?{_DIGITS}({_UNIT})|(\(){_DIGITS}\)|{_DIGITS}(-)|(\u2212){_DIGITS}"
    r"|[-+]?\d{1,3}(?:(['\u2019\s])\d{3})+(?:[.,]\d*)?|[-+]?\d*[.,]?\d+([dD])[-+]?\d+"
)


@dataclass(frozen=True)
class Values:
    """One column of some rows.

    Attributes:
        kind: ``number``, ``boolean``, ``category``, or the name of values that can not be used, such as ``durations``.
        numbers: ``(n,)``; of categories the position in ``words``; NaN where missing.
        words: the categories.
    """

    kind: str
    numbers: NDArray[np.float64]
    words: tuple[str, ...] = ()

    @classmethod
    def categories(cls, codes: NDArray[np.float64], words: Sequence[object]) -> "Values":
        """Categories from positions in a list of words, in which a word may stand in several spellings.

        Blanks alone are missing.
        """
        spellings = [spell(value) for value in words]
        known = tuple(sorted({*spellings} - {""}))
        code = {"": np.nan} | {name: float(number) for number, name in enumerate(known)}
        position = np.array([*(code[name] for name in spellings), np.nan])
        return cls("category", position[np.where(np.isnan(codes), len(spellings), codes).astype(np.int64)], known)

    @classmethod
    def of_numbers(cls, numbers: NDArray[Any]) -> "Values":
        """Categories from numbers, ``(n,)``; whole numbers keep all digits, NaN is missing."""
        present = ~np.isnan(numbers)
        distinct, positions = np.unique(numbers[present], return_inverse=True)
        codes = np.full(len(numbers), np.nan)
        codes[present] = positions
        return cls.categories(codes, distinct.tolist())

    def as_words(self) -> "Values":
        """Numbers and booleans as categories: 1.0 is the word 1, and true is true."""
        if self.kind == "boolean":
            return replace(self, kind="category", words=("false", "true"))
        return Values.of_numbers(self.numbers) if self.kind == "number" else self

    @property
    def positions(self) -> NDArray[np.int64]:
        """The position of each value in the words, ``(n,)``; one past the last where it is missing."""
        return np.where(np.isnan(self.numbers), len(self.words), self.numbers).astype(np.int64)

    def texts(self) -> NDArray[np.object_]:
        """The words, ``(n,)``, None where missing."""
        return np.array([*self.words, None], dtype=object)[self.positions]


Table = dict[str, Values]
FRAME = Path("X")  # how errors name a data frame


def spell(value: object) -> str:
    """The one spelling by which labels are compared: 1.0 is 1, True is true, and spaces around do not count."""
    text = str(value).strip()
    if text.endswith("0"):
        text = _WHOLE.sub(r"\1", text)
    return text.lower() if len(text) < 6 and text.lower() in ("true", "false") else text


def odd_numbers(words: Sequence[str]) -> str | None:
    """How most of some words are numbers that no reader takes for some: ``'12 km', with 'km'``; None if they are not.

    Three of them must be spelt so: ``2 doors`` and ``4 doors`` are names.
    """
    others = [word for word in words if len(word) > _LONGEST_NUMBER or not LIKE_A_NUMBER.fullmatch(word)]
    short = [word for word in others if len(word) <= _LONGEST_NUMBER]  # of a long one the search takes its square
    odd = {word: match[match.lastindex or 0] for word in short if (match := _ODD_NUMBER.fullmatch(word.strip()))}
    ((sign, count),) = Counter(odd.values()).most_common(1) or [("", 0)]
    if count < 3 or 2 * (count + len(words) - len(others)) <= len(words):
        return None
    return f"{next(word for word in odd if odd[word] == sign)!r}, with {sign!r}"


def listed(names: Sequence[str]) -> str:
    """The first twelve names, and how many more there are."""
    more = len(names) - 12
    return ", ".join(names[:12]) + (f" and {more} more" if more > 0 else "")


def ignoring(path: object, names: Sequence[str]) -> str:
    """What leaves columns out, to paste: a setting into a shell, of a data frame a call into Python."""
    return f"X.drop(columns={list(names)!r})" if str(path) == str(FRAME) else setting("data.ignore", names)


def setting(key: str, value: object) -> str:
    """A setting to paste into a shell, quoted if Hydra or the shell would misread it."""
    if isinstance(value, list | tuple):
        spelt = f"[{','.join(_quoted(str(each)) for each in value)}]"
    else:
        spelt = _quoted(value) if isinstance(value, str) else json.dumps(value)
    return shlex.quote(f"{key}={spelt}")


def _quoted(word: str) -> str:
    plain = re.fullmatch(r"[A-Za-z_/.][\w.\-/]*", word, re.ASCII) and word.lower() not in (
        "null",
        "true",
        "false",
        "nan",
        "inf",
    )
    if plain or re.fullmatch(r"-?\d+", word):
        return word
    escaped = re.sub(r'(\\*)("|$)', lambda match: 2 * match[1] + match[2].replace('"', '\\"'), word)
    return f'"{escaped}"'  # Hydra reads a backslash as one, but before a quote


def spell_date(text: str) -> str:
    """A date or a time as most CSVs spell it: a space before the hour, and no fraction of zeros."""
    return re.sub(r"\.0+(?!\d)", "", text.replace("T", " "))


def not_categorical(path: Place, name: str, contents: str) -> InputError:
    """The error of a column whose values have no spelling, so that they can not be categories."""
    return InputError(f"{path}: column {name} must hold words, numbers or dates, it holds {contents}; write it as text")


def numbered(names: Sequence[str]) -> list[str]:
    """The names, in which a later column of a name has a number, as pandas does: a, b, a are a, b, a.1."""
    told_apart, taken, seen = list[str](), {*names}, set[str]()
    for name in names:
        spelt = next(each for k in count(1) if (each := f"{name}.{k}") not in taken) if name in seen else name
        told_apart.append(spelt)
        taken.add(spelt)
        seen.add(name)
    return told_apart


def check_names_once(path: Place, names: Sequence[str], ignore: Collection[str] = (), out: str = "") -> None:
    """Refuse a column without a name, and two columns of one name, unless they are ignored.

    ``out`` is the option that leaves columns out at prediction.
    """
    for number, name in enumerate(names, start=1):
        if (not name or name.startswith("__index_level_")) and name not in ignore:
            raise InputError(
                f"{path}: must name every column, column {number} has no name; it may be an index that was written too "
                f"(pandas: index=False); remove it, or name it and leave it out"
            )
    twice = sorted(name for name, count in Counter(names).items() if count > 1 and name not in ignore)
    if twice:
        raise InputError(
            f"{path}: must name every column once, {listed(twice)} stands there twice; rename one, or leave all of "
            f"that name out with {f'{out} {twice[0]!r}' if out else ignoring(path, twice)}"
        )
