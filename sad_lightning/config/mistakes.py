"""Errors that a person can do something about, in one line."""

import os
import re
from errno import ENOENT

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from sad_lightning.errors import InputError, NotDefinedError, first_line
from sad_lightning.files import FULL

_WRONG_ARGUMENTS = "unexpected keyword|invalid keyword|required keyword-only|takes no keyword|takes no arguments"
_SETTINGS = "--cfg job prints the settings there are"
_NAMES = "python -m sad_lightning --help lists them"


def one_line(error: BaseException, way_out: str = "choose a folder that can be written with runs=FOLDER") -> str | None:
    """One line for an error that the user caused; None for any other.

    ``way_out`` is what a person should do if a file can not be written.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            return " ".join(str(cause).split())
        if isinstance(cause, TypeError) and re.search(_WRONG_ARGUMENTS, str(cause)):
            return f"{cause}; {_SETTINGS}"
        if isinstance(cause, FileNotFoundError) and cause.filename is None and not _has_folder():
            return "the current folder is gone; change to one that is there"
        if isinstance(cause, OSError) and (cause.filename is not None or cause.errno in FULL):
            return _of_system(cause, way_out)
        if is_no_memory(cause):
            return (
                f"memory does not suffice ({first_line(cause)}); free some, or choose a smaller data set or batch_size"
            )
        if isinstance(cause, ValueError) and str(cause).startswith("embedded null"):
            return "a path must not hold the character of number 0; leave it out"
        if isinstance(cause, UnicodeEncodeError) and "surrogates" in cause.reason:  # Arrow opens UTF-8 alone
            return f"{cause.object}: must be a name in UTF-8; rename it"
        # OmegaConf hides what a resolver raised
        cause = cause.__cause__ or (cause.__context__ if isinstance(cause, OmegaConfBaseException) else None)
    if isinstance(error, ValueError) and str(error).startswith("Config group override must be"):
        return f"a group, such as method, data or network, must be chosen by a name, it is null; {_NAMES}"
    if isinstance(error, HydraException) and "interpolation '${data}_${method}'" in str(error):
        return f"data and method must each be chosen by one name; {_NAMES}"
    if isinstance(error, MissingConfigException) and error.options is not None:
        return f"{error.missing_cfg_file}: is not there; there are {', '.join(error.options)}"
    if isinstance(error, OverrideParseException):
        key, equals, value = error.override.partition("=")
        spelling = f"quote a value with spaces or signs, '{key}=\"{value}\"'" if equals else "write KEY=VALUE"
        return f"{error.override}: Hydra can not read this; {spelling}"
    if match := re.match(r"Could not override '([^']+)'", str(error)):
        missing = re.search(r"full_key: (\S+)", str(error.__cause__))
        return f"{missing[1] if missing else match[1]}: there is no such setting; {_SETTINGS}"
    is_bug = "Error in call to target 'sad_lightning." in str(error)
    if isinstance(error, HydraException | OmegaConfBaseException) and not is_bug:
        said = [str(error), str(error.__cause__)] if str(error).startswith("Error merging") else [str(error)]
        lines = [line.strip() for text in said for line in text.splitlines() if line.strip()]
        return "; ".join([*lines, *([_SETTINGS] if any("full_key" in line for line in lines) else [])])
    return None


def _has_folder() -> bool:
    """Whether the current folder is there."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def is_no_memory(error: BaseException) -> bool:
    """Whether memory did not suffice: that of an accelerator, or that which torch or anything else asked for."""
    of_torch = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return of_torch or isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def _of_system(error: OSError, way_out: str) -> str:
    if error.errno == ENOENT:
        way_out = "give the right one"
    elif error.errno in FULL:
        way_out = f"make room, or {way_out}"
    return f"{'' if error.filename is None else f'{error.filename}: '}{error.strerror}; {way_out}"


def is_not_defined(error: BaseException | None) -> bool:
    """Whether the error, or one that caused it, says that a cell is not defined, which does not count as failed."""
    return error is not None and (isinstance(error, NotDefinedError) or is_not_defined(error.__cause__))
