"""A cell on features of images: as on a table, in one model file that sees, whatever the method."""

from weakref import WeakKeyDictionary

import numpy as np
import onnxruntime
import pytest
import torch
from hydra.errors import InstantiationException
from PIL import Image
from scipy.ndimage import gaussian_filter
from support.commands import run_main
from support.pictures import picture_folder, product_folder

from sad_lightning.backbones import features
from sad_lightning.cell import embedding
from sad_lightning.cell.embedding import embedded
from sad_lightning.cell.key import cell_key, key_of
from sad_lightning.cell.loading import load
from sad_lightning.cell.run import run_cell, run_cells
from sad_lightning.cell.values import Cell
from sad_lightning.config.compose import composed
from sad_lightning.data.arrays import OPEN
from sad_lightning.detector import Detector
from sad_lightning.errors import InputError
from sad_lightning.explain.top_rows import explain_rows
from sad_lightning.export.__main__ import export_model
from sad_lightning.model import Model, heat_maps
from sad_lightning.predict.scoring import predict
from sad_lightning.result import Result
from sad_lightning.stats.ranking import auroc

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
    result = run_cell(Cell(cfg, tmp_path / method, "digits", method))
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
    of_features, of_patches = (
        {cell_key(settings("data=digits", *BACKBONE, f"backbone.stages=[{name}]", *more)) for name in "ab"}
        for more in ((), ("features=patches",))
    )
    assert of_features == {cell_key(one)}  # only patches are those of some stages
    assert len(of_patches) == 2


PIXELS = (*BACKBONE, "backbone.pixels=4", '+voices.pixels=["method=knn","features=pixels"]')


def small(images: np.ndarray, side: int) -> np.ndarray:
    count, height, width = images.shape
    areas = images.reshape(count, side, height // side, side, width // side).mean(axis=(2, 4))
    return (areas.reshape(count, -1) / 255).astype(np.float32)


def test_one_kind_of_features_is_in_memory_at_a_time(settings, monkeypatch):
    monkeypatch.setattr(embedding, "_EMBEDDED", WeakKeyDictionary())  # what earlier tests have left
    images = load(settings("data=digits").data)
    for size in (32, 64, 32):
        embedded(images, settings("data=digits", "backbone=efficientnet_lite0", f"backbone.size={size}"))
    assert len(embedding._EMBEDDED[images]) == 1


def test_a_voice_sees_the_pixels_of_grey_images(settings, tmp_path):
    (tmp_path / "cell").mkdir()
    cfg = settings("data=digits", *PIXELS, '+voices.eye=["method=mahalanobis"]', "split.normal_class=0")
    run_cell(Cell(cfg, tmp_path / "cell", "digits", "mixture"))
    images = load(cfg.data).x[..., 0]
    with np.load(tmp_path / "cell" / "pixels" / "model.npz") as arrays:
        kept = arrays["rows_"]
    copies = small(images, 4)
    assert kept.shape[1] == 16
    assert np.isin(np.round(kept, 5).view("V64"), np.round(copies, 5).view("V64")).all()


def test_a_model_whose_voices_see_features_or_pixels_is_one_file_and_one_graph(tmp_path):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 120, (120, 10, 10), dtype=np.uint8)
    images[:12, 2:8, 2:8] += 100
    semi = np.repeat([-1, 0], [6, 114])
    cache = {"backbone.size": 32, "backbone.cache": str(tmp_path), "backbone.pixels": 5}
    detector = Detector(settings=cache, target_fpr=0.2).fit(images, semi)
    mixture = detector.model_.scorer
    assert (mixture.side, mixture.see_thumbnails) == (5, ["pixel_knn", "pixel_logistic"])
    with torch.inference_mode():
        scores = detector.model_.scorer.score(x := detector.model_.prepare(torch.from_numpy(images[..., None])))
        by_hand = {
            name: voice.score(torch.from_numpy(small(images, 5)) if name.startswith("pixel") else x[:, :1280])
            for name, voice in mixture.voices.items()
        }
        np.testing.assert_allclose(mixture.mean(by_hand), scores, rtol=1e-5)
    np.testing.assert_allclose(-detector.score_samples(images), scores, rtol=1e-6)
    detector.save(tmp_path / "model.pt")
    np.testing.assert_array_equal(
        Detector.load(tmp_path / "model.pt").score_samples(images), detector.score_samples(images)
    )
    assert "agrees with the model" in export_model(tmp_path / "model.pt", "onnx")


def test_of_images_with_colours_no_voice_sees_pixels(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (80, 8, 8, 3), dtype=np.uint8)
    settings = {"backbone.size": 32, "backbone.cache": str(tmp_path)}
    detector = Detector(settings=settings, target_fpr=0.2).fit(images)
    assert sorted(detector.model_.scorer.voices) == ["knn", "mahalanobis"]


def test_pixels_that_are_not_kept_are_told(settings, tmp_path):
    cfg = settings("data=digits", *BACKBONE, '+voices.pixels=["method=knn","features=pixels"]')
    with pytest.raises(InputError, match=r"voices\.pixels: features=pixels needs .* set backbone\.pixels=14"):
        run_cell(Cell(cfg, tmp_path, "digits", "mixture"))


def test_pixels_are_for_voices(settings, tmp_path):
    cfg = settings("data=digits", "method=mahalanobis", *BACKBONE, "backbone.pixels=4")
    with pytest.raises(InputError, match=r"backbone\.pixels is for voices of a mixture"):
        run_cell(Cell(cfg, tmp_path, "digits", "mahalanobis"))


def test_pixels_beside_features_compute_no_feature_again(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding, "_EMBEDDED", WeakKeyDictionary())  # what earlier tests have left
    cache = f"backbone.cache={tmp_path}"
    images = load(settings("data=digits").data)
    arrays = embedded(images, settings("data=digits", *BACKBONE, cache))
    monkeypatch.setattr(features, "_computed", None)
    beside = embedded(images, settings("data=digits", *PIXELS, cache))
    assert np.array_equal(beside.x, arrays.x)
    assert beside.thumbnails.shape == (1, 4, 4)
    assert cell_key(settings("data=digits", *BACKBONE)) != cell_key(
        settings("data=digits", *BACKBONE, "backbone.pixels=4")
    )


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
    run_cell(Cell(cfg, folder, "folder", "some"))
    model = Model.load(folder / "model.pt")
    with np.load(folder / "scores.npz") as file:
        rows, expected = file["row"], file["score"]
    raw = load(cfg.data).x
    np.testing.assert_allclose(model.score_rows(raw[rows]), expected, rtol=1e-4)
    summary = predict(model, top, tmp_path / "scores.csv")
    assert summary.scored.rows == 68
    if recipe == "+preset=images":  # a graph of the backbone takes its time
        assert "agrees with the model" in export_model(folder, "onnx", tmp_path / "model.onnx")
    else:
        *lines, _page = explain_rows(folder, top, top=1, out=tmp_path)
        assert len(lines) == 1


def product_cell(tmp_path, *overrides):
    top = product_folder(tmp_path / "bottle", train=30, side=64)
    cfg = composed(
        "data=images", f"data.path={top}", "data.size=64", "+preset=defects", "backbone.size=64", "target_fpr=0.2",
        "logger=none", f"runs={tmp_path}", *overrides,
    )  # fmt: skip
    return cfg, Cell(cfg, tmp_path / "run", "images", "patch_core")


def test_patches_find_defects_and_show_where_they_are(tmp_path):
    cfg, cell = product_cell(tmp_path)
    result = run_cell(cell)
    assert result.shape == [152, 8, 8]
    assert result.metrics["auroc"] > 0.9
    assert result.metrics["pixel_auroc"] > 0.9
    assert result.metrics["pro"] > 0.7
    assert 0.08 < result.metrics["pixel_average_precision"] < 1  # by chance .026
    assert "PRO" in result.table(tmp_path)
    assert key_of(Result.read(tmp_path / "run").settings) == result.key
    model = Model.load(tmp_path / "run" / "model.pt")
    with np.load(tmp_path / "run" / "scores.npz") as file:
        np.testing.assert_allclose(model.score_rows(load(cfg.data).x[file["row"]]), file["score"], rtol=1e-4)
    assert "agrees with the model" in export_model(tmp_path / "run", "onnx", tmp_path / "model.onnx")


def test_a_detector_shows_where_defects_are(tmp_path):
    top = product_folder(tmp_path / "bottle", train=30, side=64)
    told = run_main(
        "data=images", f"data.path={top}", "data.size=64", "+preset=defects", "backbone.size=64", "target_fpr=0.2",
        "logger=none", f"runs={tmp_path / 'runs'}",
    )  # fmt: skip
    assert told.code == 0, told.err
    page = next((tmp_path / "runs").rglob("detector.html"))
    assert "per-region overlap" in page.read_text()
    assert page.read_text().count('is anomalous"') == 20  # of the most anomalous pictures
    arguments = ("--output", str(tmp_path / "scores.npz"), "--maps", str(tmp_path / "maps"))
    told = run_main("predict", str(page.parent), str(top / "test"), *arguments)
    assert told.code == 0, told.err
    assert str(tmp_path / "maps") in told.out
    files = sorted(str(file.relative_to(top / "test")) for file in (top / "test").rglob("*.png"))
    assert sorted(str(file.relative_to(tmp_path / "maps")) for file in (tmp_path / "maps").rglob("*.png")) == files
    red = []
    for number in range(4):
        with Image.open(tmp_path / "maps" / "hole" / f"{number:03}.png") as shown:
            pixels = np.asarray(shown, dtype=float)
        marked = np.asarray(Image.open(top / "ground_truth" / "hole" / f"{number:03}_mask.png")) > 0
        redness = pixels[..., 0] - pixels[..., 1]
        red.append(redness[marked].mean() - redness[~marked].mean())
    assert min(red) > 10
    scores = np.load(tmp_path / "scores.npz")["score"]
    told = run_main("predict", str(page.parent), str(top / "test"), "--output", str(tmp_path / "alone.npz"))
    np.testing.assert_array_equal(np.load(tmp_path / "alone.npz")["score"], scores)
    one = run_main("predict", str(page.parent), str(top / "test" / "hole" / "000.png"), *arguments)
    assert one.code == 0, one.err
    assert (tmp_path / "maps" / "000.png").is_file()
    many = run_main("predict", str(page.parent), str(top / "test" / "hole"), str(top / "test" / "line"), *arguments)
    assert "--maps is for one folder of images" in many.err


def test_an_estimator_of_images_in_memory(tmp_path):
    arrays = load(product_cell(tmp_path)[0].data)
    train, test = (np.isin(arrays.labels.part, part) for part in ((OPEN,), (2,)))
    detector = Detector("defects", settings={"backbone.size": 64, "split.validation_ratio": 0.3}, target_fpr=0.2)
    scores = detector.fit(arrays.x[train]).anomaly_score(arrays.x[test])
    assert auroc(arrays.target_class[test] > 0, scores) > 0.9
    model = detector.model_
    with torch.inference_mode():
        x = model.prepare(torch.from_numpy(arrays.x[test]))
        levels, maps = model.heat_levels(x), heat_maps(model.scorer, x, (64, 64))
    assert levels.shape == (12, 64, 64)
    by_scipy = model.scorer.patch_scores(x)
    larger = torch.nn.functional.interpolate(torch.from_numpy(by_scipy)[:, None].float(), (64, 64), mode="bilinear")[
        :, 0
    ]
    np.testing.assert_allclose(maps, gaussian_filter(larger.numpy(), (0, 64 * 4 / 224, 64 * 4 / 224)), rtol=1e-5)
    detector.save(tmp_path / "model.pt")
    assert "outputs score, anomaly and map" in export_model(tmp_path / "model.pt", "onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    np.testing.assert_allclose(session.run(["map"], {"rows": arrays.x[test]})[0], levels, atol=1e-4)
    middle = float(model.calibration.median())  # there the level is 0; it is 1 at one and a half thresholds
    np.testing.assert_allclose(middle + levels * (1.5 * model.threshold - middle), maps, rtol=1e-4)


def test_a_model_that_can_not_tell_where_says_so(tmp_path):
    top = product_folder(tmp_path / "bottle", train=30)
    _, cell = product_cell(tmp_path / "cell", "features=raw", "method=mahalanobis", "method.shrinkage=0.5")
    result = run_cell(cell)
    assert "pro" not in result.metrics
    arguments = ("--output", str(tmp_path / "scores.npz"), "--maps", str(tmp_path / "maps"))
    told = run_main("predict", str(cell.folder), str(top / "test"), *arguments)
    assert told.code == 2
    assert "--maps: patch_core can not tell where an image is anomalous; train with +preset=defects" in told.err
    assert not (tmp_path / "scores.npz").exists()


def test_known_defects_train_with_their_masks(tmp_path):
    _, cell = product_cell(tmp_path, "data.known=2")
    result = run_cell(cell)
    assert result.counts["known_anomaly"] == 4
    assert result.counts["test_anomaly"] == 4
    with np.load(tmp_path / "run" / "model.npz") as arrays:
        assert arrays["weights_"].any()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["backbone.memory=0.001"], r"memory: 42 images of 8 x 8 x 152 numbers take 0.0016 GB, and 0.001 are allowed"),
        (["backbone.stages=[blocks.99]"], "backbone.stages must name layers of efficientnet_lite0, got blocks.99"),
        (["backbone.stages=last"], "backbone.stages must be middle or a list of layers, got 'last'"),
        (["method=deep_svdd", "features=patches"], "features=patches are for baselines"),
        (["selection.rule=test_holdout"], "selection.rule must be none for features=patches"),
        (["trim=0.1"], "trim must be 0 for features=patches"),
        (['++voices.a=["method=knn"]', '++voices.b=["method=patch_core"]'],
         "features=patches is for a method alone"),
    ],
)  # fmt: skip
def test_patches_that_can_not_be_are_one_line(overrides, words, tmp_path):
    with pytest.raises((InputError, InstantiationException), match=words):
        run_cell(product_cell(tmp_path, *overrides)[1])


def test_patches_need_a_backbone(settings):
    cfg = settings("data=digits", "method=patch_core", "features=patches")
    with pytest.raises(InputError, match="features=patches are those of a backbone, and there is none"):
        embedded(load(cfg.data), cfg)


def test_wrong_weights_end_the_command_in_one_line(tmp_path):
    (tmp_path / "cut.pt").write_bytes(b"PK")
    ended = run_main("data=digits", *BACKBONE, f"backbone.weights={tmp_path}/cut.pt", f"runs={tmp_path}", "logger=none")
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert "cut.pt: must be a state dict" in line
