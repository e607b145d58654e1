"""A graph scores as its model does, or it is not written."""

import json
import re
import sys
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from support.graphs import onnx_scores
from support.methods import METHODS
from torch.onnx._internal.exporter._registration import ONNXRegistry

from sad_lightning import Detector
from sad_lightning.baselines.iforest import IForest
from sad_lightning.baselines.knn import KNN
from sad_lightning.config.options import CONF
from sad_lightning.data.own.reading import raw_rows
from sad_lightning.data.own.values import Values
from sad_lightning.data.preparation import Preparation
from sad_lightning.data.preprocess import Scaling
from sad_lightning.data.schema import DAY, WEEK, Column, ImageSchema, TableSchema
from sad_lightning.errors import InputError
from sad_lightning.export import __main__ as command
from sad_lightning.export import graph as graphs
from sad_lightning.export.graph import difference, to_graph
from sad_lightning.model import BaselineScore, Model
from sad_lightning.stats.calibration import fit_calibration
from sad_lightning.training.ensemble import Ensemble
from sad_lightning.training.mixture import CalibrationLayer, Mixture

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not there: pip install 'sad_lightning[export]'")
pytest.importorskip("onnxscript", reason="onnxscript is not there: pip install 'sad_lightning[export]'")
TABLE = TableSchema((*(Column(f"x{k}") for k in range(6)), Column("soil", "category", ("clay", "sand", "silt"))))


@pytest.fixture(scope="module", autouse=True)
def one_registry() -> Iterator[None]:
    """The exporter parses the sources of all its operators for each graph, in a third of its time; once is enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib)))
        yield


def table_rows(count: int) -> torch.Tensor:
    rows = torch.randn(count, 7, generator=torch.Generator().manual_seed(0))
    rows[:, 6] = torch.arange(count) % 3
    rows[::4, 1], rows[1::5, 6] = torch.nan, torch.nan
    return rows


def image_rows(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 8, 8, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def model_of(scorer, kind: str) -> Model:
    rows = table_rows(40) if kind == "table" else image_rows(40)
    scale = np.linspace(0.5, 2, 9, dtype=np.float32)
    schema, scaling = TABLE, Scaling(scale, -scale)
    if kind == "images":
        schema, scaling = ImageSchema(8, 8, 1), Scaling(np.float32([1 / 255]), np.float32([0]))
    fill = np.linspace(-1, 1, 9, dtype=np.float32) if kind == "table" else None
    preparation = Preparation(schema, scaling._replace(fill=fill))
    scorer.eval()
    with torch.no_grad():
        calibration = scorer.score(preparation(rows)) + 1e-3  # no row exactly at the threshold
    return Model(
        preparation, scorer, calibration=calibration, calibration_rows="validation", target_fpr=0.3, card={"a": 1}
    )


IMAGES = ("abc", "deep_sad", "mml_dp_vae", "ss_dgm_m1m2")  # what differs; an image's graph takes seconds


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, "table") for name in METHODS), *((name, "images") for name in IMAGES)]
)
def test_onnx_scores_and_decides_as_the_model_does(name, kind, make):
    model = model_of(make(name, kind), kind)
    rows = table_rows(23) if kind == "table" else image_rows(23)
    content, apart = to_graph(model, "onnx", rows)
    assert 0 <= apart < 1e-5
    for count in (1, 5, 23):  # the batch is dynamic
        scores, decisions = onnx_scores(content, rows[:count])
        expected, decided = (value.detach().numpy() for value in model(rows[:count]))
        np.testing.assert_allclose(scores, expected, rtol=1e-5)
        np.testing.assert_array_equal(decisions, decided)
    assert 0 < decisions.sum() < 23 or name == "abc"


def test_a_graph_takes_time_stamps_as_seconds_and_words_as_buckets():
    """As docs/own_data.md says: the seconds since 1970, less four days, modulo a week, and the CRC-32 of the word."""
    schema = TableSchema((Column("ip", "hash", buckets=8), Column("t", "time", periods=(DAY, WEEK))))
    preparation = Preparation(schema, Scaling(np.float32([1]), np.float32([0]), np.zeros(12, dtype=np.float32)))
    stamps = np.datetime64("2026-01-05T09:00", "s") + 3_700 * np.arange(400)
    hosts = [f"10.0.0.{k % 90}" for k in range(400)]
    words = (hosts, stamps.astype(str).tolist())
    table = {name: Values.categories(np.arange(400.0), each) for name, each in zip(schema.names, words, strict=True)}
    raw, _ = raw_rows(Path("x.csv"), table, schema)
    np.testing.assert_array_equal(raw[:, 0], [zlib.crc32(host.encode()) % 8 for host in hosts])
    np.testing.assert_array_equal(raw[:, 1], (stamps.astype(np.int64) - 345_600) % 604_800)
    raw[::9] = np.nan
    rows = torch.from_numpy(raw)
    knn = KNN(neighbors=2, metric="euclidean", max_rows=400, random_state=0).fit(preparation(rows[:200]).numpy())
    known = {"calibration": torch.arange(40.0), "calibration_rows": "validation", "target_fpr": 0.3, "card": {}}
    model = Model(preparation, BaselineScore(knn), **known)
    content, apart = to_graph(model, "onnx", rows)
    assert apart < 1e-5
    np.testing.assert_allclose(onnx_scores(content, rows)[0], model.score_rows(raw), rtol=1e-5, atol=1e-6)


BASELINES = sorted({path.stem for path in (CONF / "method").glob("*.yaml")} - {*METHODS, "pyod"})


@pytest.mark.parametrize("name", [name for name in BASELINES if not name.endswith("_hybrid") or name == "kde_hybrid"])
@pytest.mark.filterwarnings("ignore:SSAD stopped")
def test_a_baseline_becomes_a_graph(name, settings, make):
    """Its threshold is the score of one of the rows that it decides of, where these scores can be equal."""
    baseline = instantiate(settings(f"method={name}").method, _convert_="all")
    if name == "extra_trees":
        baseline.set_params(trees=50)
    first = make("ae", "table").eval() if name.endswith("hybrid") else None
    preparation = Preparation(TABLE, Scaling(np.float32([1]), np.float32([0]), np.zeros(9, dtype=np.float32)))
    training, rows = table_rows(80).split(40)
    x = preparation(training) if first is None else first.get_encoder()(preparation(training)).detach()
    scorer = BaselineScore(baseline.fit(x.numpy(), np.repeat(np.int8([-1, 0]), [5, 35])), first)
    calibration = scorer.score(preparation(rows))
    if first is not None:
        calibration += 1e-3  # an encoder's codes differ in the last bit of float32
    model = Model(preparation, scorer, calibration=calibration, calibration_rows="validation", target_fpr=0.3, card={})
    content, apart = to_graph(model, "onnx", rows)
    assert 0 <= apart < 1e-5
    for count in (1, 5, 40):
        scores, decisions = onnx_scores(content, rows[:count])
        expected, decided = (value.detach().numpy() for value in model(rows[:count]))
        np.testing.assert_allclose(scores, expected, rtol=1e-6)
        np.testing.assert_array_equal(decisions, decided)
    assert 0 < decisions.sum() < 40
    assert to_graph(model, "pt2", rows)[1] < 1e-5


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_a_mixture_becomes_a_graph(kind, settings, make):
    preparation = Preparation(TABLE, Scaling(np.float32([1]), np.float32([0]), np.zeros(9, dtype=np.float32)))
    training, rows = table_rows(80).split(40)
    x, semi = preparation(training), np.repeat(np.int8([-1, 0]), [5, 35])
    trees = instantiate(settings("method=extra_trees", "method.trees=20", "method.rotations=0").method, _convert_="all")
    first, near = make("ae", "table").eval(), instantiate(settings("method=knn").method, _convert_="all")
    voices = {
        "trees": BaselineScore(trees.fit(x.numpy(), semi)),
        "near": BaselineScore(near.fit(first.get_encoder()(x).detach().numpy(), semi), first),
        "nets": Ensemble([make("deep_sad", "table", seed) for seed in range(3)], "geometric").eval(),
    }
    with torch.no_grad():
        scores = {name: voice.score(x) for name, voice in voices.items()}
        mixture = Mixture(voices, {name: CalibrationLayer(fit_calibration(one)) for name, one in scores.items()})
        calibration = mixture.score(preparation(rows)) + 1e-4
    model = Model(preparation, mixture, calibration=calibration, calibration_rows="validation", target_fpr=0.3, card={})
    content, apart = to_graph(model, kind, rows)
    assert 0 <= apart < 1e-5
    if kind == "onnx":
        for count in (1, 5, 40):
            found, decisions = onnx_scores(content, rows[:count])
            expected, decided = (value.detach().numpy() for value in model(rows[:count]))
            np.testing.assert_allclose(found, expected, rtol=1e-5)
            np.testing.assert_array_equal(decisions, decided)
        assert 0 < decisions.sum() < 40


def test_an_ensemble_is_one_graph(make):
    model = model_of(Ensemble([make("dp_vae", "table", seed) for seed in range(3)]), "table")
    rows = table_rows(9)
    for kind in ("onnx", "pt2"):
        assert to_graph(model, kind, rows)[1] < 1e-5


def test_what_the_graph_says_of_itself(make):
    model = model_of(make("deep_sad", "table"), "table")
    content, _ = to_graph(model, "onnx", table_rows(5))
    session = onnxruntime.InferenceSession(content)
    words = session.get_modelmeta().custom_metadata_map
    assert float(words["threshold"]) == model.threshold
    assert float(words["target_fpr"]) == 0.3
    assert [column["name"] for column in json.loads(words["schema"])["columns"]] == TABLE.names
    assert json.loads(words["card"]) == {"a": 1}
    scores, decisions = onnx_scores(content, table_rows(20))
    np.testing.assert_array_equal(decisions, scores > float(words["threshold"]))


def test_a_graph_that_differs_is_refused(make):
    model = model_of(make("deep_sad", "table"), "table")
    rows = table_rows(12)

    def off_by(share):
        def run(part):
            scores, decisions = (value.detach() for value in model(part))
            return scores * (1 + share), decisions

        return run

    assert difference(model, off_by(5e-5), rows) == pytest.approx(5e-5, rel=0.05)
    for share in (2e-4, float("nan")):
        with pytest.raises(InputError, match=r"within 0.0001 relative, but on 12 rows it differs by"):
            difference(model, off_by(share), rows)
    with pytest.raises(InputError, match="differs"):  # equal scores, another threshold
        difference(model, lambda part: (model(part)[0].detach(), torch.zeros(len(part), dtype=torch.bool)), rows)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    folder = tmp_path_factory.mktemp("model")
    short = {"trainer.max_epochs": 2, "optimizer.milestones": [1], "trainer.accelerator": "cpu"}
    for method, settings in (("deep_sad", short), ("iforest", {})):
        Detector(method, settings=settings).fit(x).save(folder / f"{method}.pt")
    return folder


def run(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["export", *map(str, arguments)])
    try:
        command.main()
    except SystemExit as stop:
        return int(stop.code)
    return 0


@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_the_command_writes_one_file_that_agrees(kind, trained, tmp_path, monkeypatch, capsys):
    out = tmp_path / f"model.{kind}"
    assert run(monkeypatch, trained / "deep_sad.pt", "--format", kind, "--out", out) == 0
    said = capsys.readouterr().out
    assert float(re.search(r"on 32 rows within (\S+) relative", said)[1]) < 1e-5
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    detector = Detector.load(trained / "deep_sad.pt")
    x = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    if kind == "onnx":
        scores, decisions = onnx_scores(out.read_bytes(), torch.from_numpy(x))
    else:
        with torch.no_grad():
            scores, decisions = (value.numpy() for value in torch.export.load(out).module()(torch.from_numpy(x)))
    np.testing.assert_allclose(scores, detector.anomaly_score(x), rtol=1e-5)
    np.testing.assert_array_equal(np.where(decisions, -1, 1), detector.predict(x))


def test_nothing_is_written_where_the_graph_differs(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(graphs, "TOLERANCE", -1.0)
    assert run(monkeypatch, trained / "deep_sad.pt", "--out", tmp_path / "model.onnx") == 2
    assert re.fullmatch(
        r"sad_lightning.export: the graph must score .* nothing was written.*\n", capsys.readouterr().err
    )
    assert not list(tmp_path.iterdir())


def test_what_can_not_be_exported_is_one_line(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.delattr(IForest, "torch_score")  # as a baseline of one's own may have none
    (tmp_path / "damaged.pt").write_bytes(b"no model")
    without = Model.load(trained / "deep_sad.pt")
    without.examples = None
    without.save(tmp_path / "without.pt")
    for path, words in (
        (trained / "iforest.pt", "IForest has no torch_score to become a graph; keep its model file"),
        (tmp_path / "nothing.pt", "there is no such model file"),
        (tmp_path / "damaged.pt", "must be a model file"),
        (tmp_path / "without.pt", "must hold rows to check the graph on"),
    ):
        assert run(monkeypatch, path) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1
    kept = (trained / "deep_sad.pt").read_bytes()
    assert run(monkeypatch, trained / "deep_sad.pt", "--out", trained / "deep_sad.pt") == 2
    assert "must be a file other than the model" in capsys.readouterr().err
    assert (trained / "deep_sad.pt").read_bytes() == kept
    assert not list(tmp_path.glob("*.onnx"))
