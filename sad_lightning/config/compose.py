"""Settings composed as the command line composes them, for what is not the command line."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from sad_lightning.config.location import CONF
from sad_lightning.config.mistakes import one_line
from sad_lightning.errors import InputError


def composed(*overrides: str) -> DictConfig:
    """The settings of a cell, from overrides as they are typed.

    Raises:
        InputError: there is no such setting or choice.
    """
    with one_line_errors():
        return _composed(overrides).copy()


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What a user did wrong within the block as an ``InputError`` of one line, wherever it was found."""
    try:
        yield
    except Exception as error:
        line = None if isinstance(error, InputError) else one_line(error)
        if line is None:
            raise
        raise InputError(line) from error


def typed(settings: Mapping[str, Any]) -> list[str]:
    """The settings as they would be typed: ``{"method.eta": 2.0}`` is ``method.eta=2.0``."""
    spelt = {k: v if isinstance(v, str) else json.dumps(v, default=_plain) for k, v in settings.items()}
    return [f"{key}={value}" for key, value in spelt.items()]


def _plain(value: Any) -> Any:
    """A scalar of numpy as one of Python, which is what a grid of parameters often holds."""
    if not hasattr(value, "tolist"):
        raise InputError(f"settings must hold numbers, words and lists, got {value!r} of type {type(value).__name__}")
    return value.tolist()


@lru_cache(maxsize=32)  # composing takes a third of a second, and a search over parameters does it again and again
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=list(overrides))
