"""Tables in files, and what training and prediction read from them."""

from pathlib import Path

import numpy as np

from sad_lightning.data.arrays import Arrays
from sad_lightning.data.own.reading import raw_rows, read_batches
from sad_lightning.data.own.tables import table
from sad_lightning.data.schema import Column, TableSchema


def parquet(path: Path, **columns: object) -> Path:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path)
    return path


def text(path: Path, content: str) -> Path:
    path.write_text(content, newline="")
    return path


def own(path: object, **changes: object) -> Arrays:
    """A table with the settings of conf/data/table.yaml."""
    settings = {
        "label": None, "known_anomaly": ["anomaly"], "known_normal": ["normal"], "unlabeled": ["unlabeled"],
        "truth": None, "normal": [], "part": None, "group": None, "ignore": [], "categorical": [],
        "max_categories": 100, "hash_buckets": 64, "missing": "median",
        "missing_values": [], "infinite": "refuse", "delimiter": None, "decimal": ".", "encoding": "utf-8",
        "header": True, "skip_rows": 0, "day_first": None, "text": None, "length": 30, "rows": None,
        "renew": False,
    }  # fmt: skip
    return table(path, **{**settings, **changes})


def raw(path: Path, *columns: Column, missing: str = "median") -> np.ndarray:
    """The raw rows of a file at prediction."""
    schema = TableSchema(columns, missing)
    return np.concatenate([raw_rows(path, batch, schema, 1)[0] for batch in read_batches(path, schema)])
