"""What the tests share: settings composed as the command line composes them, and where the real data lies."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from support.methods import make as make

from sad_lightning.config.location import CONF

torch.set_num_threads(1)  # tiny tensors; and numbers that do not depend on the machine's cores


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Callable[..., DictConfig]]:
    """Compose a cell from overrides; it writes below the test's own folder and logs nothing."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield lambda *overrides: compose("config", overrides=["logger=none", f"runs={tmp_path}", *overrides])


@pytest.fixture
def real_data() -> str:
    """The folder of the real data sets; skips where there is none."""
    root = os.environ.get("SAD_DATA_ROOT")
    if not root or not Path(root).is_dir():
        pytest.skip("real data: SAD_DATA_ROOT names no folder")
    return root
