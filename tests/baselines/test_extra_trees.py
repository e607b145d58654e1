"""Extremely randomised trees: scikit-learn's own predictions, rotated columns, out-of-bag scores."""

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesClassifier

from sad_lightning.baselines.extra_trees import ExtraTrees
from sad_lightning.baselines.flat_trees import FlatTrees, beyond_ties, depth, mean_of_leaves, mean_of_splits
from sad_lightning.stats.ranking import auroc


def table(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """600 rows whose anomalies lie off a diagonal, 10 of 200 in the first 300 known."""
    generator = np.random.default_rng(seed)
    y = np.arange(600) % 3 == 0
    x = generator.normal(size=(600, 6))
    x[:, 1] = x[:, 0] + 0.3 * x[:, 1] + y * generator.choice([-1.0, 1.0], 600)
    semi = np.zeros(600, dtype=np.int8)
    semi[np.flatnonzero(y)[:10]] = -1
    return x.astype(np.float32), semi, y


def theirs(x: np.ndarray, semi: np.ndarray, trees: int, random_state: int) -> ExtraTreesClassifier:
    seed = int(np.random.default_rng(random_state).integers(2**32))
    forest = ExtraTreesClassifier(
        trees, class_weight="balanced_subsample", bootstrap=True, oob_score=True, random_state=seed
    )
    return forest.fit(x, semi < 0)


def test_scores_and_out_of_bag_scores_are_scikit_learns():
    x, semi, _ = table()
    baseline = ExtraTrees(trees=60, rotations=0, max_rows=10_000, random_state=3).fit(x[:300], semi[:300])
    forest = theirs(x[:300], semi[:300], 60, 3)
    np.testing.assert_allclose(baseline.anomaly_score(x), forest.predict_proba(x)[:, 1], atol=1e-12)
    np.testing.assert_allclose(baseline.out_of_bag_, forest.oob_decision_function_[:, 1], atol=1e-12)


def test_of_many_rows_some_grow_the_trees_and_all_known_anomalies_do():
    x, semi, _ = table()
    baseline = ExtraTrees(trees=60, rotations=0, max_rows=100, random_state=3).fit(x, semi)
    kept = np.flatnonzero(~np.isnan(baseline.out_of_bag_))
    assert len(kept) == 110
    assert set(np.flatnonzero(semi < 0)) < set(kept)
    np.testing.assert_allclose(
        baseline.anomaly_score(x), theirs(x[kept], semi[kept], 60, 3).predict_proba(x)[:, 1], atol=1e-12
    )


def test_rotated_columns_are_principal_components_then_rotations():
    x, semi, _ = table()
    baseline = ExtraTrees(trees=20, rotations=3, max_rows=10_000, random_state=1).fit(x, semi)
    principal, *rotations = np.split(baseline.axes_, 3)
    for axes in (principal, *rotations):
        np.testing.assert_allclose(axes @ axes.T, np.eye(6), atol=1e-12)
    components = (x - x.mean(axis=0)) @ principal.T
    covariance = np.cov(components, rowvar=False)
    np.testing.assert_allclose(covariance, np.diag(covariance.diagonal()), atol=1e-5)
    assert not np.allclose(rotations[0], rotations[1])
    forest = theirs(np.hstack([x, (x.astype(float) @ baseline.axes_.T).astype(np.float32)]), semi, 20, 1)
    wide = np.hstack([x, (x.astype(float) @ baseline.axes_.T).astype(np.float32)])
    np.testing.assert_allclose(baseline.anomaly_score(x), forest.predict_proba(wide)[:, 1], atol=1e-12)


def test_an_axis_that_holds_nothing_is_left_out():
    x, semi, _ = table()
    x = np.hstack([x, x[:, :2], np.ones((600, 1), dtype=np.float32)])  # nine columns of rank six
    assert ExtraTrees(trees=5, rotations=1, max_rows=10_000, random_state=0).fit(x, semi).axes_.shape == (6, 9)
    flat = ExtraTrees(trees=5, rotations=1, max_rows=10_000, random_state=0).fit(np.ones((9, 2)), [-1, *[0] * 8])
    assert flat.axes_.shape == (0, 2)
    assert np.isfinite(flat.anomaly_score(np.zeros((3, 2)))).all()


def test_rotations_help_where_anomalies_lie_off_a_slope():
    areas = []
    for rotations in (0, 1):
        baseline = ExtraTrees(trees=200, rotations=rotations, max_rows=10_000, random_state=0)
        pairs = [table(seed) for seed in range(3)]
        scores = [baseline.fit(x[:300], semi[:300]).anomaly_score(x[300:]) for x, semi, _ in pairs]
        areas.append(np.mean([auroc(y[300:], score) for score, (_, _, y) in zip(scores, pairs, strict=True)]))
    assert areas[1] > areas[0] + 0.02


def test_training_rows_are_known_by_heart_and_out_of_bag_scores_are_not():
    """With labels that say nothing, scores of training rows tell them perfectly and honest ones not at all."""
    generator = np.random.default_rng(0)
    x, semi = generator.normal(size=(400, 4)), -(np.arange(400) % 4 == 0).astype(np.int8)
    baseline = ExtraTrees(trees=200, rotations=0, max_rows=10_000, random_state=0).fit(x, semi)
    assert auroc(semi < 0, baseline.anomaly_score(x)) > 0.99
    assert auroc(semi < 0, baseline.out_of_bag_) == pytest.approx(0.5, abs=0.1)


def test_a_row_that_every_tree_has_seen_has_no_out_of_bag_score():
    x, semi, _ = table()
    baseline = ExtraTrees(trees=1, rotations=0, max_rows=10_000, random_state=0).fit(x, semi)
    assert 0.5 < np.isnan(baseline.out_of_bag_).mean() < 0.75  # 1 - 1/e
    assert np.isfinite(baseline.anomaly_score(x)).all()


def test_the_walk_by_hand(monkeypatch):
    """Two trees: x1 > 0.5 and then x0 > 2; and a leaf alone."""
    trees = FlatTrees(
        roots=np.array([0, 5]),
        children=np.array([[1, 1, 3, 3, 4, 5], [2, 1, 4, 3, 4, 5]]),
        feature=np.array([1, 0, 0, 0, 0, 0]),
        threshold=np.array([0.5, -2.0, 2.0, -2.0, -2.0, -2.0]),
    )
    x = np.float32([[9, 0.5], [2, 0.6], [2.1, 0.6]])
    values = np.array([0.0, 1.0, 0.0, 3.0, 5.0, 7.0])
    monkeypatch.setattr("sad_lightning.baselines.flat_trees._BATCH", 2)
    assert mean_of_leaves(x, trees, values).tolist() == [4.0, 5.0, 6.0]
    assert mean_of_leaves(np.asfortranarray(x), trees, values).tolist() == [4.0, 5.0, 6.0]
    assert mean_of_leaves(x[:0], trees, values).shape == (0,)
    assert depth(trees) == 2
    at_splits = values + np.array([2.0, 0, 4.0, 0, 0, 0])  # the root holds 2, the node below it 4
    assert mean_of_splits(x, trees, at_splits).tolist() == [[0, -0.5], [-0.5, 1], [0.5, 1]]


def test_a_column_that_trees_do_not_need_adds_little():
    x, semi, _ = table()
    x[semi < 0, 5] += 6
    added = ExtraTrees(trees=100, rotations=0, max_rows=10_000, random_state=0).fit(x, semi).contributions(x[semi < 0])
    assert (added[:, 5] > 3 * np.abs(added[:, 2:5]).max(axis=1)).all()


def test_a_threshold_at_the_largest_value_moves_no_training_row():
    x = np.float32([[0], [1], [3]])
    trees = FlatTrees(*map(np.array, ([0], [[1, 1, 2], [2, 1, 2]], [0, 0, 0], [3.0, 0.0, 0.0])))
    moved = beyond_ties(trees, x).threshold
    assert 3 <= moved[0] < 3.01
    assert list(moved[1:]) == [0, 0]
