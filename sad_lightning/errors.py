"""What a user can get wrong, said in one line."""

from numbers import Real


class InputError(ValueError):
    """A setting or a file is wrong: the message names the key or file, the rule, the value and the way out."""


def positive(key: str, value: object) -> float:
    """The value as a float, if it is a finite number above zero.

    Raises:
        InputError: it is not.
    """
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 < float(value) < float("inf"):
        raise InputError(f"{key} must be a positive number, got {value!r}; for example {key}=1.0")
    return float(value)


def share(key: str, value: object, *, below: float = 1.0) -> float:
    """The value as a float, if it is a number in [0, below).

    Raises:
        InputError: it is not.
    """
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= float(value) < below:
        raise InputError(f"{key} must be a number in [0, {below:g}), got {value!r}; for example {key}=0.05")
    return float(value)


def whole(key: str, value: object, *, least: int = 1) -> int:
    """The value, if it is a whole number of at least ``least``.

    Raises:
        InputError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{key} must be a whole number >= {least}, got {value!r}; for example {key}={least}")
    return value


def choice(key: str, value: object, known: tuple[str, ...]) -> str:
    """The value, if it is one of the known words.

    Raises:
        InputError: it is not.
    """
    if value not in known:
        raise InputError(f"{key} must be one of {', '.join(known)}, got {value!r}")
    return str(value)
