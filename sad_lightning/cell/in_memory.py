"""Trains a model on rows and labels in memory: a cell of own data that leaves no files."""

import gc
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig

from sad_lightning.cell.run import run_cell
from sad_lightning.cell.trainer_settings import has_one_device
from sad_lightning.cell.values import Cell
from sad_lightning.data.arrays import Arrays, Labels
from sad_lightning.data.schema import Schema, TableSchema
from sad_lightning.errors import InputError
from sad_lightning.files import MODEL_FILE
from sad_lightning.model import Model, own_draws, torch_defaults

MEMORY = "memory"


def fit_rows(
    cfg: DictConfig,
    raw: NDArray[Any],
    semi: NDArray[np.int8],
    schema: Schema,
    *,
    name: str,
    before: Model | None = None,
) -> Model:
    """Train on all rows except those that are held out to set the threshold.

    Rows are ``(N, C)`` float32, NaN where a value is missing, or ``(N, H, W, C)`` uint8; the settings are of a cell of
    own data. ``before`` is the model to go on from, if there is one.

    Raises:
        InputError: a setting is wrong, or there are too few rows.
        NotDefinedError: the method needs known anomalies, and there are none.
    """
    if not has_one_device(cfg.trainer) or cfg.trainer.num_nodes != 1:
        raise InputError(
            f"trainer.devices and trainer.num_nodes must be 1 for rows in memory, got {cfg.trainer.devices!r} and "
            f"{cfg.trainer.num_nodes!r}: each process would start this program once more; train on the command line"
        )
    x = schema.expand(raw) if isinstance(schema, TableSchema) else raw
    unknown = np.full(len(x), -1)
    arrays = Arrays(x, unknown, ("normal", "anomaly"), labels=Labels(semi, (0,), (1,)), schema=schema)
    with tempfile.TemporaryDirectory(prefix="sad_lightning") as folder:
        cfg.runs, cfg.split.test_ratio = folder, 0.0
        if before is not None:
            cfg.warm_start = str(Path(folder) / "before.pt")
            before.save(Path(cfg.warm_start))
        with torch_defaults(), own_draws():
            run_cell(Cell(cfg, Path(folder), MEMORY, name, arrays=arrays))
        gc.collect()  # a Trainer and its module refer to each other
        return Model.load(Path(folder) / MODEL_FILE)
