"""A model file without a training, and rows for it."""

from pathlib import Path

import numpy as np
import torch

from sad_lightning.data.preparation import Preparation
from sad_lightning.data.preprocess import Scaling
from sad_lightning.data.schema import Column, TableSchema
from sad_lightning.methods.method import Method
from sad_lightning.model import Model
from sad_lightning.stats.threshold import conformal_threshold

SCHEMA = TableSchema((*(Column(f"x{k}") for k in range(8)), Column("line")), aside=("label",))


def save_model(method: Method, folder: Path) -> Path:
    """The model file of a detector whose rows were standard normal, nine columns of them."""
    preparation = Preparation(SCHEMA, Scaling(np.ones(9, dtype=np.float32), np.zeros(9, dtype=np.float32)))
    rows = np.random.default_rng(0).normal(size=(300, 9)).astype(np.float32)
    known = {"calibration_rows": "validation", "target_fpr": 0.05, "card": {"method": "deep_sad"}}
    scores = Model(preparation, method, calibration=torch.zeros(1), **known).score_rows(rows)
    reference = np.sort(rows[scores < conformal_threshold(scores, 0.05)], axis=0)
    Model(
        preparation, method, calibration=torch.from_numpy(scores), reference=torch.from_numpy(reference), **known
    ).save(folder / "model.pt")  # fmt: skip
    return folder / "model.pt"


def rows_of(seed: int, count: int = 40) -> dict[str, np.ndarray]:
    """Such rows, by column."""
    x = np.random.default_rng(seed).normal(size=(count, 9)).astype(np.float32)
    return {column.name: x[:, k] for k, column in enumerate(SCHEMA.columns)}
