"""Logistic regression: scikit-learn's own log-odds, its optimum by hand, and what squares are for."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from sad_lightning.baselines.logistic import Logistic
from sad_lightning.stats.ranking import auroc


def table() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 5)) * [1, 10, 1e-3, 1, 0] + 3  # the last column is constant
    semi = np.zeros(200, dtype=np.int8)
    semi[:15], semi[15:20] = -1, 1
    x[:15, 0] += 1
    return x, semi


@pytest.mark.parametrize("squares", [False, True])
def test_scores_are_scikit_learns(squares):
    x, semi = table()
    baseline = Logistic(c=0.5, squares=squares, max_iter=1000, components=None).fit(x, semi)
    columns = StandardScaler().fit(x).transform(x)
    columns = np.hstack([columns, columns**2]) if squares else columns
    theirs = LogisticRegression(C=0.5, class_weight="balanced", max_iter=1000).fit(columns, semi < 0)
    np.testing.assert_allclose(baseline.anomaly_score(x), theirs.decision_function(columns), rtol=1e-9)


def test_no_small_step_lowers_the_loss():
    x, semi = table()
    baseline = Logistic(c=0.5, squares=False, max_iter=1000, components=None).fit(x, semi)
    columns = (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
    sides, weights = np.where(semi < 0, 1, -1), np.where(semi < 0, 200 / (2 * 15), 200 / (2 * 185))

    def loss(w, b):
        return w @ w / 2 + 0.5 * (weights * np.log1p(np.exp(-sides * (columns @ w + b)))).sum()

    w, b = baseline.weights_, baseline.bias_
    np.testing.assert_allclose(baseline.anomaly_score(x), columns @ w + b, rtol=1e-9)
    for step in 0.01 * np.vstack([np.eye(6), -np.eye(6)]):
        assert loss(w + step[:5], b + step[5]) > loss(w, b)


def test_a_known_normal_is_a_row_like_the_unlabeled():
    x, semi = table()
    scores = [
        Logistic(c=1.0, squares=False, max_iter=1000, components=None).fit(x, s).anomaly_score(x)
        for s in (semi, semi * (semi < 0))
    ]
    assert np.array_equal(*scores)


def test_squares_find_what_lies_on_both_sides():
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(600, 3)), np.arange(600) % 5 == 0
    x[y, 1] += 4 * generator.choice([-1, 1], y.sum())
    fits = [Logistic(c=1.0, squares=squares, max_iter=1000, components=None) for squares in (False, True)]
    semi = -y[:300].astype(np.int8)
    areas = [auroc(y[300:], baseline.fit(x[:300], semi).anomaly_score(x[300:])) for baseline in fits]
    assert areas[0] < 0.7
    assert areas[1] > 0.95


def test_a_solver_that_stops_early_says_so():
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        Logistic(c=1.0, squares=False, max_iter=1, components=None).fit(*table())


def test_principal_components_take_the_place_of_the_columns():
    x, semi = table()
    baseline = Logistic(c=0.5, squares=False, max_iter=1000, components=3).fit(x, semi)
    others = x[semi >= 0]
    centred = others - others.mean(axis=0)
    variances, axes = np.linalg.eigh(centred.T @ centred / (len(others) - 1))
    columns = (x - others.mean(axis=0)) @ axes[:, :-4:-1] / np.sqrt(variances[:-4:-1].mean())
    theirs = LogisticRegression(C=0.5, class_weight="balanced", max_iter=1000).fit(columns, semi < 0)
    np.testing.assert_allclose(baseline.anomaly_score(x), theirs.decision_function(columns), rtol=1e-4, atol=1e-4)
    assert baseline.contributions(x) is None


def test_there_are_no_more_components_than_rows_or_columns():
    x, semi = table()
    assert Logistic(c=1.0, squares=False, max_iter=1000, components=999).fit(x, semi).axes_.shape == (5, 5)
    few = Logistic(c=1.0, squares=False, max_iter=1000, components=999).fit(x[12:18], semi[12:18])
    assert few.axes_.shape == (5, 3)  # three rows are no known anomalies


def test_components_as_tensors_score_alike():
    import torch

    x, semi = table()
    baseline = Logistic(c=0.5, squares=True, max_iter=1000, components=3).fit(x, semi)
    learned = {name: torch.from_numpy(np.array(getattr(baseline, name))) for name in baseline.learned}
    np.testing.assert_allclose(baseline.torch_score(torch.from_numpy(x), learned), baseline.anomaly_score(x), rtol=1e-9)
