"""Gradient boosting: scikit-learn's own predictions, out-of-fold scores, contributions by hand."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from sad_lightning.baselines.gradient_boosting import GradientBoosting
from sad_lightning.stats.ranking import auroc

SETTINGS = {
    "boosters": 3, "trees": 20, "learning_rate": 0.1, "leaves": 8, "min_rows": 3, "columns": 0.5,
    "rotations": 0, "l2": 1.0, "max_rows": 10_000, "random_state": 3,
}  # fmt: skip


def table(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """600 rows, a third of them anomalies by a threshold on two columns; 10 are known."""
    generator = np.random.default_rng(seed)
    y = np.arange(600) % 3 == 0
    x = generator.normal(size=(600, 6))
    x[y, :2] += 1.5
    semi = np.zeros(600, dtype=np.int8)
    semi[np.flatnonzero(y)[:10]] = -1
    return x.astype(np.float32), semi, y


def theirs(**settings) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        max_iter=20, learning_rate=0.1, max_leaf_nodes=8, min_samples_leaf=3, max_features=0.5, l2_regularization=1.0,
        early_stopping=False, **settings,
    )  # fmt: skip


@pytest.mark.parametrize("rotations", [0, 1])
def test_scores_and_out_of_bag_scores_are_those_of_scikit_learns_boosters(rotations):
    x, semi, _ = table()
    baseline = GradientBoosting(**{**SETTINGS, "rotations": rotations}).fit(x, semi)
    scores = baseline.anomaly_score(x)
    assert baseline.axes_.shape == (6 * rotations, 6)
    x = np.hstack([x, (x.astype(float) @ baseline.axes_.T).astype(np.float32)])
    generator = np.random.default_rng(3)
    fold = np.where(semi < 0, -1, generator.permutation(600) % 3)
    logits, out_of_bag = [], np.full(600, np.nan)
    for number in range(3):
        seen = fold != number
        booster = theirs(random_state=int(generator.integers(2**32))).fit(x[seen], semi[seen] < 0)
        share = (semi[seen] < 0).mean()
        logits.append(booster.decision_function(x) - np.log(share / (1 - share)))  # less those of the prior
        out_of_bag[~seen] = logits[-1][~seen]
    np.testing.assert_allclose(scores, np.mean(logits, axis=0), atol=1e-9)
    np.testing.assert_allclose(baseline.out_of_bag_, out_of_bag, atol=1e-9)
    assert np.array_equal(np.isnan(baseline.out_of_bag_), semi < 0)


def test_scores_of_rows_it_has_seen_are_not_those_of_new_ones():
    generator = np.random.default_rng(1)
    x, semi = generator.normal(size=(400, 8)), np.zeros(400, dtype=np.int8)
    semi[:20] = -1  # labels that mean nothing
    baseline = GradientBoosting(**{**SETTINGS, "trees": 100}).fit(x, semi)
    new = baseline.anomaly_score(generator.normal(size=(2000, 8))).mean()
    seen, unseen = baseline.anomaly_score(x)[20:].mean(), baseline.out_of_bag_[20:].mean()
    assert abs(unseen - new) < 0.3 * abs(seen - new)


def test_a_contribution_is_what_the_splits_by_a_column_add():
    x = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]] * 5)
    semi = np.where((x == 1).all(axis=1), -1, 0).astype(np.int8)
    baseline = GradientBoosting(
        **{**SETTINGS, "boosters": 1, "trees": 1, "leaves": 3, "learning_rate": 0.25, "columns": 1.0, "l2": 0.0}
    ).fit(x, semi)
    # p = 1/4 at the start, so that a leaf's Newton step is (share - p) / (p (1 - p)): -4/3, and 4 for the anomalies, of
    # which a quarter is taken
    np.testing.assert_allclose(baseline.anomaly_score(x[:4]), [-1 / 3, -1 / 3, -1 / 3, 1], atol=1e-6)
    added = baseline.contributions(x[:4])
    np.testing.assert_allclose(np.sort(added[3]), [1 / 3, 2 / 3], atol=1e-6)  # from 0 to 1/3, and from there to 1
    np.testing.assert_allclose(added.sum(axis=1), [-1 / 3, -1 / 3, -1 / 3, 1], atol=1e-6)


def test_of_many_rows_some_grow_the_trees_and_all_known_anomalies_do():
    x, semi, _ = table()
    baseline = GradientBoosting(**{**SETTINGS, "max_rows": 100}).fit(x, semi)
    assert np.isfinite(baseline.out_of_bag_).sum() == 100
    assert auroc(semi < 0, baseline.anomaly_score(x)) > 0.9


@pytest.mark.parametrize("others", [1, 2, 4])
def test_fewer_rows_than_folds(others):
    x = np.arange(2.0 + others)[:, None]
    semi = np.int8([-1, -1, *[0] * others])
    baseline = GradientBoosting(**{**SETTINGS, "boosters": 5, "min_rows": 1}).fit(x, semi)
    scores = baseline.anomaly_score(x)
    assert np.isfinite(scores).all()
    assert scores[0] > scores[-1]
    assert np.isfinite(baseline.out_of_bag_).sum() == (0 if others == 1 else others)


def test_it_finds_more_of_the_kind_that_is_known():
    x, semi, y = table()
    baseline = GradientBoosting(**SETTINGS).fit(x[:300], semi[:300])
    assert auroc(y[300:], baseline.anomaly_score(x[300:])) > 0.8


def test_a_value_in_the_middle_of_two_is_not_decided_by_its_last_bit():
    """Training rows hold 0, 2, 4 and so on, in ninths; new ones the numbers between, which are where thresholds lie."""
    generator = np.random.default_rng(0)
    x = np.float32(2 * generator.integers(0, 8, (200, 3)) / 9)
    semi = np.where(x[:, 0] + x[:, 1] > 2.2, -1, 0).astype(np.int8)
    baseline = GradientBoosting(**SETTINGS).fit(x, semi)
    between = np.float32((2 * generator.integers(0, 7, (500, 3)) + 1) / 9)
    below, above = (np.nextafter(between, np.float32(end)) for end in (-9, 9))
    scores = baseline.anomaly_score(between)
    np.testing.assert_array_equal(scores, baseline.anomaly_score(below))
    np.testing.assert_array_equal(scores, baseline.anomaly_score(above))
    assert np.ptp(scores) > 1


def test_a_rotated_column_contributes_by_its_loadings():
    x, semi, _ = table()
    baseline = GradientBoosting(**{**SETTINGS, "rotations": 2}).fit(x, semi)
    start = baseline.anomaly_score(x) - baseline.contributions(x).sum(axis=1)
    np.testing.assert_allclose(start, start[0], atol=1e-9)  # the value at the roots, whatever the row


def test_rotations_help_where_anomalies_lie_off_a_slope():
    generator = np.random.default_rng(0)
    x = np.repeat(generator.normal(size=(800, 1)), 4, axis=1) + 0.1 * generator.normal(size=(800, 4))
    y = np.arange(800) % 4 == 0
    x[y, 0] += 0.5
    semi = np.where(y & (np.arange(800) < 80), -1, 0)
    areas = []
    for rotations in (0, 1):
        baseline = GradientBoosting(**{**SETTINGS, "rotations": rotations}).fit(x[:400], semi[:400])
        areas.append(auroc(y[400:], baseline.anomaly_score(x[400:])))
    assert areas[1] > areas[0] + 0.02
