"""CatBoost: its own predictions, out-of-fold scores, its trees by hand, and what is said where it is not installed."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest

from sad_lightning.baselines.catboost import CatBoost, _flatten
from sad_lightning.baselines.flat_trees import mean_of_leaves, mean_of_splits
from sad_lightning.errors import InputError
from sad_lightning.stats.ranking import auroc

SETTINGS = {
    "boosters": 3, "trees": 20, "learning_rate": 0.1, "depth": 4, "columns": 0.5, "rotations": 0, "max_rows": 10_000,
    "random_state": 3,
}  # fmt: skip
installed = pytest.mark.skipif(
    find_spec("catboost") is None,
    reason="CatBoost is not there: pip install 'sad_lightning[boost]'",
)


def table(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """600 rows, a third of them anomalies by a threshold on two columns, one column constant; 10 are known."""
    generator = np.random.default_rng(seed)
    y = np.arange(600) % 3 == 0
    x = generator.normal(size=(600, 6))
    x[y, 1:3] += 1.5
    x[:, 0] = 7
    semi = np.zeros(600, dtype=np.int8)
    semi[np.flatnonzero(y)[:10]] = -1
    return x.astype(np.float32), semi, y


def theirs(x: np.ndarray, anomaly: np.ndarray, seed: int, **settings):
    from catboost import CatBoostClassifier

    booster = CatBoostClassifier(
        iterations=20, depth=4, rsm=0.5, random_seed=seed, verbose=False, allow_writing_files=False, thread_count=1,
        **settings,
    )  # fmt: skip
    return booster.fit(x, anomaly)


@installed
@pytest.mark.parametrize("rotations", [0, 1])
def test_scores_and_out_of_bag_scores_are_those_of_catboosts_boosters(rotations):
    x, semi, _ = table()
    baseline = CatBoost(**{**SETTINGS, "rotations": rotations}).fit(x, semi)
    scores = baseline.anomaly_score(x)
    x = np.hstack([x, (x.astype(float) @ baseline.axes_.T).astype(np.float32)])
    fold = np.where(semi < 0, -1, np.random.default_rng(3).permutation(600) % 3)
    logits, out_of_bag = [], np.full(600, np.nan)
    for number in range(3):
        seen = fold != number
        booster = theirs(x[seen], semi[seen] < 0, 3 + number, learning_rate=0.1)
        logits.append(booster.predict(x, prediction_type="RawFormulaVal"))
        out_of_bag[~seen] = logits[-1][~seen]
    np.testing.assert_allclose(scores, np.mean(logits, axis=0), atol=1e-9)
    # thresholds lie a thousandth of a gap higher in ours: few rows that a booster has not seen lie in between
    assert np.mean(np.abs(baseline.out_of_bag_ - out_of_bag) > 1e-9) < 0.02
    assert np.array_equal(np.isnan(baseline.out_of_bag_), semi < 0)


@installed
def test_without_a_learning_rate_it_is_catboosts_own():
    x, semi, _ = table()
    baseline = CatBoost(**{**SETTINGS, "boosters": 1, "learning_rate": None}).fit(x, semi)
    expected = theirs(x, semi < 0, 3).predict(x, prediction_type="RawFormulaVal")
    np.testing.assert_allclose(baseline.anomaly_score(x), expected, atol=1e-9)
    assert np.isnan(baseline.out_of_bag_).all()


def test_a_tree_by_hand():
    """Two splits: column 1 above .5 is bit 0 of a leaf's number, column 0 above -1 is bit 1."""
    splits = [{"float_feature_index": 1, "border": 0.5}, {"float_feature_index": 0, "border": -1.0}]
    trees, values = _flatten({"splits": splits, "leaf_values": [1, 2, 3, 10], "leaf_weights": [1, 0, 3, 4]})
    rows = np.float32([[-2, 0], [-2, 1], [0, 0], [0, 1], [-1, 0.5]])
    assert mean_of_leaves(rows, trees, values).tolist() == [1, 2, 3, 10, 1]
    # by weight: (1 + 9 + 40) / 8 at the root, (1 + 9) / 4 where column 1 is at most .5, and 10 where it is not
    assert values.tolist() == [6.25, 2.5, 10, 1, 2, 3, 10]
    assert mean_of_splits(rows, trees, values).tolist() == [
        [-1.5, -3.75],
        [-8, 3.75],
        [0.5, -3.75],
        [0, 3.75],
        [-1.5, -3.75],
    ]


def test_a_tree_without_splits_is_a_leaf():
    trees, values = _flatten({"splits": [], "leaf_values": [0.25], "leaf_weights": [3]})
    assert mean_of_leaves(np.float32([[1], [2]]), trees, values).tolist() == [0.25, 0.25]


@installed
def test_of_many_rows_some_grow_the_trees_and_all_known_anomalies_do():
    x, semi, _ = table()
    baseline = CatBoost(**{**SETTINGS, "max_rows": 100}).fit(x, semi)
    assert np.isfinite(baseline.out_of_bag_).sum() == 100
    assert auroc(semi < 0, baseline.anomaly_score(x)) > 0.9


@installed
def test_it_finds_more_of_the_kind_that_is_known():
    x, semi, y = table()
    baseline = CatBoost(**SETTINGS).fit(x[:300], semi[:300])
    assert auroc(y[300:], baseline.anomaly_score(x[300:])) > 0.8


@installed
def test_columns_that_are_all_constant_are_told():
    with pytest.raises(InputError, match=r"^method=catboost: CatBoost can not grow trees \(.*constant or ignored"):
        CatBoost(**SETTINGS).fit(np.ones((20, 2)), np.repeat([-1, 0], 10))


def test_a_missing_library_is_one_line_and_a_file_does_not_need_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "catboost", None)
    x, semi, _ = table()
    with pytest.raises(InputError, match=r"^method=catboost needs catboost; pip install 'sad_lightning\[boost\]'$"):
        CatBoost(**SETTINGS).fit(x, semi)
    baseline = CatBoost(**SETTINGS)
    (flat, value), baseline.n_features_in_ = _flatten({"splits": [], "leaf_values": [2], "leaf_weights": [1]}), 6
    baseline.axes_, baseline.value_, baseline.out_of_bag_ = np.empty((0, 6)), value, np.zeros(0)
    baseline.roots_, baseline.children_, baseline.feature_, baseline.threshold_ = flat
    assert CatBoost.from_arrays(baseline.to_arrays()).anomaly_score(x[:2]).tolist() == [2, 2]
