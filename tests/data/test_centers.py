"""Columns that lie far from zero: what single precision would blur is subtracted in double precision, everywhere."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from support.commands import run_main
from support.tables import own

from sad_lightning import Detector
from sad_lightning.data.schema import centers_of, schema_of
from sad_lightning.model import Model

FAR = {  # where normal values lie, and how far they reach
    "unix seconds": (1.7e9, 600.0),
    "unix milliseconds": (1.7e12, 3.6e6),
    "an energy meter": (123456789.0, 0.3),
    "a byte counter": (9e9, 100.0),
    "Julian days": (2460000.5, 0.01),
    "pascals": (101325.0, 0.5),
    "a date as a number": (20260131.0, 3.0),
    "frequencies below zero": (-2.4e9, 40.0),
}


def rows_of(name, n=600):
    """Two columns, normal rows and one anomaly in twenty, 40 widths away, and which are."""
    middle, width = FAR[name]
    generator = np.random.default_rng(0)
    anomaly = np.arange(n) % 20 == 0
    x = generator.normal(size=(n, 2))
    x[:, 0] = middle + width * (x[:, 0] + 40 * anomaly * generator.choice([-1, 1], n))
    return x, anomaly


@pytest.mark.parametrize("name", FAR)
@pytest.mark.parametrize("method", ["deep_svdd", "knn", "mahalanobis"])
def test_it_ranks_as_in_double_precision(name, method):
    x, anomaly = rows_of(name)
    settings = {"trainer.max_epochs": 20, "optimizer.milestones": []} if method == "deep_svdd" else None
    scores = Detector(method, settings=settings).fit(x, np.where(anomaly, -1, 0)).anomaly_score(x)
    assert roc_auc_score(anomaly, scores) > 0.99
    assert len(np.unique(scores)) > 0.9 * len(x)


def test_only_what_single_precision_blurs_is_centered():
    """Single precision has a step of 1/8 at a million, of 2^-13 at a thousand."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(1000, 5)) * [1, 1, 0, 1, 1] + [1e6, 1e3, 1e9, 0, 1e6]
    x[::2, 4] = np.nan
    x[500:, 4] = np.inf  # which is refused later
    x[:400:2, 4] = 1e6 + generator.normal(size=200)
    found = centers_of(x)
    assert found[0] == np.median(x[:, 0])
    assert found[1:4].tolist() == [0, 0, 0]
    assert centers_of(x[:, 0]).tolist() == [found[0]]
    assert centers_of(np.r_[np.full(900, 5e6), 5e6 + np.arange(9)]).tolist() == [5e6]  # quartiles are equal
    assert np.isfinite(centers_of(x)).all()


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_files_frames_arrays_and_graphs_give_equal_scores(suffix, tmp_path):
    pa, pandas = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
    from pyarrow import csv, parquet

    x, anomaly = rows_of("an energy meter")
    table = pa.table({"meter": x[:, 0], "b": x[:, 1], "status": np.where(anomaly, "anomaly", "normal")})
    path = tmp_path / f"x.{suffix}"
    if suffix == "npz":
        np.savez(path, X=x, columns=["meter", "b"], status=np.where(anomaly, "anomaly", "normal"))
    else:
        (csv.write_csv if suffix == "csv" else parquet.write_table)(table, path)
    settings = ("data=table", f"data.path={path}", "data.label=status", "method=mahalanobis", "logger=none")
    trained = run_main(*settings, f"runs={tmp_path / 'runs'}")
    assert trained.code == 0, trained.err
    file = next((tmp_path / "runs").rglob("model.pt"))
    model = Model.load(file)
    meter = model.preparation.schema.columns[0]
    assert meter.center == np.median(x[:, 0])
    assert schema_of(model.preparation.schema.plain()) == model.preparation.schema
    assert meter.spell(np.float32(0.25)).startswith("12345678")
    expected = model.score_rows(model.preparation.schema.centered(x))
    assert roc_auc_score(anomaly, expected) == 1
    assert len(np.unique(expected)) > 590
    scores = tmp_path / "scores.npz"
    scored = run_main("predict", str(file), str(path), "--output", str(scores))
    assert scored.code == 0, scored.err
    np.testing.assert_array_equal(np.load(scores)["score"], expected)
    detector = Detector.load(file)
    frame = pandas.DataFrame(x, columns=["meter", "b"])
    np.testing.assert_array_equal(detector.anomaly_score(frame), expected)
    onnxruntime = pytest.importorskip("onnxruntime")
    exported = run_main("export", str(file), "--out", str(tmp_path / "model.onnx"))
    assert exported.code == 0, exported.err
    (found, _) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"rows": x})  # float64
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_rows_of_a_file_differ_as_they_do_in_it(tmp_path):
    x, _ = rows_of("a byte counter")
    np.savez(tmp_path / "x.npz", X=x)
    arrays = own(tmp_path / "x.npz")
    np.testing.assert_allclose(np.diff(arrays.x[:, 0]), np.diff(x[:, 0]), rtol=1e-5, atol=1e-3)


def test_a_warm_start_keeps_the_center(tmp_path):
    x, anomaly = rows_of("unix seconds")
    word = np.where(anomaly, "anomaly", "normal")
    np.savez(tmp_path / "old.npz", X=x[:300], status=word[:300])
    np.savez(tmp_path / "new.npz", X=x + np.array([1000.0, 0.0]), status=word)
    fast = ("data=table", "data.label=status", "method=deep_sad", "logger=none", "trainer.max_epochs=5", "ensemble=1")
    first = run_main(*fast, f"data.path={tmp_path / 'old.npz'}", f"runs={tmp_path / 'a'}")
    assert first.code == 0, first.err
    file = next((tmp_path / "a").rglob("model.pt"))
    on = run_main(*fast, f"data.path={tmp_path / 'new.npz'}", f"runs={tmp_path / 'b'}", f"warm_start={file}")
    assert on.code == 0, on.err
    old, new = Model.load(file), Model.load(next((tmp_path / "b").rglob("model.pt")))
    assert new.preparation.schema == old.preparation.schema
    assert new.preparation.schema.centered(x)[0, 0] == np.float32(x[0, 0] - np.median(x[:300, 0]))


@pytest.mark.parametrize("method", ["knn", "mahalanobis", "ssad", "ocsvm", "deep_sad"])
def test_a_counter_that_normal_rows_never_move_finds_the_anomalies(method):
    """Four columns of noise and a counter of errors: 0 in normal rows, Poisson(3) + 1 in anomalies."""
    generator = np.random.default_rng(0)

    def rows(n, odd):
        x = generator.normal(size=(n, 5))
        x[:, 4] = 0
        x[:odd, 4] = 1 + generator.poisson(3, odd)
        return x, np.arange(n) < odd

    x, known = rows(400, 20)
    new, anomaly = rows(1000, 100)
    settings = {"trainer.max_epochs": 20, "optimizer.milestones": []} if method == "deep_sad" else None
    scores = Detector(method, settings=settings).fit(x, np.where(known, -1, 0)).anomaly_score(new)
    assert roc_auc_score(anomaly, scores) > 0.98
