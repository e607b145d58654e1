"""Checks of settings: each returns the value, or raises an error of one line that names the key and the rule."""

import math
from collections.abc import Sequence
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Literal

from sad_lightning.errors import InputError


def _number(value: object) -> float:
    """The value as a float: nan if it is no number, inf if it is a whole number that no float can hold."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def positive(key: str, value: object) -> float:
    """The value as a float, if it is a finite number above zero."""
    if not 0 < (x := _number(value)) < math.inf:
        raise InputError(f"{key} must be a positive number, got {value!r}; for example {key}=1.0")
    return x


def fraction(key: str, value: object) -> float:
    """The value as a float, if it is a number in [0, 1)."""
    if not 0 <= (x := _number(value)) < 1:
        raise InputError(f"{key} must be a number in [0, 1), got {value!r}; for example {key}=0.05")
    return x


def fraction_or_auto(key: str, value: object) -> float | Literal["auto"]:
    """The value as a float, if it is a number in [0, 1), or the word ``auto``; any other is refused."""
    if value == "auto":
        return "auto"
    if not 0 <= (x := _number(value)) < 1:
        raise InputError(f"{key} must be auto or a number in [0, 1), got {value!r}; for example {key}=auto")
    return x


def fraction_to_one(key: str, value: object) -> float:
    """The value as a float, if it is a number in (0, 1]."""
    if not 0 < (x := _number(value)) <= 1:
        raise InputError(f"{key} must be a number in (0, 1], got {value!r}; for example {key}=0.1")
    return x


def at_least_zero(key: str, value: object) -> float:
    """The value as a float, if it is a finite number of at least zero."""
    if not 0 <= (x := _number(value)) < math.inf:
        raise InputError(f"{key} must be a number >= 0, got {value!r}; for example {key}=0.5")
    return x


def number(key: str, value: object) -> float:
    """The value as a float, if it is a finite number."""
    if not abs(x := _number(value)) < math.inf:
        raise InputError(f"{key} must be a number, got {value!r}; for example {key}=5")
    return x


def whole_number(key: str, value: object, *, least: int = 1, most: int = 2**63 - 1) -> int:
    """The value, if it is a whole number of at least ``least`` and at most ``most``, which 64 bits hold."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        limit = f" and <= {most}" if most < 2**63 - 1 else ""
        raise InputError(f"{key} must be a whole number >= {least}{limit}, got {value!r}; for example {key}={least}")
    return value


def whole_numbers(key: str, value: object) -> tuple[int, ...]:
    """The values, if they are a list of whole numbers of at least 1."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InputError(f"{key} must be a list of whole numbers, got {value!r}; for example {key}=[1]")
    return tuple(whole_number(key, item) for item in value)


def true_or_false(key: str, value: object) -> bool:
    """The value, if it is true or false."""
    if not isinstance(value, bool):
        raise InputError(f"{key} must be true or false, got {value!r}; for example {key}=false")
    return value


def choice(key: str, value: object, known: Sequence[str]) -> str:
    """The value, if it is one of the known words."""
    if value not in known:
        raise InputError(f"{key} must be one of {', '.join(known)}, got {value!r}; for example {key}={known[0]}")
    return str(value)


def path_of(key: str, value: object) -> Path:
    """The value as a path, if it can be one; Hydra reads some names as numbers."""
    if not isinstance(value, str | int | float | PathLike) or isinstance(value, bool) or not str(value).strip():
        raise InputError(f"{key} must name a file or a folder, got {value!r}; for example {key}=data")
    return Path(str(value)).expanduser()
