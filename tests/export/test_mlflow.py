"""A model file as an MLflow model: it scores as the model does, and nothing in it is pickled by MLflow."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from support.methods import make as make

from sad_lightning.data.preparation import Preparation
from sad_lightning.data.preprocess import Scaling
from sad_lightning.data.schema import DAY, Column, ImageSchema, TableSchema
from sad_lightning.errors import InputError
from sad_lightning.export.__main__ import export_mlflow
from sad_lightning.export.mlflow_model import Scorer, example_of, pinned
from sad_lightning.model import Model

pd = pytest.importorskip("pandas", reason="MLflow needs pandas")
WORDS = (Column("soil", "category", ("clay", "sand")), Column("shop", "hash", buckets=2))
TABLE = TableSchema(
    (Column("x0"), Column("x1"), Column("wet", "boolean"), *WORDS, Column("at", "time", periods=(DAY,)))
)


@pytest.fixture(params=["table", "images"])
def path(request, make, tmp_path):
    """A model file whose rows lack a few values."""
    generator = np.random.default_rng(0)
    if request.param == "images":
        rows = generator.integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
        preparation = Preparation(ImageSchema(8, 8, 1), Scaling(np.float32([1 / 255]), np.float32([0])))
    else:
        rows = generator.normal(size=(40, 6)).astype(np.float32)
        rows[:, 2:5], rows[:, 5] = np.arange(40)[:, None] % 2, 3600 * (np.arange(40) % 24)
        rows[1, 0], rows[2, 2], rows[3, 3], rows[4, 5] = np.nan, np.nan, np.nan, np.nan
        preparation = Preparation(TABLE, Scaling(np.ones(9, dtype=np.float32), np.zeros(9, dtype=np.float32)))
    method = make("deep_sad", request.param)
    known = {"calibration_rows": "validation", "target_fpr": 0.1, "card": {}}
    scores = Model(preparation, method, calibration=torch.zeros(1), **known).score_rows(rows)
    calibration = torch.from_numpy(scores)
    Model(preparation, method, calibration=calibration, examples=torch.from_numpy(rows), **known).save(
        tmp_path / "m.pt"
    )
    return tmp_path / "m.pt"


def test_a_data_frame_scores_as_its_raw_rows(path):
    model = Model.load(path)
    found = Scorer(model).predict(example_of(model, path))
    raw = model.examples[:5].numpy()
    assert found["score"].tolist() == model.score_rows(raw).tolist()
    assert found["anomaly"].tolist() == (found["score"] > model.threshold).tolist()
    assert found["p_value"].between(0, 1).all()
    assert len(Scorer(model).predict(example_of(model, path)[:0])) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.drop(columns="x1"), "missing: x1;"),
        (lambda rows: rows.assign(x1="wet"), "column x1 must hold numbers, as in training"),
        (lambda rows: rows.assign(wet=2), "column wet must hold true and false"),
        (lambda rows: rows.assign(x1=np.inf), "column x1 must hold finite numbers"),
    ],
)
@pytest.mark.parametrize("path", ["table"], indirect=True)
def test_a_frame_that_is_wrong_is_one_line(change, message, path):
    model = Model.load(path)
    with pytest.raises(InputError, match=message):
        Scorer(model).predict(change(example_of(model, path)))


@pytest.mark.parametrize("path", ["table"], indirect=True)
def test_words_are_spelt_as_in_a_file_and_order_does_not_count(path):
    model = Model.load(path)
    rows = example_of(model, path)
    again = rows[rows.columns[::-1]].assign(soil=rows["soil"].map(lambda word: word and f" {word} "), more=1)
    assert Scorer(model).predict(again).equals(Scorer(model).predict(rows))


def test_requirements_are_pinned():
    assert all("==" in pin for pin in pinned())
    assert {"sad_lightning", "torch", "lightning", "numpy"} <= {pin.split("==")[0] for pin in pinned()}


def test_modules_of_ones_own_are_refused(path):
    with pytest.raises(InputError, match="holds no code"):
        export_mlflow(path, None, ["mine"])


def test_mlflow_scores_as_the_model(path, tmp_path):
    mlflow = pytest.importorskip("mlflow.pyfunc", reason="MLflow is not there: pip install 'sad_lightning[mlflow]'")
    line = export_mlflow(path, tmp_path / "out", [])
    assert line.startswith(f"{tmp_path / 'out'}: scores 5 rows as the model does")
    model, loaded = Model.load(path), mlflow.load_model(str(tmp_path / "out"))
    rows = example_of(model, path)
    assert loaded.predict(rows).equals(Scorer(model).predict(rows))
    assert loaded.metadata.signature.outputs.input_names() == ["score", "p_value", "anomaly"]
    flavor = loaded.metadata.flavors["python_function"]
    assert flavor["loader_module"] == "sad_lightning.export.mlflow_model"
    assert (tmp_path / "out" / flavor["data"]).read_bytes() == path.read_bytes()
    names = [name for _, _, files in os.walk(tmp_path / "out") for name in files]
    assert not [name for name in names if name.endswith((".pkl", ".pickle"))]
    assert not list(tmp_path.glob(".out*"))
    assert json.loads((tmp_path / "out" / "input_example.json").read_text())
    with pytest.raises(InputError, match="is there already"):
        export_mlflow(path, tmp_path / "out", [])


@pytest.mark.parametrize("path", ["table"], indirect=True)
def test_the_server_answers_with_the_scores_of_the_model(path, tmp_path):
    pytest.importorskip("mlflow.pyfunc", reason="MLflow is not there: pip install 'sad_lightning[mlflow]'")
    export_mlflow(path, tmp_path / "out", [])
    with socket.socket() as here:
        here.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{here.getsockname()[1]}"
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "-m", tmp_path / "out"]
    scripts = os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ["PATH"]]
    )  # MLflow calls uvicorn by its name
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    server = subprocess.Popen(
        [*command, "--port", address.rpartition(":")[2]], env={**os.environ, "PATH": scripts}, **quiet
    )
    try:
        while server.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"{address}/ping"):
                break
            time.sleep(0.2)
        body = (tmp_path / "out" / "serving_input_example.json").read_bytes()
        asked = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked) as answer:
            told = json.load(answer)["predictions"]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    model = Model.load(path)
    assert told == Scorer(model).predict(example_of(model, path)).to_dict("records")
