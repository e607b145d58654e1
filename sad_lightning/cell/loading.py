"""Loads the data set of a cell; the last one is cached, so that the cells of a sweep read it once."""

import warnings
from functools import lru_cache
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from sad_lightning.cell.key import contents_of
from sad_lightning.data.arrays import Arrays
from sad_lightning.data.own.address import is_address
from sad_lightning.data.own.values import setting
from sad_lightning.errors import InputError


def load(settings: DictConfig) -> Arrays:
    """The rows of the settings ``data``; the warnings of reading them are repeated when they come from the cache.

    Raises:
        InputError: own data without a path, or a file that is wrong.
    """
    if OmegaConf.is_missing(settings, "path"):
        raise InputError("data.path must name a file or a folder, got nothing; for example data.path=table.csv")
    arrays, messages = _loaded(OmegaConf.to_yaml(settings, resolve=True), tuple(contents_of(settings).values()))
    for message in messages:
        warnings.warn(message, stacklevel=2)
    return arrays


def check_whole_path(path: object, home: str) -> None:
    """Refuse a ``data.path`` that a cell would look for in its own folder, into which ``hydra.job.chdir`` changes."""
    if isinstance(path, str) and not is_address(path) and not Path(path).expanduser().is_absolute():
        raise InputError(
            f"data.path must be a whole path with hydra.job.chdir=true, which changes into the folder of the cell, got "
            f"{path}; {setting('data.path', str(Path(home) / path))}"
        )


@lru_cache(maxsize=1)
def _loaded(settings: str, contents: tuple[str, ...]) -> tuple[Arrays, tuple[Warning, ...]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        arrays: Arrays = instantiate(OmegaConf.create(settings), _convert_="all")
    return arrays, tuple(warning.message for warning in caught if isinstance(warning.message, Warning))
