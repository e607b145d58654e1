"""The data set that a cell names, read once for the cells that follow each other."""

from functools import lru_cache
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from sad_lightning.data.arrays import Arrays
from sad_lightning.errors import InputError
from sad_lightning.grid.plan import content_of


def load(settings: DictConfig) -> Arrays:
    """The rows that ``data`` names.

    Raises:
        InputError: it is own data and names none, or the file is wrong.
    """
    if OmegaConf.is_missing(settings, "path"):
        raise InputError("data.path must name a file or a folder, got nothing; for example data.path=table.csv")
    path = settings.get("path")
    content = content_of(Path(str(path)).expanduser()) if path else ""
    return _loaded(OmegaConf.to_yaml(settings, resolve=True), content)


@lru_cache(maxsize=1)
def _loaded(settings: str, content: str) -> Arrays:
    arrays: Arrays = instantiate(OmegaConf.create(settings), _convert_="all")
    return arrays
