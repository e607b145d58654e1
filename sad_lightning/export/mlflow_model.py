"""A model file as an MLflow model, for what speaks MLflow: ``mlflow models serve``, Docker, Spark.

Its flavour is ``python_function``, with the model file as data and this module as loader, so that MLflow pickles
nothing. Rows are a data frame with the columns of the training, or an array of images; the answer is a data frame of
``score``, ``p_value`` and ``anomaly``.
"""

import os
import re
import shutil
import tempfile
import warnings
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from sad_lightning.data.own.frames import frame_rows, frame_table
from sad_lightning.data.own.reading import check_columns, text_rows
from sad_lightning.data.own.values import FRAME
from sad_lightning.data.schema import ImageSchema, TableSchema, TextSchema
from sad_lightning.errors import InputError, extra
from sad_lightning.model import Model
from sad_lightning.version import __version__

if TYPE_CHECKING:
    import pandas as pd

_TYPES = {"number": "double", "boolean": "boolean"}  # others are strings
_EXAMPLES = 5  # rows


class Scorer:
    """What MLflow calls a python function."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, rows: "pd.DataFrame | NDArray[np.uint8]", params: Any = None) -> "pd.DataFrame":
        """Score, p-value and decision of each row.

        Args:
            rows: a data frame with the columns of the training, or ``(N, H, W, C)`` uint8 images.
            params: none are known.

        Raises:
            InputError: a column is missing, or a value is not what its column holds.
        """
        import pandas as pd

        raw = self._raw(rows)
        scores = torch.from_numpy(self.model.score_rows(raw)) if len(raw) else torch.empty(0, dtype=torch.float64)
        columns = {"score": scores, "p_value": self.model.p_value(scores), "anomaly": self.model.decide(scores)}
        return pd.DataFrame({name: values.numpy() for name, values in columns.items()})

    def _raw(self, rows: Any) -> NDArray[Any]:
        schema = self.model.preparation.schema
        if isinstance(schema, ImageSchema):
            return np.ascontiguousarray(rows, dtype=np.uint8)
        known = rows[[name for name in schema.names if name in rows]]  # others do not count
        if isinstance(schema, TableSchema):
            return frame_rows(known, schema)
        table = frame_table(known)
        check_columns(FRAME, list(table), schema)
        return text_rows(table[schema.name].as_words(), schema)


def _load_pyfunc(path: str) -> Scorer:
    """Called by MLflow with the path of the model file."""
    return Scorer(Model.load(path))


def save_mlflow(path: Path, out: Path) -> int:
    """Write a model file as an MLflow model, a folder, whole or not at all.

    Returns:
        On how many rows it was tried: its scores are those of the model, to the last bit.

    Raises:
        InputError: MLflow is not there, the folder is, the file holds no rows to try, or MLflow's scores differ.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    with extra("mlflow", "--format mlflow"):
        import mlflow.pyfunc
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, DataType, Schema, TensorSpec
    if out.exists():
        raise InputError(f"--out={out}: is there already; remove it, or choose another name")
    model = Model.load(path)
    schema = model.preparation.schema
    if isinstance(schema, ImageSchema):
        shape = (-1, schema.height, schema.width, schema.channels)
        inputs = Schema([TensorSpec(np.dtype(np.uint8), shape)])
    elif isinstance(schema, TableSchema):
        inputs = Schema([ColSpec(_TYPES.get(column.kind, "string"), column.name) for column in schema.columns])
    else:
        inputs = Schema([ColSpec("string", schema.name)])
    outputs = Schema([
        ColSpec(DataType.double, "score"), ColSpec(DataType.double, "p_value"), ColSpec(DataType.boolean, "anomaly")
    ])  # fmt: skip
    rows = example_of(model, path)
    expected = Scorer(model).predict(rows)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow, about itself
        mlflow.pyfunc.save_model(
            path=f"{folder}/model",
            loader_module=__name__,
            data_path=str(path),
            signature=ModelSignature(inputs, outputs),
            input_example=rows,
            pip_requirements=pinned(),
            metadata={"sad_lightning": __version__, "threshold": model.threshold, "target_fpr": model.target_fpr},
        )
        if not mlflow.pyfunc.load_model(f"{folder}/model").predict(rows).equals(expected):
            raise InputError(
                f"{path}: its MLflow model must score as it does, and does not; nothing was written, use the model file"
            )
        shutil.move(f"{folder}/model", out)
    return len(rows)


def example_of(model: Model, path: Path) -> "pd.DataFrame | NDArray[np.uint8]":
    """A few rows of the training as a person has them, from the examples in a model file.

    Raises:
        InputError: it holds none.
    """
    import pandas as pd

    schema = model.preparation.schema
    if isinstance(schema, TextSchema):  # texts do not come back from the numbers of their words
        return pd.DataFrame({schema.name: [" ".join(schema.words[:3]), " ".join(schema.words[-2:])]})
    if model.examples is None:
        raise InputError(f"{path}: must hold rows to try the MLflow model on, and has none; train it again")
    raw = model.examples[:_EXAMPLES].numpy()
    if isinstance(schema, ImageSchema):
        return raw
    columns: dict[str, Any] = {}
    for position, column in enumerate(schema.columns):
        values = raw[:, position].astype(np.float64) + column.center
        if column.is_text:
            values = np.array([None if np.isnan(v) else column.word(float(v)) for v in values], dtype=object)
        elif column.kind == "boolean":
            values = np.array([None if np.isnan(v) else bool(v) for v in values], dtype=object)
        columns[column.name] = values
    return pd.DataFrame(columns)


def pinned() -> list[str]:
    """This package, what it needs, and what MLflow needs to call it, each at the version that is installed."""
    names = {re.match(r"[\w.-]+", each)[0] for each in requires("sad_lightning") or () if "extra ==" not in each}  # type: ignore[index]
    pins = [f"sad_lightning=={__version__}"]
    for name in sorted({*names, "mlflow", "mlflow-skinny", "pandas", "pyarrow"}):
        with suppress(PackageNotFoundError):
            pins.append(f"{name}=={version(name)}")
    return pins
