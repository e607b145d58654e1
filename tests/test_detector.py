"""The estimator: scikit-learn's own checks, its signs, its inputs, and that it is the command line's cell."""

import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from scipy.stats import false_discovery_control
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from support.methods import METHODS as DEEP

import sad_lightning
from sad_lightning import Detector, label_auroc
from sad_lightning.config.options import CONF
from sad_lightning.errors import InputError
from sad_lightning.export.__main__ import export_model

ROOT = Path(__file__).resolve().parent.parent
SHORT = {"trainer.max_epochs": 2, "optimizer.milestones": [1], "trainer.accelerator": "cpu"}
METHODS = sorted(path.stem for path in (CONF / "method").glob("*.yaml"))

# What scikit-learn asks of an estimator and ours can not or will not do.
REFUSED = {
    "check_fit_score_takes_y": "the labels are semi; y is the truth, which no training code receives",
    "check_methods_subset_invariance": "float32: a row alone may differ from itself in a batch in the last bit",
}


class Relabeled(Detector):
    """Takes scikit-learn's classes: the smallest is unlabeled, the second a known normal, all others anomalies."""

    def fit(self, X, semi=None):
        if semi is not None:
            codes = np.unique(np.asarray(semi), return_inverse=True)[1]
            semi = np.where(codes > 1, -1, codes)
        return super().fit(X, semi)


@parametrize_with_checks(
    [Relabeled("deep_sad", settings=SHORT, labels={-1: -1, 0: 0, 1: 1})], expected_failed_checks=lambda _: REFUSED
)
@pytest.mark.filterwarnings("ignore")  # the checks' own
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(300, 4)).astype(np.float32)
    x[:40] += 4
    semi = np.zeros(300, dtype=np.int64)
    semi[:20], semi[290:] = -1, 1
    return x, semi, (np.arange(300) < 40).astype(np.int64)


@pytest.fixture(scope="module")
def fitted(data):
    x, semi, _ = data
    return Detector("deep_sad", settings=SHORT).fit(x, semi)


def test_signs(fitted, data):
    x, _, y = data
    score = fitted.anomaly_score(x)
    np.testing.assert_array_equal(fitted.score_samples(x), -score)
    np.testing.assert_array_equal(fitted.decision_function(x), -score - fitted.offset_)
    np.testing.assert_array_equal(fitted.predict(x), np.where(score > fitted.model_.threshold, -1, 1))
    assert fitted.score(x, y) == pytest.approx(roc_auc_score(y, score))
    assert fitted.score(x, y) > 0.9
    ascending = np.argsort(score)
    assert (np.diff(fitted.p_value(x)[ascending]) <= 0).all()


def test_a_false_discovery_rate_takes_the_place_of_the_rate(data):
    x, _, y = data
    detector = Detector("mahalanobis").fit(x[y == 0])
    flagged = detector.predict(x, fdr=0.2) < 0
    np.testing.assert_array_equal(flagged, false_discovery_control(detector.p_value(x), method="bh") <= 0.2)
    assert flagged[y == 1].mean() > 0.9
    assert flagged[y == 0].sum() < 0.25 * flagged.sum()
    assert (detector.predict(x, fdr=0.0) == 1).all()
    with pytest.raises(InputError, match=r"fdr must be a number in \[0, 1\), got 1"):
        detector.predict(x, fdr=1)


def test_rows_that_set_the_threshold_did_not_train(fitted, data):
    semi = data[1]
    assert fitted.model_.calibration_rows == "validation"
    held = len(fitted.model_.calibration)
    assert held == fitted.model_.card["counts"]["validation"] == round(0.2 * (semi >= 0).sum())
    assert fitted.model_.card["counts"]["known_anomaly"] == 20
    assert fitted.model_.card["counts"]["train"] == 300 - held
    assert fitted.model_.card["counts"]["test"] == 0


def test_few_rows_promise_nothing_and_say_so(data):
    x, semi, _ = data
    with pytest.warns(UserWarning, match="too few to hold some out"):
        few = Detector("iforest").fit(x[:60], semi[:60])
    assert few.model_.calibration_rows == "in-sample"
    with pytest.raises(InputError, match="needs scores of normal rows that did not train, those of this model"):
        few.predict(x, fdr=0.1)


def test_without_labels_the_card_names_the_preset_that_trained(data):
    x, semi, _ = data
    card = Detector().fit(x, np.zeros_like(semi)).model_.card
    assert (card["method"], card["settings"]["method"]["_target_"]) == ("label_free", "sad_lightning.baselines.IForest")


def test_data_frames_and_tensors_are_arrays(fitted, data):
    x, semi, _ = data
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    expected = fitted.anomaly_score(x)
    names = ["a", "b", "c", "d"]
    frames = (pandas.DataFrame(x, columns=names), polars.DataFrame(x, schema=names), torch.from_numpy(x))
    for rows in frames:
        again = clone(fitted).fit(rows, torch.from_numpy(semi) if isinstance(rows, torch.Tensor) else semi)
        np.testing.assert_array_equal(again.anomaly_score(rows), expected)
        if not isinstance(rows, torch.Tensor):
            assert again.feature_names_in_.tolist() == again.model_.preparation.schema.names == names
            with pytest.raises(ValueError, match="feature names should match"):
                again.predict(frames[0].rename(columns={"d": "e"}))


def test_missing_values_take_the_median_of_the_rows_that_train(data):
    x, semi, _ = data
    holed = x.copy()
    holed[5:50:3, 1] = np.nan
    detector = Detector("deep_sad", settings={**SHORT, "split.validation_ratio": 0.0}).fit(holed, semi)
    fill = np.nanmedian(holed[semi >= 0, 1])
    np.testing.assert_allclose(detector.model_.preparation.fill[1], fill)
    np.testing.assert_array_equal(
        detector.anomaly_score(holed), detector.anomaly_score(np.where(np.isnan(holed), fill, holed))
    )
    assert detector.model_.examples.isnan().any()  # a graph is checked on rows as they come


def test_a_fit_leaves_the_level_of_lightnings_logger(data):
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        Detector("deep_sad", settings=SHORT).fit(data[0], data[1])
        assert logger.level == logging.ERROR
    finally:
        logger.setLevel(before)


def test_images_of_one_contrast_score_alike_however_bright(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 120, (60, 8, 8), dtype=np.uint8)
    settings = {**SHORT, "split.validation_ratio": 0.5, "preprocess.pixels": "contrast"}
    detector = Detector("ae", settings=settings).fit(pixels)
    scores = detector.anomaly_score(pixels)
    np.testing.assert_allclose(detector.anomaly_score(2 * pixels + 10), scores, rtol=1e-4)
    detector.save(tmp_path / "model.pt")
    np.testing.assert_array_equal(Detector.load(tmp_path / "model.pt").anomaly_score(pixels), scores)


def test_images(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    detector = Detector("ae", settings={**SHORT, "split.validation_ratio": 0.5}).fit(pixels)
    np.testing.assert_array_equal(detector.anomaly_score(pixels), detector.anomaly_score(pixels[..., None]))
    detector.save(tmp_path / "model.pt")
    np.testing.assert_array_equal(Detector.load(tmp_path / "model.pt").predict(pixels), detector.predict(pixels))
    for wrong in (pixels[:, :4], pixels.astype(np.float32)):
        with pytest.raises(InputError, match="images as"):
            detector.predict(wrong)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_by_its_name(method, data, tmp_path):
    x, semi, _ = data
    settings = SHORT if method in DEEP or method.endswith("_hybrid") else {}
    if "vae" in method and method != "vae":
        settings = {**settings, "method.anomalies.warm_up": 1} if "ml_" in method or "dp_" in method else settings
    detector = Detector(method, settings=settings, random_state=3).fit(x, semi)
    score = detector.anomaly_score(x)
    assert score.shape == (300,)
    assert score.std() > 0
    detector.save(tmp_path / "model.pt")
    loaded = Detector.load(tmp_path / "model.pt")
    np.testing.assert_array_equal(loaded.anomaly_score(x), score)
    assert loaded.get_params() == detector.get_params()
    assert loaded.offset_ == detector.offset_


def test_without_a_name_it_is_the_recommended_preset(data):
    x, semi, y = data
    detector = Detector(settings={"trainer.max_epochs": 5}).fit(x, semi)
    names = ["boosted_trees", "distance_ratio", "logistic", "pu_svdd", "rotated_trees", "trees"]
    assert list(detector.model_.scorer.voices) == names
    assert [type(member).__name__ for member in detector.model_.scorer.voices["pu_svdd"].members] == ["PUSVDD"] * 5
    voices = detector.model_.card["settings"]["voices"]
    assert voices["pu_svdd"]["balance"] == {"known_anomalies": 64, "mix": True}
    assert [voices[name]["method"]["rotations"] for name in ("boosted_trees", "rotated_trees", "trees")] == [0, 1, 0]
    assert voices["boosted_trees"]["method"]["columns"] == 0.3
    assert detector.score(x, y) > 0.9
    without = Detector().fit(x)
    assert type(without.model_.scorer.baseline).__name__ == "IForest"
    pixels = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    label_free, labeled = ["knn", "mahalanobis", "pixel_knn"], ["knn", "logistic", "mahalanobis"]
    for known, voices in (([], label_free), ([0, 1], [*labeled, "pixel_knn", "pixel_logistic"])):
        labels = np.zeros(30)
        labels[known] = -1
        images = Detector(settings={"split.validation_ratio": 0.0}).fit(pixels, labels)
        assert list(images.model_.scorer.voices) == voices
    assert images.model_.preparation.extractor.name == "efficientnet_lite0"


def test_few_known_anomalies_have_a_recipe_of_their_own(data, tmp_path):
    x, semi, y = data
    few, many = (np.where(np.cumsum(semi < 0) <= count, semi, np.maximum(semi, 0)) for count in (3, 4))
    assert [(labels < 0).sum() for labels in (few, many)] == [3, 4]
    settings = {"trainer.max_epochs": 5}
    detector = Detector(settings=settings).fit(x, few)
    voices = detector.model_.scorer.voices
    assert list(voices) == ["distance_ratio", "one_center", "pu_svdd", "ten_centers"]
    centers = {name: voices[name].baseline.centers for name in voices if name != "pu_svdd"}
    assert centers == {"distance_ratio": 5, "one_center": 1, "ten_centers": 10}
    assert detector.score(x, y) > 0.9
    detector.save(tmp_path / "model.pt")
    score = detector.anomaly_score(x)
    np.testing.assert_array_equal(Detector.load(tmp_path / "model.pt").anomaly_score(x), score)
    assert "agrees with the model" in export_model(tmp_path / "model.pt", "onnx")
    assert np.isfinite(detector.explain(x[:2]).parts["occlusion"]).all()
    with pytest.warns(UserWarning, match="new are boosted_trees, .*, trees, and left out one_center, ten_centers"):
        detector.fit_more(x, many)
    card = detector.model_.card
    assert card["voices"] == list(detector.model_.scorer.voices)
    assert list(card["warm_start"]["epochs"]) == ["pu_svdd"]
    assert "distance_ratio" in card["warm_start"]["fitted_anew"]
    assert list(detector.model_.scorer.voices) == list(Detector(settings=settings).fit(x, many).model_.scorer.voices)


def test_pipeline_and_search_over_parameters(data):
    x, semi, y = data
    pipeline = make_pipeline(StandardScaler(), Detector("deep_sad", settings=SHORT)).fit(x, semi)
    assert pipeline.score(x, y) > 0.9
    grid = {"settings": [{**SHORT, "method.eta": eta} for eta in (1.0, 1e-3)], "method": ["deep_sad", "iforest"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = GridSearchCV(Detector(), grid, scoring=label_auroc, cv=StratifiedKFold(2)).fit(x, semi)
    found = search.cv_results_["mean_test_score"]
    without = [point["method"] == "iforest" for point in search.cv_results_["params"]]
    assert np.isnan(found).tolist() == without  # the settings are a network's
    assert search.best_score_ == np.nanmax(found) > 0.9
    known = semi < 0
    assert label_auroc(search.best_estimator_, x, semi) == pytest.approx(
        roc_auc_score(known, search.best_estimator_.anomaly_score(x))
    )


def test_scalars_of_numpy_are_numbers(data):
    x, semi, _ = data
    ours = Detector("iforest", random_state=np.int64(1), settings={"split.validation_ratio": np.float64(0.25)})
    plain = Detector("iforest", random_state=1, settings={"split.validation_ratio": 0.25})
    np.testing.assert_array_equal(ours.fit(x, semi).anomaly_score(x), plain.fit(x, semi).anomaly_score(x))
    with pytest.raises(InputError, match="settings must hold numbers, words and lists"):
        Detector("iforest", settings={"ensemble": object()}).fit(x, semi)


def test_the_seed_decides(data):
    x, semi, _ = data
    one, two, three = (Detector("deep_sad", settings=SHORT, random_state=k).fit(x, semi) for k in (0, 0, 1))
    np.testing.assert_array_equal(one.anomaly_score(x), two.anomaly_score(x))
    assert not np.array_equal(one.anomaly_score(x), three.anomaly_score(x))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"method": "nope"}, "method/nope: is not there; there are abc, ae"),
        ({"settings": {"method.etaa": 1}}, "method.etaa: there is no such setting"),
        ({"settings": {"method.eta": "abc"}}, "method.eta must be a positive number, got 'abc'"),
        ({"settings": {"data.path": "x.csv"}}, "settings must not hold data.path"),
        ({"settings": {"split.labeled_ratio": 0.1}}, "settings must not hold split.labeled_ratio"),
        ({"settings": {5: 5}}, "settings must have names as on the command line, got 5; try 'ensemble'"),
        ({"settings": {" ": 5}}, "settings must have names as on the command line"),
        ({"settings": {"hydra.run.dir": "x"}}, "settings must not hold hydra.run.dir"),
        (
            {"settings": {"trainer.devices": 2}},
            "trainer.num_nodes must be 1 for rows in memory, got 2 and 1: each",
        ),
        ({"settings": {"trainer.num_nodes": 2}}, "must be 1 for rows in memory, got 1 and 2: each process would start"),
        ({"method": ""}, "method must be a name and settings a dictionary, got ''"),
        ({"settings": {"split": "classes"}}, "settings must not hold split"),
        ({"settings": {"network": "lenet"}}, "network: LeNet needs square images"),
        ({"settings": {"split.validation_ratio": 0.01}}, "needs more than 1/target_fpr - 1 validation rows"),
        ({"settings": ["seed"]}, "method must be a name and settings a dictionary"),
        ({"method": 3}, "method must be a name and settings a dictionary"),
        ({"target_fpr": 2.0}, r"target_fpr must be a number in \[0, 1\), got 2.0"),
        ({"random_state": -1}, "seed must be a whole number >= 0, got -1"),
    ],
)
def test_a_wrong_parameter_is_one_line(parameters, words, data):
    x, semi, _ = data
    with pytest.raises(InputError, match=words) as caught:
        Detector(**{"method": "deep_sad", **parameters}).fit(x, semi)
    assert "\n" not in str(caught.value)


@contextmanager
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def device_meta() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


CALLERS = {
    "a default device that holds no numbers": device_meta,
    "the context of a device": lambda: torch.device("meta"),
    "another application of Hydra": lambda: initialize_config_dir(str(ROOT / "docs"), version_base="1.3"),
    "float64": float64,
    "inference mode": torch.inference_mode,
}


def test_fits_in_threads_are_those_of_one_alone_and_leave_the_generator_as_it_was(data):
    x, semi, _ = data

    def scores(seed: int) -> np.ndarray:
        fitted = Detector("deep_sad", settings=SHORT, random_state=seed).fit(x, semi)
        return fitted.anomaly_score(x)

    alone = [scores(seed) for seed in range(3)]
    torch.manual_seed(7)
    drawn = torch.rand(1)
    torch.manual_seed(7)
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(scores, range(3)))
    assert torch.rand(1) == drawn
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("caller", CALLERS)
def test_what_the_caller_has_set_changes_nothing(caller, data):
    x, semi, _ = data
    expected = Detector("deep_svdd", settings=SHORT).fit(x, semi).anomaly_score(x)
    with CALLERS[caller]():
        running = GlobalHydra.instance().hydra
        detector = Detector("deep_svdd", settings=SHORT).fit(x, semi)
        np.testing.assert_array_equal(detector.anomaly_score(x), expected)
        assert np.isfinite(detector.explain(x[:2]).parts["occlusion"]).all()
        assert 0 < detector.p_value(x).min() <= 1
        assert GlobalHydra.instance().hydra is running
    np.testing.assert_array_equal(detector.anomaly_score(x), expected)


def test_a_masked_value_is_a_missing_one(data):
    x, semi, _ = data
    masked, missing = np.ma.masked_greater(x, 3), np.where(x > 3, np.nan, x)
    assert masked.mask.any()
    detector = Detector("iforest").fit(masked, semi)
    expected = Detector("iforest").fit(missing, semi).anomaly_score(missing)
    np.testing.assert_array_equal(detector.anomaly_score(masked), expected)


def test_a_masked_label_is_a_missing_one(data):
    x, semi, _ = data
    masked = np.ma.masked_array(np.where(semi == 0, 7, semi), mask=semi == 0)
    detector = Detector("ssad").fit(x, masked)
    np.testing.assert_array_equal(detector.anomaly_score(x), Detector("ssad").fit(x, semi).anomaly_score(x))


def test_tensors_and_tables_of_any_kind_are_read_or_told(data):
    x, semi, _ = data
    coarse = torch.from_numpy(x).bfloat16()
    detector = Detector("iforest").fit(coarse, semi)
    np.testing.assert_array_equal(detector.anomaly_score(coarse), detector.anomaly_score(coarse.float()))
    for wrong in (torch.zeros(9, 3, device="meta"), torch.zeros(9, 3).to_sparse(), torch.zeros(9, 3) + 1j):
        with pytest.raises(ValueError, match=r"X: a tensor must be dense and hold numbers|Complex data not supported"):
            Detector("iforest").fit(wrong)
    for times in (np.zeros((9, 2), "M8[s]"), np.zeros((9, 2), "m8[s]")):
        with pytest.raises(InputError, match=r"X must hold numbers, it holds .*; give times as columns"):
            Detector("iforest").fit(times)
    pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    for column in (pandas.Series(x[:, 0]), pyarrow.array(x[:, 0])):
        with pytest.raises(ValueError, match=r"Expected a 2-dimensional container|Expected 2D array"):
            Detector("iforest").fit(column)
    with pytest.raises(InputError, match=r"^X must hold images as .* uint8, and fit saw a table, got \(1, 300"):
        detector.anomaly_score(x[None])
    frame = pandas.DataFrame({"a": x[:, 0], "b": np.where(x[:, 1] > 0, "up", "down")}, index=np.arange(300) + 5)
    table = pyarrow.table({"a": x[:, 0], "b": frame["b"].tolist()})
    expected = Detector("iforest").fit(frame, semi).anomaly_score(frame)
    np.testing.assert_array_equal(Detector("iforest").fit(table, semi).anomaly_score(table), expected)
    frame.columns = pandas.MultiIndex.from_tuples([("a", 1), ("b", 1)])
    np.testing.assert_array_equal(Detector("iforest").fit(frame, semi).anomaly_score(frame), expected)


NAMED_ROWS = {  # three columns of numbers, and one of words where a frame has it, as people have them in Python
    "a lazy frame": lambda frame: pytest.importorskip("polars").DataFrame(frame).lazy(),
    "a frame of polars": lambda frame: pytest.importorskip("polars").DataFrame(frame),
    "a table of pyarrow": lambda frame: pytest.importorskip("pyarrow").table(frame),
    "a structured array": lambda frame: np.rec.fromarrays(list(frame.values()), names=list(frame)),
    "a structured array of another byte order": lambda frame: np.rec.fromarrays(
        [c.astype(c.dtype.newbyteorder(">")) for c in frame.values()], names=list(frame)
    ),
    "a dictionary of columns": lambda frame: frame,
    "rows as dictionaries": lambda frame: pytest.importorskip("pandas").DataFrame(frame).to_dict("records"),
    "rows that leave out what is missing": lambda frame: [
        {name: value for name, value in row.items() if value == value}
        for row in pytest.importorskip("pandas").DataFrame(frame).to_dict("records")
    ],
    "columns of objects": lambda frame: pytest.importorskip("pandas").DataFrame(frame, dtype=object),
    "categories": lambda frame: pytest.importorskip("pandas").DataFrame(frame).astype({"b": "category"}),
    "pandas' own missing values": lambda frame: pytest.importorskip("pandas").DataFrame(frame).convert_dtypes(),
    "types of Arrow in pandas": lambda frame: pytest.importorskip("pandas").DataFrame(frame).convert_dtypes(
        dtype_backend="pyarrow"
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", [False, True], ids=["numbers", "words"])
@pytest.mark.parametrize("kind", NAMED_ROWS)
def test_rows_with_names_are_a_data_frame(kind, words, data):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    x, semi, _ = data
    names = np.where(x[:, 1] > 0, "up", "down") if words else x[:, 1]
    frame = {"a": np.where(np.arange(300) % 7 == 3, np.nan, x[:, 0]), "b": names, "c": x[:, 2]}
    expected = Detector("iforest").fit(pandas.DataFrame(frame), semi)
    detector = Detector("iforest").fit(NAMED_ROWS[kind](frame), semi)
    np.testing.assert_array_equal(
        detector.anomaly_score(NAMED_ROWS[kind]({name: column[:9] for name, column in frame.items()})),
        expected.anomaly_score(pandas.DataFrame(frame)[:9]),
    )
    assert list(detector.feature_names_in_) == ["a", "b", "c"]


def test_sparse_rows(data):
    """Matrices are refused as scikit-learn refuses them; sparse columns of a frame are columns."""
    pandas, sparse = pytest.importorskip("pandas"), pytest.importorskip("scipy.sparse")
    x, semi, _ = data
    for matrix in (sparse.csr_matrix(x), sparse.coo_array(x), sparse.lil_array(x)):
        with pytest.raises(TypeError, match=r"^Sparse data was passed for X, but dense data is required. Use '.toarr"):
            Detector("iforest").fit(matrix, semi)
    expected = Detector("iforest").fit(pandas.DataFrame(x), semi).anomaly_score(x)
    for empty in (np.nan, 0.0):
        frame = pandas.DataFrame(x).astype(pandas.SparseDtype("float64", empty))
        np.testing.assert_array_equal(Detector("iforest").fit(frame, semi).anomaly_score(frame), expected)


WRONG_ROWS = {
    "a column twice": (lambda x: _frame(x, ["a", "a", "b"]), r"a stands there twice; .* X.drop\(columns=\['a'\]\)"),
    "an array in a cell": (lambda x: _frame(x).assign(t=[[1, 2]] * 300), r"t must hold .* X.drop\(columns=\['t'\]\)"),
    "a column of objects": (lambda x: _frame(x).assign(t=[object()] * 300), "a column must hold values of one kind"),
    "durations": (lambda x: _frame(x).assign(t=np.arange(300).astype("m8[s]")), r"it holds durations; .* with X.drop"),
    "no value": (lambda x: _frame(x).assign(t=[None] * 300), r"t must hold numbers or words, it holds no value"),
    "numbers and a mark": (lambda x: _frame(x).assign(t=[*map(str, range(299)), "?"]), r"pandas.to_numeric\(X\['t'\]"),
    "an infinite number": (lambda x: _frame(x).assign(t="a", a=np.inf), r"a must hold finite .* mend it, or .* X.drop"),
    "days or months": (lambda x: _frame(x).assign(t="1/2/2026"), r"dayfirst=True"),
    "one column": (lambda x: _frame(x)["a"], "2-dimensional|2D array"),
    "rows of other lengths": (lambda x: {"a": [1.0, 2.0], "b": [1.0]}, "a column must hold values of one kind"),
    "one row as a dictionary": (lambda x: {"a": 1.0, "b": 2.0}, "a column must hold values of one kind"),
    "fields of two values": (lambda x: np.zeros(9, [("a", "f8", (2,))]), "a column must hold values of one kind"),
}  # fmt: skip


def _frame(x, names=("a", "b", "c")):
    return pytest.importorskip("pandas").DataFrame(x[:, :3], columns=list(names))


@pytest.mark.parametrize("kind", WRONG_ROWS)
def test_a_way_out_for_rows_in_memory_is_one_of_python(kind, data):
    pytest.importorskip("pyarrow")
    make, words = WRONG_ROWS[kind]
    with pytest.raises(ValueError, match=words) as told:
        Detector("iforest").fit(make(data[0]))
    assert "data." not in str(told.value).replace("pandas.", "")
    assert "\n" not in str(told.value)


def test_a_frame_of_other_columns_is_told(data):
    pytest.importorskip("pyarrow")
    x, semi, _ = data
    detector = Detector("iforest").fit(_frame(x).assign(t="u"), semi)
    for rows, words in (
        ([{"a": 1.0, "b": 2.0, "c": 1.0}], "missing: t; it holds a, b, c"),
        ([{"t": "u", "a": 1.0, "b": 2.0, "c": 1.0, "z": 3}], r"unknown: z; leave it out with X.drop\(columns=\['z'\]"),
    ):
        with pytest.raises(InputError, match=words):
            detector.anomaly_score(rows)


def test_wrong_labels_are_told(fitted, data):
    x, semi, _ = data
    for wrong in (semi[:5], semi + 3):
        with pytest.raises(InputError, match="semi must be 300 labels of -1, 0 and 1"):
            Detector("iforest").fit(x, wrong)
    with pytest.raises(InputError, match="scoring=label_auroc"):
        fitted.score(x, semi)
    with pytest.raises(InputError, match="without known anomalies"):
        Detector("hsc", settings=SHORT).fit(x)


MEANINGS = {
    "0 and 1": ([0, 1], {0: 0, 1: -1}, None),
    "true and false": ([False, True], {False: 0, True: -1}, None),
    "words": (["ok", "attack"], {"ok": 0, "attack": -1}, None),
    "1 is normal": ([-7, 3], {-7: 0, 3: 1}, None),
    "NaN": ([np.nan, -1.0], None, None),
    "None": ([None, -1], None, None),
    "None beside words": ([None, "attack"], {"attack": -1}, None),
    "pandas' missing value": ([None, -1], None, "Int64"),
    "categories": (["ok", "attack"], {"ok": 0, "attack": -1}, "category"),
}


@pytest.mark.parametrize("name", MEANINGS)
def test_labels_mean_what_is_said(name, data, tmp_path):
    (usual, odd), meaning, dtype = MEANINGS[name]
    odd_rows = np.arange(300) < 20
    labels = [odd if each else usual for each in odd_rows]
    if dtype:
        labels = pytest.importorskip("pandas").array(labels, dtype=dtype)
    detector = Detector("ssad", labels=meaning).fit(data[0], labels)
    sign = 1 if name == "1 is normal" else -1
    expected = Detector("ssad", labels={0: 0, sign: sign}).fit(data[0], np.where(odd_rows, sign, 0))
    np.testing.assert_array_equal(detector.anomaly_score(data[0]), expected.anomaly_score(data[0]))
    if sign < 0:
        assert detector.model_.card["counts"]["known_anomaly"] == 20
        assert label_auroc(detector, data[0], labels) == roc_auc_score(odd_rows, detector.anomaly_score(data[0]))
    detector.save(tmp_path / "model.pt")
    assert Detector.load(tmp_path / "model.pt").get_params() == detector.get_params()


@pytest.mark.parametrize(
    ("labels", "meaning", "words"),
    [
        ([0, 1], None, "labels={1: -1, 0: 0}) if 1 is an anomaly, Detector(labels={1: 1, 0: 0}) if 1 is known to be"),
        ([False, True], None, "may mean two things"),
        ([0.0, 1.0], None, "may mean two things"),
        ([None, 1], None, "may mean two things"),
        ([1, 1], None, "may mean two things"),
        (["ok", "attack"], None, "it holds 'attack', 'ok'; say what they mean with Detector(labels={'attack': -1, "),
        (["ok", "attack"], {"attack": -1}, "says nothing of 'ok'; add 'ok': 0 if"),
        ([0, 1], "anomaly=1", "labels must say -1, 0 or 1 of each label, got 'anomaly=1'"),
        ([0, 1], {0: 0, 1: 2}, "labels must say -1, 0 or 1 of each label, got {0: 0, 1: 2}"),
    ],
)
def test_what_a_label_means_is_never_guessed(labels, meaning, words, data):
    given = [labels[k < 20] for k in range(300)]
    with pytest.raises(InputError) as told:
        Detector("iforest", labels=meaning).fit(data[0], given)
    assert words in str(told.value)
    assert "\n" not in str(told.value)


def test_importing_the_package_does_not_import_torch():
    script = "import sys, sad_lightning; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'Detectr'"):
        _ = sad_lightning.Detectr
