"""A cell on features of images: as on a table, in one model file that sees, whatever the method."""

from weakref import WeakKeyDictionary

import numpy as np
import pytest
from support.commands import run_main
from support.pictures import picture_folder

from sad_lightning.backbones import features
from sad_lightning.cell import embedding
from sad_lightning.cell.embedding import embedded
from sad_lightning.cell.key import cell_key, key_of
from sad_lightning.cell.loading import load
from sad_lightning.cell.run import run, run_cells
from sad_lightning.cell.values import Cell
from sad_lightning.config.compose import composed
from sad_lightning.errors import InputError
from sad_lightning.explain.top_rows import explain_rows
from sad_lightning.export.__main__ import export
from sad_lightning.model import Model
from sad_lightning.predict.scoring import predict
from sad_lightning.result import Result

BACKBONE = ("backbone=efficientnet_lite0", "backbone.size=32")
FAST = ("trainer.max_epochs=2", "pretrain.epochs=1", "optimizer.milestones=[1]")


def test_features_take_the_place_of_images(settings):
    cfg = settings("data=digits", *BACKBONE)
    images = load(cfg.data)
    arrays = embedded(images, cfg)
    assert arrays.shape == (1280,)
    assert arrays.x.dtype == np.float32
    assert arrays.images is images.x
    assert embedded(images, cfg) is arrays  # the cells of a pack share it
    assert embedded(images, settings("data=digits")) is images


def test_a_table_has_nothing_to_see(settings):
    with pytest.raises(InputError, match=r"backbone: sees images, and the data set is a table"):
        embedded(load(settings("data=synthetic").data), settings("data=synthetic", *BACKBONE))


@pytest.mark.parametrize("method", ["deep_sad", "vae", "mahalanobis"])
def test_methods_train_on_features(method, settings, tmp_path):
    cfg = settings("data=digits", f"method={method}", *BACKBONE, "split.normal_class=0", *FAST)
    result = run(Cell(cfg, tmp_path / method, "digits", method))
    assert result.shape == [1280]
    assert result.metrics["auroc"] > 0.8
    assert result.settings["backbone"]["name"] == "efficientnet_lite0"
    assert key_of(Result.read(tmp_path / method).settings) == result.key


def test_seeds_and_cells_share_features(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding, "_EMBEDDED", WeakKeyDictionary())  # what earlier tests have left
    computed = []
    compute = features._computed
    monkeypatch.setattr(
        features, "_computed", lambda images, *rest: computed.append(len(images)) or compute(images, *rest)
    )
    cells = [
        Cell(
            settings("data=digits", "method=mahalanobis", *BACKBONE, f"seed={seed}"),
            tmp_path / str(seed),
            "digits",
            "m",
        )
        for seed in (0, 1)
    ]
    results = run_cells(cells)
    assert all(isinstance(result, Result) for result in results)
    assert sum(computed) == 1797


def test_where_features_lie_and_no_backbone_do_not_count(settings):
    plain = settings("data=digits")
    assert cell_key(plain) == cell_key(settings("data=digits", "backbone=none"))
    one, other = (settings("data=digits", *BACKBONE, f"backbone.cache={name}") for name in "ab")
    assert cell_key(one) == cell_key(other) != cell_key(plain)


def test_other_weights_are_another_cell(settings, tmp_path):
    path, keys = tmp_path / "weights.pt", set()
    for content in ("a", "bb"):
        path.write_text(content)
        keys.add(cell_key(settings("data=digits", *BACKBONE, f"backbone.weights={path}")))
    assert len(keys) == 2


@pytest.mark.parametrize("recipe", ["+preset=images", "method=deep_sad"])
def test_a_folder_of_pictures_becomes_one_file_that_sees(recipe, tmp_path):
    top = picture_folder(tmp_path / "pictures")
    backbone = BACKBONE if recipe.startswith("method") else BACKBONE[1:]  # the preset has one
    cfg = composed(
        "data=folder", f"data.path={top}", "data.known_anomaly=[scratch]", "data.unlabeled=[good]", "data.size=48",
        *backbone, *FAST, recipe, "split.validation_ratio=0.4", "target_fpr=0.2", "logger=none", f"runs={tmp_path}",
    )  # fmt: skip
    folder = tmp_path / "run"
    run(Cell(cfg, folder, "folder", "some"))
    model = Model.load(folder / "model.pt")
    with np.load(folder / "scores.npz") as file:
        rows, expected = file["row"], file["score"]
    raw = load(cfg.data).x
    np.testing.assert_allclose(model.score_rows(raw[rows]), expected, rtol=1e-4)
    summary = predict(model, top, tmp_path / "scores.csv")
    assert summary.rows == 68
    if recipe == "+preset=images":  # a graph of the backbone takes its time
        assert "agrees with the model" in export(folder, "onnx", tmp_path / "model.onnx")
    else:
        *lines, _page = explain_rows(folder, top, top=1, out=tmp_path)
        assert len(lines) == 1


def test_wrong_weights_end_the_command_in_one_line(tmp_path):
    (tmp_path / "cut.pt").write_bytes(b"PK")
    ended = run_main("data=digits", *BACKBONE, f"backbone.weights={tmp_path}/cut.pt", f"runs={tmp_path}", "logger=none")
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert "cut.pt: must be a state dict" in line
