"""What every baseline of conf/method keeps."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import get_class, instantiate
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import KernelDensity
from sklearn.svm import OneClassSVM
from sklearn.utils.estimator_checks import check_estimator

from sad_lightning.baselines.baseline import Baseline
from sad_lightning.baselines.catboost import CatBoost
from sad_lightning.baselines.distance_ratio import DistanceRatio
from sad_lightning.baselines.extra_trees import ExtraTrees
from sad_lightning.baselines.gradient_boosting import GradientBoosting
from sad_lightning.baselines.iforest import IForest
from sad_lightning.baselines.kde import KDE
from sad_lightning.baselines.kernel import choose_rows, expansion, rbf, squared_distances, width
from sad_lightning.baselines.knn import KNN
from sad_lightning.baselines.logistic import Logistic
from sad_lightning.baselines.mahalanobis import Mahalanobis
from sad_lightning.baselines.ocsvm import OCSVM
from sad_lightning.baselines.patch_core import PatchCore
from sad_lightning.baselines.ssad import SSAD
from sad_lightning.config.options import CONF
from sad_lightning.errors import InputError

NAMES = sorted(p.stem for p in (CONF / "method").glob("*.yaml") if "features:" in p.read_text())
NO_GRAPH = ("pyod",)


@pytest.fixture
def make(settings):
    def baseline(name: str, **parameters) -> Baseline:
        return instantiate(settings(f"method={name}").method, _convert_="all").set_params(**parameters)

    return baseline


def rows_of(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """65 rows; the first six differ in kind, the last lies far away, the one before is like the six."""
    generator = np.random.default_rng(seed)
    x = generator.normal(0, 0.5, (65, 3)) @ generator.normal(0, 1, (3, 9))
    x[[*range(6), 63]] = -4 * np.abs(x[[*range(6), 63]]) - 1
    x[-1] = 12
    semi = np.zeros(65, dtype=np.int8)
    semi[:6], semi[6:9] = -1, 1
    return x, semi


def fitted(baseline: Baseline) -> Baseline:
    x, semi = rows_of()
    keep = np.isin(semi[:63], sorted(baseline.trains_on))
    return baseline.fit(x[:63][keep], semi[:63][keep])


def planted(baseline: Baseline) -> int:
    """The row that must score high: one like the known anomalies where only these are looked for."""
    return 63 if baseline.needs_anomalies else 64


def test_the_papers_have_hybrids_and_a_hybrid_is_the_same_class():
    papers = ["iforest", "kde", "ocsvm", "ssad"]
    others = [
        "catboost", "distance_ratio", "extra_trees", "gradient_boosting", "knn", "logistic", "mahalanobis",
        "patch_core", "pyod",
    ]  # fmt: skip
    assert sorted([*papers, *others, *(f"{name}_hybrid" for name in papers)]) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_yaml_keys_are_the_keyword_parameters(name, settings):
    cfg = settings(f"method={name}")
    target = get_class(cfg.method["_target_"])
    parameters = list(inspect.signature(target.__init__).parameters.values())[1:]
    assert all(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)
    assert set(cfg.method) - {"_target_"} == {p.name for p in parameters}
    assert target.__bases__[-1] is Baseline  # every baseline is final
    assert target.__name__.lower() == Path(inspect.getfile(target)).stem.replace("_", "")
    assert cfg.features == ("codes" if name.endswith("hybrid") else "raw")
    assert set(cfg.selection.grid) | set(cfg.selection.best_final) <= {p.name for p in parameters}


@pytest.mark.parametrize("name", NAMES)
def test_the_planted_outlier_scores_above_the_median(name, make):
    baseline = fitted(make(name))
    x, _ = rows_of()
    scores = baseline.anomaly_score(x)
    assert scores.shape == (65,)
    assert scores.dtype == np.float64
    assert scores[planted(baseline)] > np.median(scores[9:63])
    np.testing.assert_allclose(baseline.anomaly_score(x[:7]), scores[:7], rtol=1e-9)  # it does not depend on its batch
    assert np.array_equal(baseline.score_samples(x), -scores)
    if hasattr(baseline, "predict"):
        decision = baseline.decision_function(x)
        assert np.array_equal(baseline.predict(x), np.where(decision >= 0, 1, -1))
        np.testing.assert_allclose(decision, baseline.score_samples(x) - baseline.offset_)
        assert decision[64] < 0


@pytest.mark.parametrize("name", NAMES)
def test_save_and_load_give_equal_scores(name, make, tmp_path):
    baseline = fitted(make(name))
    np.savez(tmp_path / "model.npz", **baseline.to_arrays())
    with np.load(tmp_path / "model.npz", allow_pickle=False) as arrays:
        loaded = type(baseline).from_arrays(arrays)
    x, _ = rows_of()
    assert np.array_equal(loaded.anomaly_score(x), baseline.anomaly_score(x))
    assert loaded.get_params() == baseline.get_params()
    arrays = baseline.to_arrays()
    arrays.pop(baseline.learned[0])
    with pytest.raises(InputError, match=f"{baseline.learned[0]} is missing"):
        type(baseline).from_arrays(arrays)


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("_hybrid") and name not in NO_GRAPH])
def test_torch_operations_give_equal_scores(name, make):
    baseline = fitted(make(name))
    x, _ = rows_of()
    check_torch_score(baseline, x)


def check_torch_score(baseline: Baseline, x: np.ndarray) -> None:
    learned = {key: torch.from_numpy(np.array(getattr(baseline, key))) for key in baseline.learned}
    scores = baseline.torch_score(torch.from_numpy(x), learned)
    assert scores.dtype == torch.float64
    np.testing.assert_allclose(scores.numpy(), baseline.anomaly_score(x), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("knn", {"metric": "cosine"}), ("knn", {"neighbors": 999}), ("logistic", {"squares": True}),
        ("extra_trees", {"rotations": 0}), ("extra_trees", {"trees": 1, "rotations": 3}),
        ("distance_ratio", {"parts": 1, "clip": 0.5}),
        ("gradient_boosting", {"boosters": 1, "trees": 3}), ("gradient_boosting", {"leaves": 2}),
        ("catboost", {"depth": 1}), ("catboost", {"boosters": 1, "trees": 3, "rotations": 1}),
    ],
)  # fmt: skip
def test_torch_operations_follow_the_settings(name, parameters, make):
    x, _ = rows_of()
    check_torch_score(fitted(make(name, **parameters)), x)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("extra_trees", {}), ("extra_trees", {"rotations": 0}), ("extra_trees", {"rotations": 3}),
        ("gradient_boosting", {}), ("gradient_boosting", {"boosters": 1}), ("logistic", {}),
        ("catboost", {}), ("catboost", {"rotations": 1}),
        ("logistic", {"squares": True}), ("mahalanobis", {}),
    ],
)  # fmt: skip
def test_contributions_add_up_to_the_score_less_a_constant(name, parameters, make):
    x, _ = rows_of()
    baseline = fitted(make(name, **parameters))
    added = baseline.contributions(x)
    assert added.shape == x.shape
    constants = baseline.anomaly_score(x) - added.sum(axis=1)
    np.testing.assert_allclose(constants, constants[0], atol=1e-9 * np.abs(added).max())
    assert np.ptp(added) > 0


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_ignored_where_the_baseline_says_so(name, make):
    baseline = make(name)
    x, semi = rows_of()
    of_others = np.roll(semi[:63], 20) if baseline.needs_anomalies else None
    with_labels = clone(baseline).fit(x[:63], semi[:63]).anomaly_score(x)
    with_others = clone(baseline).fit(x[:63], of_others).anomaly_score(x)
    assert np.array_equal(with_labels, with_others) == (-1 not in baseline.trains_on)


@pytest.mark.parametrize("name", NAMES)
def test_what_needs_anomalies_says_so_in_one_line(name, make):
    baseline = make(name)
    if not baseline.needs_anomalies:
        assert np.isfinite(baseline.fit(rows_of()[0]).anomaly_score(rows_of()[0])).all()
        return
    for semi in (None, np.zeros(65), np.ones(65), np.full(65, -1)):
        with pytest.raises(InputError, match=r"semi must hold known anomalies, -1, and other rows.*choose a method"):
            baseline.fit(rows_of()[0], semi)
    with pytest.raises(InputError, match="semi must be 65 labels of -1, 0 and 1, one a row, got 65, of"):
        baseline.fit(rows_of()[0], np.full(65, 2))


# Settings to choose from, of those that have no gamma and draw nothing.
GRIDS = {
    "knn": {"neighbors": [1, 5], "metric": ["cosine"]}, "logistic": {"c": [0.1, 1.0]},
    "mahalanobis": {"shrinkage": [0.01, "ledoit_wolf"]}, "pyod": {"detector": ["KNN", "LOF"]},
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_candidates_are_what_each_fit_gives(name, make):
    baseline = make(name)
    x, semi = rows_of()
    grid = {"gamma": [0.01, 0.1, 1.0]} if "gamma" in baseline.get_params() else {"random_state": [0, 1]}
    if "nu" in baseline.get_params():
        grid["nu"] = [0.1, 0.5]
    grid = GRIDS.get(name, grid)
    found = list(baseline.candidates(x, semi, grid))
    assert len(found) == (6 if "nu" in grid else len(next(iter(grid.values()))))
    for candidate in found:
        alone = clone(baseline).set_params(**{key: candidate.get_params()[key] for key in grid}).fit(x, semi)
        np.testing.assert_allclose(candidate.anomaly_score(x), alone.anomaly_score(x), atol=1e-5)


# What scikit-learn asks of an estimator and ours refuse on purpose.
REFUSED = {
    "check_fit_score_takes_y": "the labels are semi; y is the truth, which no training code receives",
    "check_requires_y_none": "our own line says what is missing: known anomalies",
}


class Relabeled:
    """Takes scikit-learn's classes: the smallest is unlabeled, of three the second a known normal, others anomalies."""

    def fit(self, X, semi=None):
        if semi is not None:
            codes = np.unique(np.asarray(semi), return_inverse=True)[1]
            semi = np.where((codes > 1) | ((codes == 1) & (codes.max() == 1)), -1, codes)
        return super().fit(X, semi)


class RelabeledSSAD(Relabeled, SSAD):
    pass


class RelabeledCatBoost(Relabeled, CatBoost):
    pass


class RelabeledDistanceRatio(Relabeled, DistanceRatio):
    pass


class RelabeledExtraTrees(Relabeled, ExtraTrees):
    pass


class RelabeledGradientBoosting(Relabeled, GradientBoosting):
    pass


class RelabeledLogistic(Relabeled, Logistic):
    pass


class RelabeledPatchCore(Relabeled, PatchCore):
    pass


RELABELED = {
    "ssad": RelabeledSSAD, "catboost": RelabeledCatBoost, "distance_ratio": RelabeledDistanceRatio,
    "extra_trees": RelabeledExtraTrees,
    "gradient_boosting": RelabeledGradientBoosting, "logistic": RelabeledLogistic, "patch_core": RelabeledPatchCore,
}  # fmt: skip
SMALLER = {
    "catboost": {"trees": 10}, "extra_trees": {"trees": 20}, "gradient_boosting": {"trees": 10},
    "iforest": {"trees": 20}, "ssad": {"tolerance": 1e-4},
}  # fmt: skip  # the checks fit often


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("_hybrid")])
@pytest.mark.filterwarnings("ignore")  # the checks' own
def test_scikit_learns_own_checks(name, make):
    baseline = make(name, **SMALLER.get(name, {}))
    if name in RELABELED:
        baseline = RELABELED[name](**baseline.get_params())
    outcome = check_estimator(baseline, on_fail=None, expected_failed_checks=REFUSED)
    failed = {one["check_name"]: repr(one["exception"]) for one in outcome if one["status"] == "failed"}
    assert not failed
    assert sum(one["status"] == "passed" for one in outcome) > 25


def test_the_isolation_forest_is_scikit_learns(make):
    x, _ = rows_of()
    baseline = make("iforest", sample=32, random_state=3).fit(x)
    seed = int(np.random.default_rng(3).integers(2**32))
    theirs = IsolationForest(n_estimators=100, max_samples=32, random_state=seed).fit(x)
    np.testing.assert_allclose(baseline.score_samples(x), theirs.score_samples(x), rtol=1e-6)


def test_the_density_is_scikit_learns_and_the_bandwidth_the_likeliest(make, monkeypatch):
    monkeypatch.setattr("sad_lightning.baselines.kernel._CHUNK", 100)  # several chunks
    x, _ = rows_of()
    baseline = make("kde").fit(x)
    theirs = KernelDensity(bandwidth=float(baseline.bandwidth_)).fit(x)
    np.testing.assert_allclose(baseline.score_samples(x), theirs.score_samples(x), rtol=1e-9)
    order = np.random.default_rng(0).permutation(len(x))
    for h, expected in zip(baseline.bandwidths, baseline.log_likelihoods_, strict=True):
        total = sum(
            KernelDensity(bandwidth=h).fit(np.delete(x, held, axis=0)).score(x[held])
            for held in np.array_split(order, 5)
        )
        assert expected == pytest.approx(total)
    assert baseline.bandwidth_ == baseline.bandwidths[int(np.argmax(baseline.log_likelihoods_))]
    far = make("kde", bandwidths=[1e-3]).fit(x).anomaly_score(x + 100)
    assert np.isfinite(far).all()  # no density underflows


def test_the_one_class_svm_is_scikit_learns(make):
    x, _ = rows_of()
    theirs = OneClassSVM(gamma="scale", nu=0.2).fit(x)
    baseline = make("ocsvm", nu=0.2).fit(x)
    assert baseline.gamma_ == pytest.approx(1 / (9 * x.var()))
    np.testing.assert_allclose(baseline.decision_function(x), theirs.decision_function(x), rtol=1e-6, atol=1e-9)


def test_kernels_by_hand(monkeypatch):
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(7, 3)), generator.normal(size=(5, 3))
    by_hand = np.array([[((p - q) ** 2).sum() for q in b] for p in a])
    np.testing.assert_allclose(squared_distances(a, b), by_hand)
    assert (squared_distances(a, a) >= 0).all()
    weights = generator.normal(size=5)
    monkeypatch.setattr("sad_lightning.baselines.kernel._CHUNK", 12)  # two rows at a time, and one left over
    np.testing.assert_allclose(expansion(a, b, weights, 0.3), np.exp(-0.3 * by_hand) @ weights)
    np.testing.assert_allclose(rbf(by_hand, 0.3), np.exp(-0.3 * by_hand))
    assert width("scale", np.ones((4, 2))) == 1.0
    assert width(0.5, a) == 0.5


def test_too_many_rows_are_drawn_from_and_the_labeled_ones_stay(make):
    semi = np.repeat([-1, 0, 1], [4, 90, 6]).astype(np.int8)
    with pytest.warns(UserWarning, match="fitted on 50 of 100 rows: 10 labeled, and 40 of 90 unlabeled"):
        rows = choose_rows(semi, 50, 0)
    assert len(np.unique(rows)) == 50
    assert np.isin(np.flatnonzero(semi), rows).all()
    assert np.array_equal(choose_rows(semi, 100, 0), np.arange(100))
    with pytest.raises(InputError, match="max_rows must be above"):
        choose_rows(semi, 10, 0)
    x, _ = rows_of()
    with pytest.warns(UserWarning, match="fitted on 20 of 65"):
        make("ocsvm", max_rows=20).fit(x)


@pytest.mark.parametrize(
    ("estimator", "parameters", "words"),
    [
        (OCSVM, {"gamma": "auto"}, "method.gamma"), (OCSVM, {"gamma": -1}, "method.gamma"),
        (OCSVM, {"nu": 0}, "method.nu"),
        (OCSVM, {"max_rows": 0}, "method.max_rows"), (SSAD, {"kappa": -1.0}, "method.kappa"),
        (SSAD, {"c_unlabeled": 0.0}, "method.c_unlabeled"), (SSAD, {"kappa": 99.0}, "method.kappa must be reached"),
        (IForest, {"trees": 0}, "method.trees"), (IForest, {"sample": 1}, "method.sample"),
        (KDE, {"bandwidths": [0.0]}, "method.bandwidths"), (KDE, {"bandwidths": []}, "method.bandwidths"),
        (KDE, {"folds": 1}, "method.folds"),
        (ExtraTrees, {"trees": 0}, "method.trees"), (ExtraTrees, {"rotations": -1}, "method.rotations"),
        (ExtraTrees, {"max_rows": 0}, "method.max_rows"),
        (GradientBoosting, {"boosters": 0}, "method.boosters"), (GradientBoosting, {"trees": 0}, "method.trees"),
        (GradientBoosting, {"learning_rate": 2}, "method.learning_rate"), (GradientBoosting, {"l2": -1}, "method.l2"),
        (GradientBoosting, {"leaves": 1}, "method.leaves"), (GradientBoosting, {"min_rows": 0}, "method.min_rows"),
        (GradientBoosting, {"columns": 0}, "method.columns"), (GradientBoosting, {"max_rows": 0}, "method.max_rows"),
        (CatBoost, {"boosters": 0}, "method.boosters"), (CatBoost, {"trees": 0}, "method.trees"),
        (CatBoost, {"learning_rate": 2}, "method.learning_rate"), (CatBoost, {"depth": 17}, "method.depth"),
        (CatBoost, {"columns": 0}, "method.columns"), (CatBoost, {"rotations": -1}, "method.rotations"),
        (CatBoost, {"max_rows": 0}, "method.max_rows"),
        (KNN, {"neighbors": 0}, "method.neighbors"), (KNN, {"metric": "l1"}, "method.metric must be one of euclidean"),
        (KNN, {"max_rows": 0}, "method.max_rows"), (Mahalanobis, {"shrinkage": 0.0}, "method.shrinkage"),
        (Mahalanobis, {"shrinkage": "oas"}, "method.shrinkage must be ledoit_wolf or a number"),
        (Logistic, {"c": 0.0}, "method.c"), (Logistic, {"squares": 1}, "method.squares"),
        (Logistic, {"max_iter": 0}, "method.max_iter"),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_told(estimator, parameters, words, make):
    baseline = make(Path(inspect.getfile(estimator)).stem, **parameters)
    with pytest.raises(InputError, match=words):
        baseline.fit(*rows_of())
