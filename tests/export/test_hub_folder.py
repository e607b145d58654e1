"""A folder for a model hub scores as its model does, holds no row of the training, and shows what was changed in it."""

import json

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from support.commands import run_main

from sad_lightning import Detector
from sad_lightning.data.preparation import Preparation
from sad_lightning.data.preprocess import Scaling
from sad_lightning.data.schema import DAY, Column, TableSchema
from sad_lightning.errors import InputError
from sad_lightning.export.hub_folder import export_hub
from sad_lightning.files import read_json, write_json
from sad_lightning.model import BaselineScore, Model
from sad_lightning.stats.calibration import fit_calibration
from sad_lightning.training.ensemble import Ensemble
from sad_lightning.training.mixture import CalibrationLayer, Mixture

pytest.importorskip("safetensors", reason="a folder for a hub needs the extra `hub`")
SCHEMA = TableSchema((
    *(Column(f"x{k}") for k in range(3)), Column("soil", "category", ("cl\x96y", "sand")),
    Column("ip", "hash", buckets=2), Column("t", "time", periods=(DAY,), has_zone=True),
))  # fmt: skip


def rows_of(count: int) -> torch.Tensor:
    rows = torch.randn(count, 6, generator=torch.Generator().manual_seed(0))
    rows[:, 3:5] = torch.arange(count)[:, None] % 2
    rows[:, 5] = 3600 * torch.arange(count)
    return rows


@pytest.fixture
def model(settings, make) -> Model:
    """A mixture of networks, an ensemble and a baseline."""
    preparation = Preparation(SCHEMA, Scaling(np.ones(9, np.float32), np.zeros(9, np.float32), np.ones(9, np.float32)))
    x = preparation(rows_of(60))
    knn = instantiate(settings("method=knn").method, _convert_="all").fit(x.numpy())
    voices = {"one": make("hsc", "table").eval(), "near": BaselineScore(knn)}
    voices["nets"] = Ensemble([make("deep_sad", "table", seed) for seed in range(2)]).eval()
    scores = {name: voice.score(x).detach() for name, voice in voices.items()}
    mixture = Mixture(voices, {name: CalibrationLayer(fit_calibration(one)) for name, one in scores.items()})
    card = {"method": "recommended", "metrics": {"auroc": float("nan")}, "settings": {"path": "/home/me/x.csv"}}
    return Model(
        preparation, mixture, calibration=mixture.score(x).detach(), calibration_rows="validation", target_fpr=0.1,
        card=card, examples=rows_of(3), reference=rows_of(5), apart={"test": torch.arange(4)},
    )  # fmt: skip


def test_a_folder_scores_as_the_model_does(model, tmp_path):
    export_hub(model, tmp_path / "hub")
    loaded = Model.load(tmp_path / "hub")
    rows = rows_of(20)
    for expected, value in zip(model(rows), loaded(rows), strict=True):
        assert torch.equal(expected, value)
    assert loaded.threshold == model.threshold
    assert loaded.preparation.schema == SCHEMA
    assert np.isnan(loaded.card["metrics"]["auroc"])
    assert loaded.card["settings"] == {"path": "x.csv"}
    assert (loaded.examples, loaded.reference, loaded.apart) == (None, None, {})  # nothing of single rows
    config = json.loads((tmp_path / "hub" / "config.json").read_text(), parse_constant=pytest.fail)  # strict JSON
    assert config["format"] == "sad_lightning model"
    head, text = (tmp_path / "hub" / "README.md").read_text().removeprefix("---\n").split("\n---\n")
    assert head.splitlines() == [
        'library_name: "sad_lightning"', 'tags: ["anomaly-detection", "semi-supervised", "recommended"]'
    ]  # fmt: skip
    assert "| t | time |" in text
    assert "auroc" not in text


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_damaged_folder_is_one_line(name, damage, model, tmp_path):
    export_hub(model, tmp_path)
    file = tmp_path / name
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes(content if damage == "changed" else content[:-30])
    if damage == "gone":
        file.unlink()
    with pytest.raises(InputError) as caught:
        Model.load(tmp_path / "model.safetensors")
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [{"$tensor": "nope"}, {"$tensor": ["a"]}, {"$number": "os"}])
def test_a_folder_that_names_what_is_not_there_is_one_line(value, model, tmp_path):
    export_hub(model, tmp_path)
    document = read_json(tmp_path / "config.json", as_written=True)
    write_json(tmp_path / "config.json", {**document, "calibration": value})
    with pytest.raises(InputError, match=r"config.json: names what is not there \(.*\); download it again"):
        Model.load(tmp_path / "model.safetensors")


def test_from_the_command_line_to_a_detector(tmp_path):
    x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    detector = Detector("knn").fit(x)
    detector.save(tmp_path / "model.pt")
    outcome = run_main("export", str(tmp_path / "model.pt"), "--format", "hub")
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "hub"
    assert {file.name for file in folder.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    np.testing.assert_array_equal(Detector.load(folder).anomaly_score(x), detector.anomaly_score(x))
    np.savez(tmp_path / "new.npz", X=x)
    scored = run_main("predict", str(folder), str(tmp_path / "new.npz"), "--output", str(tmp_path / "scores.npz"))
    assert scored.code == 0, scored.err
    np.testing.assert_allclose(np.load(tmp_path / "scores.npz")["score"], detector.anomaly_score(x))
    again = run_main("export", str(folder), "--out", str(tmp_path / "x.onnx"))
    assert again.code == 2
    assert "must hold rows to check the graph on, and has none, as no folder of a hub has" in again.err


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "model.pt").write_text("")
    outcome = run_main("export", str(tmp_path), "--format", "hub", "--out", str(tmp_path / "model.pt"))
    assert outcome.code == 2
    assert "must be a folder, it is a file" in outcome.err
