"""The model file: everything in it comes back, nothing in it is code, and what is no model file is told."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from support.methods import METHODS
from torch import nn

from sad_lightning.baselines.pyod import _WRITTEN, PyOD
from sad_lightning.config.options import CONF
from sad_lightning.data.preparation import Preparation
from sad_lightning.data.preprocess import Scaling
from sad_lightning.data.schema import Column, ImageSchema, TableSchema, schema_of
from sad_lightning.errors import InputError
from sad_lightning.files import write_archive
from sad_lightning.model import BaselineScore, Model
from sad_lightning.stats.calibration import fit_calibration
from sad_lightning.training.ensemble import Ensemble
from sad_lightning.training.mixture import CalibrationLayer, Mixture

ROOT = Path(__file__).resolve().parent.parent.parent
BASELINES = sorted({path.stem for path in (CONF / "method").glob("*.yaml")} - {*METHODS} - {"kde_hybrid"})
TABLE = TableSchema((Column("a"), Column("soil", "category", ("clay", "sand")), Column("wet", "boolean"), Column("b")))
CARD = {"data": "made up", "labels": {"known_anomaly": 3}, "metrics": {"auroc": 0.9}, "note": None}


def of_numbers(columns: int) -> Preparation:
    scale = np.linspace(0.5, 2, columns, dtype=np.float32)
    return Preparation(TableSchema.of_numbers([f"x{k}" for k in range(columns)]), Scaling(scale, -scale))


def model_of(preparation: Preparation, scorer: nn.Module, rows: str = "validation") -> Model:
    calibration = torch.arange(100, 0, -1).double() / 100
    return Model(
        preparation, scorer, calibration=calibration, calibration_rows=rows, target_fpr=0.05, card=CARD
    )  # fmt: skip


def same(model: Model, raw: torch.Tensor, path) -> Model:
    model.save(path)
    loaded = Model.load(path)
    for value, expected in zip(loaded(raw), model(raw), strict=True):
        assert torch.equal(value, expected)
    assert loaded.card == CARD
    assert loaded.threshold == model.threshold
    assert torch.equal(loaded.calibration, model.calibration)
    assert loaded.preparation.schema == model.preparation.schema
    return loaded


@pytest.mark.parametrize("name", METHODS)
def test_every_method_comes_back(name, make, tmp_path):
    raw = torch.randn(7, 9)
    same(model_of(of_numbers(9), make(name, "table")), raw, tmp_path / "model.pt")
    pixels = torch.randint(0, 256, (7, 8, 8, 1), dtype=torch.uint8)
    images = Preparation(ImageSchema(8, 8, 1), Scaling(np.float32([1 / 255]), np.float32([0])))
    model = model_of(images, make(name, "images"))
    assert model.prepare(pixels).shape == (7, 1, 8, 8)
    assert 0 <= model.prepare(pixels).min() <= model.prepare(pixels).max() <= 1
    same(model, pixels, tmp_path / "images.pt")


def test_an_ensemble_comes_back(make, tmp_path):
    members = [make("deep_sad", "table", seed) for seed in range(3)]
    loaded = same(model_of(of_numbers(9), Ensemble(members)), torch.randn(7, 9), tmp_path / "model.pt")
    assert len(loaded.scorer.members) == 3


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.filterwarnings("ignore:SSAD stopped")
def test_every_baseline_comes_back(name, settings, make, tmp_path):
    baseline = instantiate(settings(f"method={name}").method, _convert_="all")
    first = make("ae", "table").eval() if name.endswith("hybrid") else None
    x = of_numbers(9)(torch.randn(60, 9))
    features = x if first is None else first.get_encoder()(x).detach()
    semi = np.repeat(np.int8([-1, 0]), [5, 55])
    baseline.fit(features.numpy(), semi)
    raw = torch.randn(7, 9)
    loaded = same(model_of(of_numbers(9), BaselineScore(baseline, first)), raw, tmp_path / "model.pt")
    assert loaded(raw)[0].dtype == torch.float64


def test_a_mixture_comes_back(settings, make, tmp_path):
    x = of_numbers(9)(torch.randn(60, 9))
    knn = instantiate(settings("method=knn").method, _convert_="all").fit(x.numpy())
    voices = {"one": make("hsc", "table").eval(), "near": BaselineScore(knn)}
    voices["nets"] = Ensemble([make("deep_sad", "table", seed) for seed in range(2)]).eval()
    scores = {name: voice.score(x).detach() for name, voice in voices.items()}
    mixture = Mixture(voices, {name: CalibrationLayer(fit_calibration(one)) for name, one in scores.items()})
    loaded = same(model_of(of_numbers(9), mixture), torch.randn(7, 9), tmp_path / "model.pt")
    assert list(loaded.scorer.voices) == ["near", "nets", "one"]


def test_preparation_on_rows_worked_out_by_hand():
    """Columns a, soil=clay, soil=sand, wet, b; a is doubled and shifted by 1, a missing b becomes 7."""
    scaling = Scaling(np.float32([2, 1, 1, 1, 1]), np.float32([1, 0, 0, 0, 0]))
    preparation = Preparation(TABLE, scaling._replace(fill=np.float32([4, 0, 0, 1, 7])))
    nan = float("nan")
    raw = torch.tensor([[3, 1, 0, 5], [nan, 0, nan, nan], [0, nan, 1, 2], [0, -1, 1, 2]])
    expected = torch.tensor([[7.0, 0, 1, 0, 5], [9, 1, 0, 1, 7], [1, 0, 0, 1, 2], [1, 0, 0, 1, 2]])
    assert torch.equal(preparation(raw), expected)
    assert TABLE.shape == (5,)
    assert schema_of(TABLE.plain()) == TABLE
    np.testing.assert_array_equal(TABLE.expand(raw.numpy())[1], np.float32([nan, 1, 0, nan, nan]))


def test_p_values_and_decisions_by_hand(make):
    """100 calibration scores .01 to 1: the threshold at 5 % is the ceil(101 * .95) = 96th, p(.96) = (1 + 5) / 101."""
    model = model_of(of_numbers(9), make("deep_sad", "table"))
    assert model.threshold == 0.96
    scores = torch.tensor([0.0, 0.96, 0.965, 1.0, 2.0], dtype=torch.float64)
    assert model.p_value(scores).tolist() == [1.0, 6 / 101, 5 / 101, 2 / 101, 1 / 101]
    assert model.decide(scores).tolist() == [False, False, True, True, True]
    assert model.decide(scores, 0.01).tolist() == [False, False, False, False, True]
    assert model.threshold_at(0.001) == float("inf")  # 100 rows promise nothing so rare
    assert model_of(of_numbers(9), make("deep_sad", "table"), "out-of-bag").threshold_at(0.001) == float("inf")
    assert model_of(of_numbers(9), make("deep_sad", "table"), "in-sample").threshold_at(0.0) == 1.0
    for fpr in (0.01, 0.0371, 0.05, 0.3, 0.9):
        scores = torch.rand(1000, dtype=torch.float64)
        assert torch.equal(model.decide(scores, fpr), model.p_value(scores) <= fpr)
    with pytest.raises(InputError, match="target_fpr must be a number in"):
        model.decide(scores, 1.5)


class Cruel:
    def __reduce__(self):
        return print, ("executed",)


def test_what_is_no_model_file_is_one_line(make, tmp_path, capsys):
    path = tmp_path / "model.pt"
    model_of(of_numbers(9), make("deep_sad", "table")).save(path)
    good = path.read_bytes()
    document = torch.load(path, weights_only=True)

    def told(content: object, words: str) -> None:
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            write_archive(path, "model file", lambda file: torch.save(content, file))
        with pytest.raises(InputError, match=words) as caught:
            Model.load(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)

    told(b"", "cut or something else")
    told(b"status,a\n1,2\n", "cut or something else")
    told(good[: len(good) // 2], "cut or something else")
    with zipfile.ZipFile(path.with_name("a.zip"), "w") as file:
        file.writestr("data.pkl", b"junk")
    told(path.with_name("a.zip").read_bytes(), "cut or something else")
    told([1, 2], "it is something else")
    write_archive(path, "checkpoint abc", lambda file: torch.save({"state_dict": {}}, file))
    told(path.read_bytes(), "must be a model file, it is a checkpoint abc")
    told({**document, "version": 2, "package": "9.1"}, r"has format 2, of sad_lightning 9\.1; this version")
    told({name: value for name, value in document.items() if name != "version"}, "has format None")
    told({**document, "scorer": {**document["scorer"], "type": "NotImported"}}, "import the module that defines it")
    told({**document, "state": {}}, "does not hold together")
    told({k: v for k, v in document.items() if k != "card"}, "does not hold together")
    told({**document, "calibration": torch.zeros(0)}, "does not hold together")
    told({**document, "calibration": torch.zeros(3, 3)}, r"calibration: must be scores, \(n,\) numbers")
    told({**document, "calibration": torch.full((3,), torch.nan)}, r"calibration: must be scores, \(n,\) numbers")
    told({**document, "reference": "abc"}, "does not hold together")
    told({**document, "reference": torch.zeros(3)}, r"reference: must be rows, \(R, C\)")
    told({**document, "schema": {**document["schema"], "kind": "evil"}}, "schema: kind must be one of table, images")
    scale = {**document["preparation"], "scale": torch.ones(5)}
    told({**document, "preparation": scale}, "does not hold together")  # nine columns are scaled by five
    told({**document, "card": Cruel()}, "it is something else")
    assert capsys.readouterr().out == ""  # nothing was executed
    path.unlink()
    with pytest.raises(InputError, match="there is no such model file"):
        Model.load(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("roots_", 10**9), ("roots_", -1), ("children_", 10**9), ("children_", -7), ("children_", 0), ("feature_", 10**6)],
)
@pytest.mark.parametrize("method", ["catboost", "iforest", "extra_trees", "gradient_boosting"])
def test_trees_that_would_lead_nowhere_are_told(method, name, value, settings, tmp_path):
    forest = instantiate(settings(f"method={method}").method, _convert_="all")
    x = torch.randn(60, 9)
    forest.fit(x.numpy(), np.repeat(np.int8([-1, 0]), [9, 51]))
    setattr(forest, name, np.full_like(getattr(forest, name), value))
    model_of(of_numbers(9), BaselineScore(forest)).save(tmp_path / "model.pt")
    with pytest.raises(InputError, match="a node names a node or a column that is not there"):
        Model.load(tmp_path / "model.pt")


def test_a_library_that_a_file_needs_is_told_and_not_that_the_file_is_damaged(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.split(".")[0] == "pyod"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyod", None)
    monkeypatch.setattr(PyOD, "needs_anomalies", False)  # which scikit-learn asks for, and the library says
    baseline = PyOD(detector="LOF", parameters=None, random_state=0)
    baseline.rows_, baseline.semi_, baseline.scores_ = np.zeros((4, 9)), np.zeros(4, dtype=np.int8), np.zeros(4)
    baseline.n_features_in_ = 9
    model_of(of_numbers(9), BaselineScore(baseline)).save(tmp_path / "model.pt")
    _WRITTEN.clear()
    with pytest.raises(
        InputError, match=r"model.pt: method.detector=LOF needs pyod; pip install 'sad_lightning\[pyod\]'$"
    ):
        Model.load(tmp_path / "model.pt")


def test_a_column_of_a_file_can_not_ask_for_all_memory_or_for_no_time():
    for column, words in (
        ({"kind": "hash", "buckets": 10**12}, "buckets must be a whole number >= 1 and <= 65536"),
        ({"kind": "hash", "buckets": 0}, "buckets must be a whole number >= 1"),
        ({"kind": "time", "periods": (0,)}, "periods must be 86400 or 604800"),
    ):
        with pytest.raises(InputError, match=words):
            Column("a", **column)


def test_a_flipped_byte_of_the_weights_is_told(make, tmp_path):
    path = tmp_path / "model.pt"
    method = make("deep_sad", "table")
    model_of(of_numbers(9), method).save(path)
    content = bytearray(path.read_bytes())
    content[content.index(method.get_encoder()[0].weight.detach().numpy().tobytes()) + 5] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="its checksum does not fit"):
        Model.load(path)


def test_missing_and_too_large_values_are_refused_as_predict_refuses_them(make):
    schema = TableSchema(tuple(Column(f"x{k}") for k in range(9)), missing="refuse")
    scaling = Scaling(np.ones(9, dtype=np.float32), np.zeros(9, dtype=np.float32))
    model = model_of(Preparation(schema, scaling), make("deep_sad", "table"))
    raw = np.zeros((4, 9), dtype=np.float32)
    assert np.isfinite(model.score_rows(raw)).all()
    raw[2, 3] = np.nan
    with pytest.raises(InputError, match=r"^row 2: column x3 has no value, and this model refuses that; fill it"):
        model.score_rows(raw)
    raw[2, 3] = 3e38
    with pytest.raises(InputError, match=r"^row 2: must hold values that the network can take"):
        model.score_rows(raw)
    median = model_of(of_numbers(9), make("deep_sad", "table"))
    raw[2, 3] = np.nan
    assert np.isfinite(median.score_rows(raw)).all()


def test_a_score_on_the_threshold_is_no_anomaly_however_many_tie_there(make):
    method, calibration = make("deep_sad", "table"), torch.tensor([0.1] * 50 + [0.5] * 49 + [0.9])
    for fpr in (0.0, 1e-12, 0.01, 0.05, 0.5, 1 - 1e-12):
        model = Model(
            of_numbers(9), method, calibration=calibration, calibration_rows="validation", target_fpr=fpr, card={}
        )
        for score in (0.0, 0.1, 0.3, 0.5, 0.9, 1.0):
            one = torch.tensor([score], dtype=torch.float64)
            assert model.decide(one).item() == (model.p_value(one).item() <= fpr), (fpr, score)


def test_a_network_does_not_wait_for_scikit_learn(make, tmp_path):
    model_of(of_numbers(9), make("deep_sad", "table")).save(tmp_path / "model.pt")
    script = f"""
import sys
from sad_lightning.model import Model
Model.load({str(tmp_path / "model.pt")!r})
assert "sklearn" not in sys.modules
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
