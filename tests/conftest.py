"""What the tests share: settings composed as the command line composes them, and where the real data lies."""

import atexit
import gc
import os
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml
from hydra import initialize_config_dir
from lightning.fabric.utilities import registry
from omegaconf import DictConfig
from support.methods import make as make

from sad_lightning.cell import run as run  # imports what nearly all tests need
from sad_lightning.config.compose import composed
from sad_lightning.config.options import CONF

torch.set_num_threads(1)  # tiny tensors; and numbers that do not depend on the machine's cores
yaml.SafeLoader = yaml.CSafeLoader  # libyaml's: a third of the time in which Hydra composes a cell
registry.entry_points = cache(entry_points)  # each Trainer asks all packages for callbacks: a quarter of a small cell
gc.freeze()  # what these imports left is never garbage; every cell and every fit would look through it in the end
atexit.register(gc.unfreeze)

LIBRARIES = {"catboost": "boost", "pyod": "pyod"}  # those that a method of their name needs, by the extra that has them


def pytest_itemcollected(item: pytest.Item) -> None:
    """Skip what tries a method whose library is not installed."""
    for name, extra in LIBRARIES.items():
        tried = item.callspec.params.values() if hasattr(item, "callspec") else ()
        if any(isinstance(value, str) and value == name for value in tried) and find_spec(name) is None:
            item.add_marker(pytest.mark.skip(f"{name} is not there: pip install 'sad_lightning[{extra}]'"))


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Callable[..., DictConfig]]:
    """Compose a cell from overrides; it writes below the test's own folder and logs nothing."""

    def cell(*overrides: str) -> DictConfig:
        cfg = composed("logger=none", *overrides)
        if not any(override.startswith("runs=") for override in overrides):
            cfg.runs = str(tmp_path)
        return cfg

    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield cell


@pytest.fixture
def real_data() -> str:
    """The folder of the real data sets; skips where there is none."""
    root = os.environ.get("SAD_DATA_ROOT")
    if not root or not Path(root).is_dir():
        pytest.skip("real data: SAD_DATA_ROOT names no folder")
    return root
