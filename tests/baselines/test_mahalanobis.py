"""The Mahalanobis distance by hand and scikit-learn's shrinkage."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from sad_lightning.baselines.mahalanobis import Mahalanobis
from sad_lightning.errors import InputError


def rows(seed: int = 0, count: int = 80) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, 4)) @ generator.normal(size=(4, 4)) + 5


def test_scores_by_hand():
    x, others = rows(), rows(1) * 2
    baseline = Mahalanobis(shrinkage=0.2).fit(x)
    covariance = np.cov(x, rowvar=False, bias=True)
    inverse = np.linalg.inv(0.8 * covariance + 0.2 * np.trace(covariance) / 4 * np.eye(4))
    expected = [(row - x.mean(axis=0)) @ inverse @ (row - x.mean(axis=0)) for row in others]
    np.testing.assert_allclose(baseline.anomaly_score(others), expected)


def test_the_shrinkage_is_ledoit_and_wolfs():
    x, others = rows(), rows(1)
    theirs, baseline = LedoitWolf().fit(x), Mahalanobis(shrinkage="ledoit_wolf").fit(x)
    assert baseline.shrinkage_ == pytest.approx(theirs.shrinkage_)
    np.testing.assert_allclose(baseline.anomaly_score(others), theirs.mahalanobis(others))


def test_columns_that_are_equal_or_constant_and_few_rows_leave_finite_scores():
    x = rows(count=30)
    x = np.hstack([x, x, np.ones((30, 40))])  # 48 columns of rank 4
    scores = Mahalanobis(shrinkage="ledoit_wolf").fit(x).anomaly_score(np.vstack([x, x + 50]))
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()
    assert scores[30:].min() > scores[:30].max()


def test_more_columns_than_a_matrix_can_be_inverted_of_are_refused():
    with pytest.raises(InputError, match="at most 10,000, got 20,000; choose knn or iforest"):
        Mahalanobis(shrinkage=0.1).fit(np.zeros((3, 20_000)))


def test_of_gaussian_rows_the_mean_score_is_the_number_of_columns():
    generator = np.random.default_rng(0)
    baseline = Mahalanobis(shrinkage="ledoit_wolf").fit(generator.normal(size=(5000, 6)))
    assert baseline.anomaly_score(generator.normal(size=(5000, 6))).mean() == pytest.approx(6, rel=0.03)


def test_out_of_bag_a_row_is_no_part_of_mean_and_covariance():
    x = np.random.default_rng(0).normal(size=(60, 20))
    baseline = Mahalanobis(shrinkage=0.1).fit(x)
    left_out = [
        Mahalanobis(shrinkage=0.1).fit(np.delete(x, row, axis=0)).anomaly_score(x[[row]])[0] for row in range(60)
    ]
    np.testing.assert_allclose(baseline.out_of_bag(), left_out, rtol=0.05)
    assert baseline.anomaly_score(x).mean() < 0.75 * np.mean(left_out)  # in-sample they are far too small
